//! Answers that flow slowly, that hardly flow, and that never end.

use std::time::Duration;

use fetch::Patience;

use super::{Puller, patience, sized, small};
use crate::pull::double::{Answer, Double, ranged};
use crate::support::digest;

#[test]
fn what_flows_is_never_cut_however_long_it_takes() {
    let image = sized(20_000);
    let layer = image.layers[0].clone();
    let double = Double::serve(&image, move |asked| {
        let slow = asked.path.contains(&layer.digest);
        slow.then(|| ranged(&layer.blob, asked).pace(2_000, Duration::from_millis(200)))
    });
    let puller = Puller::with(Patience {
        silence: Duration::from_secs(1),
        rate_window: Duration::from_millis(500),
        rate_bytes_min: 1_000,
        ..patience()
    });
    let start = std::time::Instant::now();
    puller.ok(&double);
    assert!(
        start.elapsed() > Duration::from_millis(2_000),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(double.asked(&image.layers[0].digest).len(), 1);
}

#[test]
fn a_drip_is_left_and_in_the_end_given_up() {
    let image = sized(20_000);
    let layer = image.layers[0].clone();
    let double = Double::serve(&image, move |asked| {
        let slow = asked.path.contains(&layer.digest);
        slow.then(|| ranged(&layer.blob, asked).pace(1, Duration::from_millis(50)))
    });
    let puller = Puller::with(Patience {
        rate_window: Duration::from_secs(1),
        rate_bytes_min: 1_000,
        resumes_max: 2,
        ..patience()
    });
    let error = puller.fails(&double);
    assert!(
        error.ends_with("it sent less than 1000 bytes in 1 s"),
        "{error}"
    );
    let starts: Vec<usize> = double
        .asked(&image.layers[0].digest)
        .iter()
        .map(|it| it.start())
        .collect();
    assert_eq!(starts.len(), 3);
    assert!(starts.is_sorted() && starts[2] > 0, "{starts:?}");
}

#[test]
fn a_manifest_that_drips_is_given_up_too() {
    let double = Double::serve(&small(), |asked| {
        let drip = asked.path.contains("/manifests/");
        drip.then(|| Answer::ok(vec![b' '; 5_000]).pace(1, Duration::from_millis(20)))
    });
    let puller = Puller::with(Patience {
        rate_window: Duration::from_millis(500),
        rate_bytes_min: 1_000,
        attempts_max: 2,
        ..patience()
    });
    let error = puller.fails(&double);
    assert!(error.contains("it sent less than 1000 bytes"), "{error}");
    assert_eq!(double.asked("/manifests/").len(), 2);
}

/// What may be on its way between two processes when one of them stops reading.
const ON_ITS_WAY: u64 = 16 << 20;

#[test]
fn what_never_ends_is_left_at_its_limit() {
    let image = small();
    let config = digest(&image.config_bytes());
    let layer = image.layers[0].digest.clone();
    let size = image.layers[0].size;
    for (path, limit, error) in [
        (
            "/manifests/".to_owned(),
            4 << 20,
            "is too large: the limit is 4194304 bytes".to_owned(),
        ),
        (
            config,
            image.config_bytes().len() as u64,
            format!(
                "is too large: the limit is {} bytes",
                image.config_bytes().len()
            ),
        ),
        (
            layer.clone(),
            size,
            format!(
                "size of layer {layer} does not match: expected {size}, found more than {size}"
            ),
        ),
        (
            "/token".to_owned(),
            1 << 20,
            "token is too large: the limit is 1048576 bytes".to_owned(),
        ),
    ] {
        let (wanted, honest) = (path.clone(), image.clone());
        let double = Double::serve(&image, move |asked| {
            if wanted == "/token" && asked.path.contains("/manifests/") {
                let host = asked.header("host").unwrap();
                let challenge = format!(r#"Bearer realm="http://{host}/token""#);
                return Some(Answer::status(401).with("WWW-Authenticate", challenge));
            }
            let body = match asked.path.contains(&honest.layers[0].digest) {
                true => honest.layers[0].blob.clone(),
                false => Vec::new(),
            };
            let endless = asked.path.contains(&wanted);
            endless.then(|| Answer::ok(body).endless())
        });
        let text = Puller::new().fails(&double);
        assert!(text.ends_with(&error), "{path}: {text}");
        std::thread::sleep(Duration::from_millis(100));
        let served = double.served(&path);
        assert!(served <= limit + ON_ITS_WAY, "{path}: {served} bytes");
    }
}

#[test]
fn an_error_that_never_ends_is_cut_and_told() {
    let double = Double::serve(&small(), |asked| {
        let error = asked.path.contains("/manifests/");
        error.then(|| Answer {
            status: 418,
            ..Answer::ok("").endless()
        })
    });
    let error = Puller::new().fails(&double);
    assert!(error.contains("answered 418 for image"), "{error}");
    std::thread::sleep(Duration::from_millis(100));
    assert!(double.served("/manifests/") <= ON_ITS_WAY);
}

#[test]
fn a_header_that_never_ends_is_left() {
    let double = Double::serve(&small(), |asked| {
        let endless = asked.path.contains("/manifests/");
        endless.then(|| Answer::ok("").with("X-Long", "x".repeat(32 << 20)))
    });
    let puller = Puller::with(Patience {
        attempts_max: 1,
        ..patience()
    });
    let error = puller.fails(&double);
    assert!(error.ends_with("message head is too large"), "{error}");
}
