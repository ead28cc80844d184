//! Of several pulls of the same one works.

use std::collections::BTreeSet;

use rustix::process::Signal;

use super::{Hanging, locks, many, nothing_left, shown, until, until_stderr, whole};
use crate::pull::double::{Answer, Double, Gate};
use crate::support::Home;
use crate::support::digest;
use crate::support::image::{Form, Image, Layer, OCI_MANIFEST, Tar};

#[test]
fn ten_pulls_of_an_image_fetch_it_once() {
    let home = Home::new();
    let tars = ["one", "two", "three"].map(|name| many(name, 50).finish());
    let image = Image::new(tars.map(|tar| Layer::new(tar, Form::Gzip)));
    let gate = Gate::default();
    let (closed, layers) = (gate.clone(), image.layers.clone());
    let registry = Double::serve(&image, move |asked| {
        let wanted = layers
            .iter()
            .find(|layer| asked.path.ends_with(&layer.digest))?;
        Some(Answer::ok(wanted.blob.clone()).pause(100, &closed))
    });
    let mut pulls: Vec<_> = (0..10)
        .map(|_| home.berth(["pull", &registry.url()]).start())
        .collect();
    let waits = |said: &str| said.contains("waiting for image sha256:");
    until("nine of ten wait", || {
        for pull in &mut pulls {
            assert!(!pull.has_ended(), "{}", pull.stderr());
        }
        let said: Vec<String> = pulls.iter_mut().map(|pull| pull.stderr()).collect();
        said.iter().filter(|said| waits(said)).count() == 9
    });
    let works = pulls
        .iter_mut()
        .position(|pull| !waits(&pull.stderr()))
        .unwrap();
    let who = shown("berth", &pulls[works]);
    let manifest = digest(&serde_json::to_vec(&image.manifest()).unwrap());
    gate.open();
    let mut printed = BTreeSet::new();
    for (number, pull) in pulls.into_iter().enumerate() {
        let ran = pull.wait().code(0);
        printed.insert(ran.stdout.clone());
        if number == works {
            continue;
        }
        let line = format!("waiting for image {manifest}: {who} fetches it\n");
        let said = ran.err_has(&line).stderr;
        // Once, however long it takes, unless another of those that wait is seen looking.
        assert!(said.matches("waiting for image").count() >= 1, "{said}");
    }
    let line = format!("{}/app:latest@{manifest}\n", registry.host());
    assert_eq!(printed, BTreeSet::from([line]));
    let config = digest(&image.config_bytes());
    let blobs = image.layers.iter().map(|layer| &layer.digest);
    for blob in blobs.chain([&config]) {
        let asked = registry.asked(&format!("/blobs/{blob}"));
        assert_eq!(asked.len(), 1, "requests for {blob}");
    }
    nothing_left(&home);
    whole(&home, &format!("{}/app", registry.host()));
}

/// The layers of the second image; it is named `next`.
fn second(image: &Image) -> impl Fn(&str) -> Option<Answer> + Send + Sync + 'static {
    let image = image.clone();
    move |path| {
        let manifest = serde_json::to_vec(&image.manifest()).unwrap();
        if path.ends_with("/manifests/next") {
            return Some(Answer::ok(manifest).with("Content-Type", OCI_MANIFEST));
        }
        let config = image.config_bytes();
        if path.ends_with(&digest(&config)) {
            return Some(Answer::ok(config));
        }
        let layer = image
            .layers
            .iter()
            .find(|layer| path.ends_with(&layer.digest))?;
        Some(Answer::ok(layer.blob.clone()))
    }
}

#[test]
fn a_layer_of_two_images_is_fetched_once() {
    let home = Home::new();
    let base = Layer::new(many("base", 50).finish(), Form::Gzip);
    let with = |name: &str| {
        let own = Tar::new().file(name, name).finish();
        Image::new([base.clone(), Layer::new(own, Form::Gzip)])
    };
    let (first, next) = (with("first"), with("next"));
    let gate = Gate::default();
    let (closed, shared, other) = (gate.clone(), base.clone(), second(&next));
    let registry = Double::serve(&first, move |asked| {
        if asked.path.ends_with(&shared.digest) {
            return Some(Answer::ok(shared.blob.clone()).pause(100, &closed));
        }
        other(&asked.path)
    });
    let shared = format!("/blobs/{}", base.digest);
    let one = home
        .berth(["pull", "--name", "first", &registry.url()])
        .start();
    until("the first fetches the layer", || {
        registry.asked(&shared).len() == 1
    });
    let source = format!("{}:next", registry.url());
    let mut two = home.berth(["pull", "--name", "next", &source]).start();
    let who = shown("berth", &one);
    until_stderr(
        &mut two,
        &format!("waiting for layer {}: {who} fetches it\n", base.digest),
    );
    // Its own layer does not wait with it.
    let own = format!("/blobs/{}", next.layers[1].digest);
    until("the other layer is fetched", || {
        registry.asked(&own).len() == 1
    });
    gate.open();
    one.wait().code(0);
    two.wait().code(0);
    assert_eq!(registry.asked(&shared).len(), 1, "requests for the layer");
    for name in ["first", "next"] {
        assert_eq!(
            home.berth(["cat", name, &format!("/{name}")]).ok().text(),
            name
        );
        whole(&home, name);
    }
    nothing_left(&home);
}

#[test]
fn a_killed_pull_is_in_nobodys_way() {
    let home = Home::new();
    let Hanging {
        pull,
        gate,
        registry,
    } = Hanging::start(&home, Tar::new().file("base", "base"));
    let source = registry.url();
    let mut next = home.berth(["pull", "--name", "app", &source]).start();
    until_stderr(&mut next, &format!("{} fetches it", shown("berth", &pull)));
    pull.signal(Signal::KILL);
    assert_eq!(pull.wait().exit(), 137);
    gate.open();
    // One that waited goes on, and so does one that comes later.
    next.wait().code(0);
    whole(&home, "app");
    nothing_left(&home);

    home.berth(["rmi", "app"]).ok();
    let Hanging {
        pull,
        gate,
        registry,
    } = Hanging::start(&home, Tar::new().file("base", "base"));
    pull.signal(Signal::KILL);
    pull.wait();
    assert_eq!(locks(&home), 2, "of the image and its upper layer");
    gate.open();
    let args = ["--lock-timeout", "0", "pull", "--name", "app"];
    let args = args.into_iter().map(str::to_owned);
    home.berth(args.chain([registry.url()])).ok();
    whole(&home, "app");
    nothing_left(&home);
}
