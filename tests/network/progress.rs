//! What a pull says while it runs: on a terminal, off it, and to programs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::sized;
use crate::pull::double::{Answer, Double, Gate, ranged};
use crate::support::Home;
use crate::support::digest;
use crate::support::image::Image;
use crate::support::user::Running;

/// A registry whose layer stops after half until the gate opens.
fn halting(image: &Image) -> (Double, Gate) {
    let gate = Gate::default();
    let (layer, opened) = (image.layers[0].clone(), gate.clone());
    let double = Double::serve(image, move |asked| {
        let is_layer = asked.path.contains(&layer.digest);
        is_layer.then(|| ranged(&layer.blob, asked).pause(layer.blob.len() / 2, &opened))
    });
    (double, gate)
}

fn until(running: &mut Running, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.stderr().contains(text) {
        let said = running.stderr();
        assert!(!running.has_ended(), "it ended without {text:?}\n{said}");
        assert!(Instant::now() < deadline, "never said {text:?}\n{said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a pull of the image prints to stdout.
fn result(double: &Double, image: &Image) -> String {
    let manifest = serde_json::to_vec(&image.manifest()).unwrap();
    format!("{}/app:latest@{}\n", double.host(), digest(&manifest))
}

#[test]
fn off_a_terminal_lines_come_also_while_nothing_does() {
    let image = sized(4_000_000);
    let (double, gate) = halting(&image);
    let home = Home::new();
    let mut running = home.berth(["pull", &double.url()]).start();
    until(&mut running, "fetched ");
    until(&mut running, " of 4.00MB, nothing new for ");
    gate.open();
    let ran = running.wait().code(0);
    assert_eq!(ran.stdout, result(&double, &image));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let first = lines
        .iter()
        .find(|line| line.starts_with("fetched "))
        .unwrap();
    let words: Vec<&str> = first.split(' ').collect();
    // fetched 2.00MB of 4.00MB, 400kB/s, 5 s left
    assert!(
        words.len() == 8 && words[4].ends_with("B/s,") && words[7] == "left",
        "{first}"
    );
    assert!(!ran.stderr.contains('\r') && !ran.stderr.contains('\u{1b}'));
}

#[test]
fn a_registry_that_does_not_answer_is_waited_for_aloud() {
    let gate = Gate::default();
    let opened = gate.clone();
    let double = Double::serve(&sized(100), move |asked| {
        if asked.path.contains("/manifests/") {
            opened.pass();
        }
        None
    });
    let home = Home::new();
    let mut running = home.berth(["pull", &double.url()]).start();
    until(&mut running, "still at it: nothing new for ");
    gate.open();
    running.wait().code(0);
    // Quiet is quiet.
    let ran = home.berth(["pull", "-q", &double.url()]).ok();
    assert_eq!(ran.stderr, "");
}

fn keys(event: &Value) -> BTreeSet<&str> {
    event
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn for_programs_every_line_is_an_object_with_its_keys() {
    let image = sized(4_000_000);
    let (double, gate) = halting(&image);
    let home = Home::new();
    let mut running = home
        .berth(["--progress", "json", "pull", &double.url()])
        .start();
    until(&mut running, r#""event":"progress""#);
    gate.open();
    let ran = running.wait().code(0);
    assert_eq!(ran.stdout, result(&double, &image));
    let events: Vec<Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let find = |name: &str| {
        let found = events.iter().find(|event| event["event"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {events:?}"))
    };
    for (name, expected) in [
        ("plain-http", &["event", "host"][..]),
        (
            "resolved",
            &["bytes", "digest", "event", "layers", "missing", "name"],
        ),
        ("layer-started", &["bytes", "digest", "event", "resumed"]),
        ("layer-progress", &["bytes", "digest", "event"]),
        (
            "progress",
            &[
                "bytes",
                "bytes_per_second",
                "event",
                "seconds_left",
                "still_seconds",
                "total",
            ],
        ),
        (
            "layer-done",
            &["digest", "event", "new_bytes", "new_objects"],
        ),
    ] {
        assert_eq!(
            keys(find(name)),
            expected.iter().copied().collect(),
            "{name}"
        );
    }
    let size = image.layers[0].size;
    let progress = find("progress");
    assert_eq!(progress["total"], size);
    let bytes = progress["bytes"].as_u64().unwrap();
    assert!(bytes > size / 4 && bytes <= size / 2, "{progress}");
    assert!(progress["bytes_per_second"].as_u64().unwrap() > 0);
    assert_eq!(find("layer-started")["bytes"], size);
    assert_eq!(find("resolved")["missing"], 1);
}

#[test]
fn for_programs_warnings_are_objects_too() {
    let image = sized(50_000);
    let layer = image.layers[0].clone();
    let first = std::sync::atomic::AtomicBool::new(true);
    let double = Double::serve(&image, move |asked| {
        if !asked.path.contains(&layer.digest) {
            return None;
        }
        let is_first = first.swap(false, std::sync::atomic::Ordering::Relaxed);
        is_first.then(|| Answer::status(503))
    });
    let home = Home::new();
    let ran = home
        .berth(["--progress", "json", "pull", &double.url()])
        .ok();
    let retry = ran
        .stderr
        .lines()
        .find(|line| line.contains("retry"))
        .unwrap();
    let retry: Value = serde_json::from_str(retry).unwrap();
    let expected = ("blob ", format!("{} answered 503", double.host()));
    assert!(retry["what"].as_str().unwrap().starts_with(expected.0));
    assert_eq!(retry["why"], expected.1.as_str());
    assert!(
        ran.stderr.lines().all(|line| line.starts_with('{')),
        "{}",
        ran.stderr
    );
}

/// Runs a pull with stderr on a terminal of its own, stdout in a file; gives the two.
fn on_a_terminal(home: &Home, url: &str) -> (i32, String, String) {
    let line = format!("$BERTH --root $ROOT pull {url} >out");
    let ran = home
        .program("script")
        .args(["-qefc", &line, "terminal"])
        .env("TERM", "xterm")
        .run();
    let read =
        |name: &str| String::from_utf8_lossy(&std::fs::read(home.join(name)).unwrap()).into_owned();
    (ran.exit(), read("out"), read("terminal"))
}

#[test]
fn on_a_terminal_a_bar_shows_rate_and_time_left() {
    let image = sized(4_000_000);
    let layer = image.layers[0].clone();
    let double = Double::serve(&image, move |asked| {
        let is_layer = asked.path.contains(&layer.digest);
        is_layer.then(|| ranged(&layer.blob, asked).pace(400_000, Duration::from_millis(250)))
    });
    let home = Home::new();
    let (code, out, terminal) = on_a_terminal(&home, &double.url());
    assert_eq!(code, 0, "{terminal}");
    assert_eq!(out, result(&double, &image));
    let bar = terminal
        .split(['\r', '\n'])
        .find(|line| line.contains("MB/s") && line.contains("4.00 MB"))
        .unwrap_or_else(|| panic!("no bar in {terminal:?}"));
    assert!(bar.contains(&image.layers[0].digest[7..19]), "{bar:?}");
    // the time left, in seconds
    let left = bar.trim_end().rsplit(' ').next().unwrap();
    assert!(
        left.contains('s') && left.starts_with(|c: char| c.is_ascii_digit()),
        "{bar:?}"
    );
    assert!(!terminal.contains("app:latest@"), "results are for stdout");
    assert!(!terminal.contains("fetched "), "lines are for elsewhere");
}

#[test]
fn on_a_terminal_an_error_stands_below_the_bars() {
    let image = sized(50_000);
    let layer = image.layers[0].clone();
    let double = Double::serve(&image, move |asked| {
        let is_layer = asked.path.contains(&layer.digest);
        is_layer.then(|| Answer::ok(vec![7; layer.blob.len()]))
    });
    let home = Home::new();
    let (code, out, terminal) = on_a_terminal(&home, &double.url());
    assert_eq!((code, out.as_str()), (1, ""), "{terminal}");
    let error = terminal
        .split('\n')
        .find(|line| line.contains("error: "))
        .unwrap();
    let error = error.trim_start_matches(['\r', ' ']);
    assert!(
        error
            .rsplit('\u{1b}')
            .next()
            .unwrap()
            .contains("error: cannot pull "),
        "{error:?}"
    );
}
