//! Downloads that break are taken up where they broke, and no byte comes twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fetch::Patience;
use rustix::process::Signal;

use super::{Puller, chain, patience, sized, small};
use crate::pull::double::{Answer, Asked, Double, Gate, ranged};
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Tar};
use crate::support::registry::free_port;

/// Serves the only layer of `image` as `script` says, told the number of the request from 0.
fn layer(
    image: &Image,
    script: impl Fn(usize, &Asked, &[u8]) -> Option<Answer> + Send + Sync + 'static,
) -> Double {
    let (layer, count) = (image.layers[0].clone(), AtomicUsize::new(0));
    Double::serve(image, move |asked| {
        let is_layer = asked.path.contains(&layer.digest);
        is_layer
            .then(|| script(count.fetch_add(1, Ordering::Relaxed), asked, &layer.blob))
            .flatten()
    })
}

fn starts(double: &Double, image: &Image) -> Vec<usize> {
    let asked = double.asked(&image.layers[0].digest);
    asked.iter().map(Asked::start).collect()
}

#[test]
fn a_layer_that_breaks_at_every_byte_comes_once() {
    let image = small();
    let double = layer(&image, |_, asked, blob| Some(ranged(blob, asked).cut(1)));
    let puller = Puller::with(Patience {
        resumes_max: u32::MAX,
        backoff: Duration::ZERO,
        ..patience()
    });
    puller.ok(&double);
    let size = image.layers[0].blob.len();
    assert_eq!(starts(&double, &image), (0..size).collect::<Vec<_>>());
    assert_eq!(double.served(&image.layers[0].digest), size as u64);
}

#[test]
fn a_reset_midway_is_taken_up() {
    let image = sized(50_000);
    let double = layer(&image, |number, asked, blob| {
        let answer = ranged(blob, asked);
        (number < 3).then(|| answer.cut(10_000).reset())
    });
    Puller::new().ok(&double);
    // A reset may take with it what is still on its way.
    let starts = starts(&double, &image);
    assert_eq!(starts.len(), 4, "{starts:?}");
    assert!(starts.is_sorted() && starts[3] <= 30_000, "{starts:?}");
}

#[test]
fn silence_midway_is_noticed_and_taken_up() {
    let image = sized(50_000);
    let double = layer(&image, |number, asked, blob| {
        (number < 2).then(|| ranged(blob, asked).stall(20_000))
    });
    let puller = Puller::with(Patience {
        silence: Duration::from_millis(500),
        ..patience()
    });
    puller.ok(&double);
    assert_eq!(starts(&double, &image), [0, 20_000, 40_000]);
    assert_eq!(double.served(&image.layers[0].digest), image.layers[0].size);
    assert_eq!(puller.events("it did not answer in time"), 2);
}

#[test]
fn a_registry_without_ranges_sends_the_beginning_again() {
    let image = sized(50_000);
    let size = image.layers[0].size;
    // The third answer breaks within what is here already, which costs nothing but another try.
    let cuts = [30_000, 40_000, 10_000, usize::MAX];
    let double = layer(&image, move |number, _, blob| {
        Some(Answer::ok(blob).cut(cuts[number]))
    });
    Puller::new().ok(&double);
    assert_eq!(starts(&double, &image), [0, 30_000, 40_000, 40_000]);
    assert_eq!(double.served(&image.layers[0].digest), 80_000 + size);
}

#[test]
fn a_range_may_be_shorter_than_asked_for() {
    let image = sized(50_000);
    let double = layer(&image, |number, asked, blob| {
        let (start, size) = (asked.start(), blob.len());
        let end = (start + 20_000).min(size);
        if number == 0 {
            return Some(Answer::ok(blob).cut(end));
        }
        let range = format!("bytes {start}-{}/{size}", end - 1);
        Some(Answer {
            status: 206,
            ..Answer::ok(&blob[start..end]).with("Content-Range", range)
        })
    });
    Puller::new().ok(&double);
    assert_eq!(starts(&double, &image), [0, 20_000, 40_000]);
    assert_eq!(double.served(&image.layers[0].digest), image.layers[0].size);
}

#[test]
fn another_range_than_the_one_asked_for_is_refused() {
    for wrong in [
        "bytes 29999-{last}/{size}",
        "bytes 30000-{size}/{size}",
        "bytes 0-{last}/{size}",
        "bytes 29999-{before}/{size}",
        "bytes 30000-29999/{size}",
        "bytes */{size}",
        "",
    ] {
        let image = sized(50_000);
        let double = layer(&image, move |number, asked, blob| {
            let answer = ranged(blob, asked).cut(30_000);
            if number == 0 {
                return Some(answer);
            }
            let size = blob.len();
            let range = wrong.replace("{last}", &(size - 1).to_string());
            let range = range.replace("{before}", &(size - 2).to_string());
            let headers = vec![(
                "Content-Range".to_owned(),
                range.replace("{size}", &size.to_string()),
            )];
            Some(Answer { headers, ..answer })
        });
        let error = Puller::new().fails(&double);
        assert!(
            error.ends_with(
                "answered in a way that cannot be followed: it sent another range than the one asked for"
            ),
            "{wrong}: {error}"
        );
        assert_eq!(starts(&double, &image).len(), 2, "{wrong}");
    }
}

#[test]
fn a_wrong_length_of_the_rest_does_not_cost_what_is_here() {
    let image = sized(10_000_000);
    let double = layer(&image, |number, asked, blob| {
        let answer = ranged(blob, asked);
        match number {
            0 => Some(answer.cut(9_000_000)),
            1 => Some(answer.with("Content-Length", "5")),
            _ => None,
        }
    });
    let puller = Puller::new();
    puller.fails(&double);
    assert_eq!(puller.kept(), [9_000_000]);
    puller.ok(&double);
    assert_eq!(starts(&double, &image), [0, 9_000_000, 9_000_000]);
    assert_eq!(puller.kept(), Vec::<u64>::new());
}

#[test]
fn a_redirect_is_asked_for_again_after_each_break() {
    let image = sized(50_000);
    let blob = image.layers[0].blob.clone();
    let elsewhere = Double::serve(&image, move |asked| {
        let signed = asked.path.starts_with("/signed");
        signed.then(|| match asked.header("authorization") {
            None => ranged(&blob, asked).cut(20_000),
            Some(_) => Answer::status(400),
        })
    });
    let (host, nobody) = (elsewhere.host(), free_port());
    let double = layer(&image, move |number, _, _| {
        let to = match number {
            // nobody is there for a moment
            1 => format!("http://127.0.0.1:{nobody}/x"),
            _ => format!("http://{host}/signed/{number}"),
        };
        Some(Answer::status(307).with("Location", to))
    });
    let puller = Puller::new();
    puller.ok(&double);
    let paths: Vec<String> = elsewhere.asked("/").into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["/signed/0", "/signed/2", "/signed/3"]);
    assert_eq!(elsewhere.served("/signed"), image.layers[0].size);
    assert_eq!(puller.events("connection refused"), 1);
}

#[test]
fn without_progress_there_is_an_end_and_with_progress_there_is_none() {
    let image = sized(50_000);
    let double = layer(&image, |_, asked, blob| Some(ranged(blob, asked).cut(0)));
    let error = Puller::new().fails(&double);
    assert!(
        error.ends_with("the connection was closed early"),
        "{error}"
    );
    let tries = patience().resumes_max as usize + 1;
    assert_eq!(starts(&double, &image).len(), tries);

    // A mebibyte at a time is progress, however often.
    let image = sized((tries + 3) << 20);
    let double = layer(&image, |_, asked, blob| {
        Some(ranged(blob, asked).cut(1 << 20))
    });
    Puller::new().ok(&double);
    assert!(starts(&double, &image).len() > tries);
    // A byte less is not.
    let double = layer(&image, |_, asked, blob| {
        Some(ranged(blob, asked).cut((1 << 20) - 1))
    });
    Puller::new().fails(&double);
    assert_eq!(starts(&double, &image).len(), tries);
}

#[test]
fn another_layer_that_fails_ends_the_attempts() {
    let bad = Layer::new(Tar::new().file("bad", "bad").finish(), Form::Gzip);
    let broken = sized(60_000).layers[0].clone();
    let image = Image::new([broken.clone(), bad.clone()]);
    let gate = Gate::default();
    let opened = gate.clone();
    let double = Double::serve(&image, move |asked| {
        if asked.path.contains(&broken.digest) {
            opened.open();
            return Some(ranged(&broken.blob, asked).cut(0));
        }
        asked.path.contains(&bad.digest).then(|| {
            gate.pass();
            Answer::ok(vec![0; bad.blob.len()])
        })
    });
    let puller = Puller::with(Patience {
        resumes_max: 20_000,
        backoff: Duration::ZERO,
        ..patience()
    });
    let error = puller.fails(&double);
    assert!(error.contains("digest of layer"), "{error}");
    assert!(starts(&double, &image).len() < 20_000);
}

/// Waits until as much of the first layer has been kept aside, and the second is stored.
fn wait_for(home: &Home, image: &Image, size: u64) {
    let hex = |text: &str| text.trim_start_matches("sha256:").to_owned();
    let partial = format!("berth/partial/{}", hex(&image.layers[0].digest));
    let stored = format!("refs/heads/ocilayer/{}", hex(&image.layers[1].diff_id));
    let (partial, stored) = (home.repo().join(partial), home.repo().join(stored));
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_there = || std::fs::metadata(&partial).is_ok_and(|found| found.len() >= size);
    while !is_there() || !stored.exists() {
        assert!(
            Instant::now() < deadline,
            "{} stays small",
            partial.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn no_byte_comes_twice_after_kills() {
    let mut image = sized(16_000_000);
    let done = Layer::new(Tar::new().file("done", "done").finish(), Form::Gzip);
    image.layers.push(done.clone());
    let size = image.layers[0].size;
    let calm = Arc::new(AtomicBool::new(false));
    let is_calm = Arc::clone(&calm);
    let double = layer(&image, move |_, asked, blob| {
        let calm = is_calm.load(Ordering::Relaxed);
        (!calm).then(|| ranged(blob, asked).stall(3_000_000))
    });
    let home = Home::new();
    for kill in 1..=3 {
        let running = home.berth(["pull", &double.url()]).start();
        wait_for(&home, &image, kill * 3_000_000);
        running.signal(Signal::KILL);
        assert_eq!(running.wait().exit(), 137);
    }
    calm.store(true, Ordering::Relaxed);
    let ran = home.berth(["pull", &double.url()]).ok();
    ran.err_has("continuing at 9.00MB of 16.0MB");
    assert_eq!(
        starts(&double, &image),
        [0, 3_000_000, 6_000_000, 9_000_000]
    );
    assert_eq!(double.served(&image.layers[0].digest), size);
    assert_eq!(double.served(&done.digest), done.size, "the finished layer");
    let left = super::names(&home.repo().join("berth/partial"));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_was_kept_and_is_wrong_is_fetched_again_and_not_kept() {
    let image = sized(10_000_000);
    let double = Double::serve(&image, |_| None);
    let puller = Puller::new();
    let folder = puller.temp.path().join("repo/berth/partial");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(image.layers[0].digest.trim_start_matches("sha256:"));
    let size = image.layers[0].blob.len();
    // As long as the whole, longer, and a beginning with one wrong bit.
    let mut wrong = image.layers[0].blob[..9_000_000].to_vec();
    wrong[4_500_000] ^= 1;
    for (kept, expected) in [
        (vec![0; size], vec![0]),
        (vec![0; size + 1], vec![0]),
        (wrong, vec![9_000_000, 0]),
    ] {
        std::fs::write(&path, kept).unwrap();
        let before = starts(&double, &image).len();
        puller
            .pull(&double.url())
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(starts(&double, &image)[before..], expected);
        assert!(!path.exists());
        // Forget the image, to pull it again.
        std::fs::remove_dir_all(puller.temp.path().join("repo/refs/heads")).unwrap();
        std::fs::create_dir(puller.temp.path().join("repo/refs/heads")).unwrap();
    }
}
