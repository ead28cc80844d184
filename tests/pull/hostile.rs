//! Registries that break off, lie, or send us elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::double::{Answer, Double, ranged};
use super::{no_image, noise};
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Tar};

/// One layer of 10 MB that does not compress.
fn big() -> Image {
    let tar = Tar::new().file("noise", noise(10_000_000)).finish();
    Image::new([Layer::new(tar, Form::Plain)])
}

fn small() -> Image {
    Image::of(Tar::new().file("hello", "hello\n"))
}

#[test]
fn a_cut_download_goes_on_where_it_broke() {
    let image = big();
    let layer = image.layers[0].clone();
    let cuts = AtomicUsize::new(0);
    let double = Double::serve(&image, move |asked| {
        let cut = asked.path.contains(&layer.digest) && cuts.fetch_add(1, Ordering::Relaxed) < 3;
        cut.then(|| ranged(&layer.blob, asked).cut(2_500_000))
    });
    let home = Home::new();
    home.berth(["pull", &double.url()]).ok().err_has("trying");
    let asked = double.asked(&image.layers[0].digest);
    let starts: Vec<usize> = asked.iter().map(|it| it.start()).collect();
    assert_eq!(starts.len(), 4, "{starts:?}");
    assert!(
        starts.windows(2).all(|pair| pair[0] < pair[1]),
        "{starts:?}"
    );
    let left = std::fs::read_dir(home.repo().join("berth/partial"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "what was kept aside is gone");
}

#[test]
fn a_later_pull_continues_what_an_earlier_one_began() {
    let image = big();
    let layer = image.layers[0].clone();
    let broken = std::sync::Arc::new(AtomicUsize::new(1));
    let switch = std::sync::Arc::clone(&broken);
    let double = Double::serve(&image, move |asked| {
        let cut = asked.path.contains(&layer.digest) && switch.load(Ordering::Relaxed) == 1;
        cut.then(|| match asked.start() {
            0 => ranged(&layer.blob, asked).cut(6_000_000),
            _ => Answer::status(410),
        })
    });
    let home = Home::new();
    home.berth(["pull", &double.url()])
        .fails(1)
        .one_error()
        .err_has("answered 410");
    no_image(&home);
    broken.store(0, Ordering::Relaxed);
    home.berth(["pull", &double.url()])
        .ok()
        .err_has("continuing at");
    let asked = double.asked(&image.layers[0].digest);
    assert!(asked.last().unwrap().start() > 1_000_000, "{asked:?}");
}

#[test]
fn what_was_kept_is_checked_again() {
    let image = big();
    let double = Double::serve(&image, |_| None);
    let home = Home::new();
    home.berth(["repo", "init"]).ok();
    let hex = image.layers[0]
        .digest
        .trim_start_matches("sha256:")
        .to_owned();
    home.sh(&format!(
        "mkdir -p $ROOT/repo/berth/partial; head -c 3000000 /dev/zero > $ROOT/repo/berth/partial/{hex}"
    ))
    .ok();
    home.berth(["pull", &double.url()]).ok();
    let starts: Vec<usize> = double
        .asked(&image.layers[0].digest)
        .iter()
        .map(|it| it.start())
        .collect();
    assert_eq!(starts, [3_000_000, 0]);
}

#[test]
fn a_wrong_length_is_told_at_once() {
    let image = small();
    let layer = image.layers[0].clone();
    let size = layer.size;
    let wanted = layer.digest.clone();
    let double = Double::serve(&image, move |asked| {
        let lie = asked.path.contains(&wanted);
        lie.then(|| Answer::ok(&layer.blob[..layer.blob.len() - 1]))
    });
    let home = Home::new();
    home.berth(["pull", &double.url()])
        .fails(1)
        .one_error()
        .err_has(&format!(
            "size of blob {} does not match: expected {size}, found {}",
            image.layers[0].digest,
            size - 1
        ));
    no_image(&home);
}

#[test]
fn a_wrong_blob_and_a_wrong_manifest_are_refused() {
    let image = small();
    let layer = image.layers[0].clone();
    let wanted = layer.digest.clone();
    let double = Double::serve(&image, move |asked| {
        let mut blob = layer.blob.clone();
        let last = blob.len() - 1;
        blob[last] ^= 1;
        asked.path.contains(&wanted).then(|| Answer::ok(blob))
    });
    let home = Home::new();
    let text = format!("digest of layer {} does not match", image.layers[0].digest);
    home.berth(["pull", &double.url()])
        .fails(1)
        .one_error()
        .err_has(&text);
    let double = Double::serve(&image, |asked| {
        let lie = asked.path.contains("/manifests/");
        lie.then(|| {
            Answer::ok(r#"{"schemaVersion":2}"#)
                .with("Docker-Content-Digest", format!("sha256:{:064}", 1))
        })
    });
    home.berth(["pull", &double.url()])
        .fails(1)
        .one_error()
        .err_has("does not match");
    no_image(&home);
}

#[test]
fn a_token_is_asked_for_and_sent_to_nobody_else() {
    let image = small();
    let layer = image.layers[0].clone();
    let elsewhere = Double::serve(&image, |_| None);
    let (target, wanted) = (elsewhere.host(), layer.digest.clone());
    let double = Double::serve(&image, move |asked| {
        if asked.path.starts_with("/token") {
            let right = asked.path.contains("scope=repository%3Aapp%3Apull");
            return Some(if right {
                Answer::ok(r#"{"token":"opensesame"}"#)
            } else {
                Answer::status(400)
            });
        }
        if asked.path != "/v2/" && asked.header("authorization") != Some("Bearer opensesame") {
            let host = asked.header("host").unwrap();
            let challenge = format!(r#"Bearer realm="http://{host}/token",service="registry""#);
            return Some(Answer::status(401).with("WWW-Authenticate", challenge));
        }
        let moved = asked.path.contains(&wanted);
        moved
            .then(|| Answer::status(307).with("Location", format!("http://{target}{}", asked.path)))
    });
    let home = Home::new();
    home.berth(["pull", &double.url()]).ok();
    assert_eq!(
        double.asked("/token").len(),
        1,
        "one token serves the whole pull"
    );
    let fetched = elsewhere.asked(&image.layers[0].digest);
    assert_eq!(fetched.len(), 1);
    assert_eq!(fetched[0].header("authorization"), None);
}

#[test]
fn credentials_are_sent_when_asked_for() {
    let image = small();
    let double = Double::serve(&image, |asked| {
        let known =
            asked.path == "/v2/" || asked.header("authorization") == Some("Basic dXNlcjpwYXNz");
        (!known).then(|| Answer::status(401).with("WWW-Authenticate", "Basic realm=\"r\""))
    });
    let home = Home::new();
    home.berth(["pull", &double.url()])
        .fails(1)
        .one_error()
        .err_has("refuses access to app");
    home.berth(["pull", "--creds", "user:wrong", &double.url()])
        .fails(1)
        .one_error();
    home.berth(["pull", "--creds", "user:pass", &double.url()])
        .ok();
    let file = format!(
        r#"{{"auths":{{"{}":{{"auth":"dXNlcjpwYXNz"}}}}}}"#,
        double.host()
    );
    let file = home.write("auth.json", file);
    home.berth(["pull", "--authfile", &file.to_string_lossy(), &double.url()])
        .ok();
}

#[test]
fn a_registry_that_stumbles_is_asked_again() {
    let image = small();
    let count = AtomicUsize::new(0);
    let double = Double::serve(&image, move |asked| {
        let stumble =
            asked.path.contains("/manifests/") && count.fetch_add(1, Ordering::Relaxed) < 2;
        stumble.then(|| Answer::status(503))
    });
    Home::new().berth(["pull", &double.url()]).ok();
    assert_eq!(double.asked("/manifests/").len(), 3);
}

#[test]
fn a_registry_that_goes_round_in_circles_is_left() {
    let double = Double::serve(&small(), |asked| {
        let round = asked.path.contains("/manifests/");
        round.then(|| Answer::status(302).with("Location", asked.path.clone()))
    });
    let ran = Home::new()
        .berth(["pull", &double.url()])
        .fails(1)
        .one_error();
    ran.err_has("it redirects more than 5 times");
}

#[test]
fn a_registrys_words_do_not_drive_the_terminal() {
    let double = Double::serve(&small(), |asked| {
        let body = "{\"errors\":[{\"code\":\"X\",\"message\":\"no\\u001b[31m\\nway\"}]}";
        asked.path.contains("/manifests/").then(|| Answer {
            status: 418,
            ..Answer::ok(body)
        })
    });
    let ran = Home::new()
        .berth(["pull", &double.url()])
        .fails(1)
        .one_error();
    ran.err_has("answered 418 for image").err_has("no[31mway");
}
