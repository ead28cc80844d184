//! What passes is asked for again, in its own time; what lasts is not.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fetch::Patience;

use super::{Puller, patience, small};
use crate::pull::double::{Answer, Asked, Double, Gate, ranged};
use crate::support::{Home, digest};

/// The challenge of a registry whose token service it is itself.
fn challenge(asked: &Asked) -> Answer {
    let host = asked.header("host").unwrap();
    let challenge = format!(r#"Bearer realm="http://{host}/token",service="registry""#);
    Answer::status(401).with("WWW-Authenticate", challenge)
}

/// A registry that wants a token, and answers the first request of each path as `first` says.
fn stumbling(first: impl Fn() -> Answer + Send + Sync + 'static) -> Double {
    let seen = Mutex::new(HashSet::new());
    Double::serve(&small(), move |asked| {
        if asked.path == "/v2/" {
            return None;
        }
        let token = asked.path.starts_with("/token");
        if !token && asked.header("authorization").is_none() {
            return Some(challenge(asked));
        }
        if seen.lock().unwrap().insert(asked.path.clone()) {
            return Some(first());
        }
        token.then(|| Answer::ok(r#"{"token":"t"}"#))
    })
}

/// How often each kind of thing was asked for with authorization, and tokens.
fn asked(double: &Double) -> [usize; 4] {
    let image = small();
    let layer = image.layers[0].digest.clone();
    [
        "/token",
        "/manifests/",
        &digest(&image.config_bytes()),
        &layer,
    ]
    .map(|path| {
        let asked = double.asked(path);
        let authorized = |it: &&Asked| path == "/token" || it.header("authorization").is_some();
        asked.iter().filter(authorized).count()
    })
}

#[test]
fn tokens_manifests_configs_and_layers_are_asked_for_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (double, puller) = (stumbling(move || Answer::status(status)), Puller::new());
        puller.ok(&double);
        assert_eq!(asked(&double), [2, 2, 2, 2], "{status}");
        let said = format!("{} answered {status}", double.host());
        assert_eq!(puller.events(&said), 4, "{:?}", puller.events);
    }
}

#[test]
fn a_reset_instead_of_an_answer_is_asked_for_again() {
    let (double, puller) = (stumbling(Answer::none), Puller::new());
    puller.ok(&double);
    assert_eq!(asked(&double), [2, 2, 2, 2]);
    assert_eq!(puller.events("the connection was closed early"), 4);
}

#[test]
fn a_token_that_breaks_is_asked_for_again() {
    let first = AtomicUsize::new(0);
    let double = Double::serve(&small(), move |asked| {
        let token = r#"{"token":"t"}"#;
        if asked.path.starts_with("/token") {
            let is_first = first.fetch_add(1, Ordering::Relaxed) == 0;
            return Some(Answer::ok(token).cut(if is_first { 5 } else { token.len() }));
        }
        (asked.path != "/v2/" && asked.header("authorization").is_none()).then(|| challenge(asked))
    });
    Puller::new().ok(&double);
    assert_eq!(double.asked("/token").len(), 2);
}

#[test]
fn a_manifest_that_breaks_at_any_byte_is_read_again() {
    let length = serde_json::to_vec(&small().manifest()).unwrap().len();
    for at in [0, 1, length / 2, length - 1] {
        let first = AtomicUsize::new(0);
        let double = Double::serve(&small(), move |asked| {
            let cut =
                asked.path.contains("/manifests/") && first.fetch_add(1, Ordering::Relaxed) == 0;
            let manifest = serde_json::to_vec(&small().manifest()).unwrap();
            cut.then(|| Answer::ok(manifest).cut(at))
        });
        Puller::new().ok(&double);
        assert_eq!(double.asked("/manifests/").len(), 2, "cut at {at}");
    }
}

#[test]
fn a_burst_of_errors_has_an_end() {
    let attempts = patience().attempts_max as usize;
    for (burst, passes) in [(attempts - 1, true), (attempts, false)] {
        let count = AtomicUsize::new(0);
        let double = Double::serve(&small(), move |asked| {
            let burst =
                asked.path.contains("/manifests/") && count.fetch_add(1, Ordering::Relaxed) < burst;
            burst.then(|| Answer::status(503))
        });
        let puller = Puller::new();
        match passes {
            true => puller.ok(&double),
            false => {
                let error = puller.fails(&double);
                assert!(error.contains(" answered 503 for image "), "{error}");
            }
        }
        assert_eq!(double.asked("/manifests/").len(), attempts);
    }
}

#[test]
fn what_lasts_is_asked_for_once() {
    for (status, text) in [
        (400, "answered 400"),
        (403, "refuses access to app"),
        (404, "not found in registry"),
        (501, "answered 501"),
    ] {
        let double = Double::serve(&small(), move |asked| {
            asked
                .path
                .contains("/manifests/")
                .then(|| Answer::status(status))
        });
        let error = Puller::new().fails(&double);
        assert!(error.contains(text), "{error}");
        assert_eq!(double.asked("/manifests/").len(), 1, "{status}");
    }
}

/// A registry that answers the first manifest request with this 429.
fn busy(headers: &'static [(&'static str, &'static str)]) -> Double {
    let first = AtomicUsize::new(0);
    Double::serve(&small(), move |asked| {
        let busy = asked.path.contains("/manifests/") && first.fetch_add(1, Ordering::Relaxed) == 0;
        busy.then(|| {
            let answer = Answer::status(429);
            headers
                .iter()
                .fold(answer, |answer, (name, value)| answer.with(name, *value))
        })
    })
}

/// The time between the first two requests for a manifest.
fn wait(double: &Double) -> Duration {
    let asked = double.asked("/manifests/");
    assert_eq!(asked.len(), 2);
    asked[1].at - asked[0].at
}

#[test]
fn a_registry_says_when_to_come_back() {
    const NOW: (&str, &str) = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for headers in [
        &[("Retry-After", "1")][..],
        &[NOW, ("Retry-After", "Sun, 06 Nov 1994 08:49:38 GMT")],
        &[NOW, ("Retry-After", "Sunday, 06-Nov-94 08:49:38 GMT")],
    ] {
        let (double, puller) = (busy(headers), Puller::new());
        puller.ok(&double);
        let wait = wait(&double);
        assert!(
            wait >= Duration::from_secs(1) && wait < Duration::from_secs(5),
            "{headers:?}: {wait:?}"
        );
        assert_eq!(puller.events("answered 429 and asks to wait 1 s"), 1);
    }
    // Without a word about when, the wait for busy registries holds.
    let double = busy(&[]);
    let busy_backoff = Duration::from_millis(800);
    Puller::with(Patience {
        busy_backoff,
        ..patience()
    })
    .ok(&double);
    assert!(wait(&double) >= busy_backoff * 3 / 4);
}

#[test]
fn a_wait_beyond_the_limit_is_an_error_with_advice() {
    let double = busy(&[("Retry-After", "61")]);
    let (puller, start) = (Puller::new(), Instant::now());
    let error = puller.pull(&double.url()).expect_err("too long");
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(super::chain(&error).contains("answered 429 for image"));
    assert_eq!(
        error.hint().unwrap(),
        "it asks to be left alone for 61 s: try again then"
    );
    assert_eq!(double.asked("/manifests/").len(), 1);
}

#[test]
fn silence_before_an_answer_is_no_answer() {
    let first = AtomicUsize::new(0);
    let double = Double::serve(&small(), move |asked| {
        if asked.path.contains("/manifests/") && first.fetch_add(1, Ordering::Relaxed) == 0 {
            Gate::default().pass();
        }
        None
    });
    let puller = Puller::with(Patience {
        silence: Duration::from_millis(500),
        ..patience()
    });
    puller.ok(&double);
    assert_eq!(puller.events("it did not answer in time"), 1);
    assert_eq!(double.asked("/manifests/").len(), 2);
}

#[test]
fn a_token_that_ends_midway_is_replaced() {
    let image = super::sized(20_000);
    let layer = image.layers[0].clone();
    let tokens = Arc::new(AtomicUsize::new(0));
    let uses = AtomicUsize::new(0);
    let double = Double::serve(&image, move |asked| {
        if asked.path == "/v2/" {
            return None;
        }
        if asked.path.starts_with("/token") {
            uses.store(0, Ordering::Relaxed);
            let number = tokens.fetch_add(1, Ordering::Relaxed) + 1;
            return Some(Answer::ok(format!(r#"{{"token":"t{number}"}}"#)));
        }
        let good = format!("Bearer t{}", tokens.load(Ordering::Relaxed));
        let is_good = asked.header("authorization") == Some(&good);
        // Each token is good for two requests.
        if !is_good || uses.fetch_add(1, Ordering::Relaxed) >= 2 {
            return Some(challenge(asked));
        }
        let cut = asked.path.contains(&layer.digest);
        cut.then(|| ranged(&layer.blob, asked).cut(5_000))
    });
    Puller::new().ok(&double);
    assert_eq!(double.served(&image.layers[0].digest), image.layers[0].size);
    assert!(double.asked("/token").len() >= 3, "{:?}", double.asked(""));
}

#[test]
fn credentials_do_not_go_where_a_redirect_leads() {
    let image = small();
    let layer = image.layers[0].digest.clone();
    let stranger = Double::serve(&image, |asked| match asked.path.as_str() {
        path if path.starts_with("/token") => Some(Answer::ok(r#"{"token":"t"}"#)),
        _ => Some(challenge(asked)),
    });
    let host = stranger.host();
    let double = Double::serve(&image, move |asked| {
        if asked.path != "/v2/" && asked.header("authorization").is_none() {
            let ask = "Basic realm=\"here\"";
            return Some(Answer::status(401).with("WWW-Authenticate", ask));
        }
        let moved = asked.path.contains(&layer);
        let location = format!("http://{host}{}", asked.path);
        moved.then(|| Answer::status(307).with("Location", location))
    });
    let ran = Home::new()
        .berth(["pull", "--creds", "user:pass", &double.url()])
        .fails(1)
        .one_error();
    ran.err_has(&format!("{} refuses access to app", stranger.host()));
    let own = double.asked("/blobs/");
    let is_ours = |asked: &Asked| asked.header("authorization") == Some("Basic dXNlcjpwYXNz");
    assert!(own.iter().any(is_ours), "{own:?}");
    assert_eq!(stranger.asked("").len(), 1, "{:?}", stranger.asked(""));
    assert_eq!(stranger.asked("")[0].header("authorization"), None);
    assert_eq!(stranger.asked("/token").len(), 0);
}
