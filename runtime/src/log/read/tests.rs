use std::sync::mpsc;

use store::oci::ContainerConfig;

use super::super::file::{FileWriter, path};
use super::*;
use crate::container::Containers;
use crate::ids::IdMaps;
use crate::options::Settings;
use crate::proc::ProcessId;
use crate::record::{Notes, Record};

const NOW: u64 = 1_795_356_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const ALL: LogsOptions = LogsOptions {
    tail: None,
    since: None,
    until: None,
    follow: false,
    patience: None,
};

/// A container that was never started, with files of so many bytes.
fn container(root: &tempfile::TempDir, file_bytes_max: u64, files_max: u32) -> Container {
    let id = "0".repeat(64);
    let containers = Containers::open(root.path(), &root.path().join("run"));
    let mut settings = Settings::default();
    settings.life.log.file_bytes_max = file_bytes_max;
    settings.life.log.files_max = files_max;
    let dir = root.path().join("containers").join(&id);
    std::fs::create_dir_all(&dir).expect("made");
    Container {
        record: Record {
            id: id.clone(),
            name: "web".into(),
            image: "busybox".into(),
            image_id: format!("sha256:{id}").parse().expect("a digest"),
            created: 0,
            settings,
            config: ContainerConfig::default(),
            lower: dir.clone(),
            maps: IdMaps::single(0, 0),
            mounts: Vec::new(),
        },
        bundle: dir.clone(),
        dir,
        containers,
    }
}

fn writer(container: &Container) -> FileWriter {
    FileWriter::new(&container.dir, &container.record.settings.life.log)
}

/// What is shown, stderr in brackets, and how much was damaged.
fn read(container: &Container, options: &LogsOptions) -> (String, u64) {
    let mut text = String::new();
    let containers = std::slice::from_ref(container);
    let report = logs(containers, options, &mut |piece| {
        let words = String::from_utf8_lossy(piece.text).into_owned();
        let begins = if piece.begins { "" } else { "+" };
        let ends = if piece.ends { "\n" } else { "" };
        match piece.stream {
            Stream::Stdout => text.push_str(&format!("{begins}{words}{ends}")),
            Stream::Stderr => text.push_str(&format!("[{begins}{words}{ends}]")),
        }
        ControlFlow::Continue(())
    })
    .expect("read");
    (text, report.damaged)
}

fn tail(container: &Container, lines: u64) -> String {
    read(
        container,
        &LogsOptions {
            tail: Some(lines),
            ..ALL
        },
    )
    .0
}

#[test]
fn all_files_are_read_the_oldest_first() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 200, 5);
    assert_eq!(read(&container, &ALL), (String::new(), 0), "no log yet");
    let mut log = writer(&container);
    let mut whole = String::new();
    for number in 0..24 {
        let line = format!("line {number}\n");
        log.write(Stream::Stdout, line.as_bytes(), NOW)
            .expect("written");
        whole.push_str(&line);
    }
    let shown = read(&container, &ALL).0;
    let files = (0..9).filter(|index| path(&container.dir, *index).exists());
    assert_eq!(files.count(), 5);
    assert!(
        whole.ends_with(&shown) && shown.starts_with("line 4\n"),
        "{shown}"
    );
    for lines in 0..=20 {
        let expected: String = (24 - lines..24).map(|n| format!("line {n}\n")).collect();
        assert_eq!(tail(&container, lines), expected);
    }
    assert_eq!(tail(&container, 21), shown);
    assert_eq!(tail(&container, u64::MAX), shown);
}

#[test]
fn pieces_of_a_line_are_one_line() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 1 << 20, 2);
    let mut log = writer(&container);
    for (stream, text) in [
        (Stream::Stdout, "before\nun"),
        (Stream::Stderr, "oops\n"),
        (Stream::Stdout, "fin"),
        (Stream::Stdout, "ished\nend"),
    ] {
        log.write(stream, text.as_bytes(), NOW).expect("written");
    }
    assert_eq!(
        read(&container, &ALL).0,
        "before\nun[oops\n]+fin+ished\nend"
    );
    assert_eq!(tail(&container, 0), "");
    assert_eq!(tail(&container, 1), "end");
    assert_eq!(tail(&container, 2), "fin+ished\nend");
    assert_eq!(tail(&container, 3), "un[oops\n]+fin+ished\nend");
    assert_eq!(tail(&container, 4), "before\nun[oops\n]+fin+ished\nend");
}

#[test]
fn long_lines_come_out_as_they_went_in() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 64 << 20, 2);
    let line: String = ('a'..='z').cycle().take(1 << 20).collect();
    let mut log = writer(&container);
    log.write(Stream::Stdout, format!("{line}\nshort\n").as_bytes(), NOW)
        .expect("written");
    assert_eq!(
        read(&container, &ALL).0.replace('+', ""),
        format!("{line}\nshort\n")
    );
    assert_eq!(
        tail(&container, 2).replace('+', ""),
        format!("{line}\nshort\n")
    );
    assert_eq!(tail(&container, 1), "short\n");
}

#[test]
fn times_are_a_range_that_begins_with_since() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 1 << 20, 2);
    let mut log = writer(&container);
    for number in 0..5 {
        let line = format!("{number}\n");
        log.write(Stream::Stdout, line.as_bytes(), NOW + number * SECOND)
            .expect("written");
    }
    let between = |since: Option<u64>, until: Option<u64>, tail: Option<u64>| {
        let at = |seconds: u64| NOW + seconds * SECOND;
        let (since, until) = (since.map(at), until.map(at));
        read(
            &container,
            &LogsOptions {
                since,
                until,
                tail,
                ..ALL
            },
        )
        .0
    };
    assert_eq!(between(Some(2), None, None), "2\n3\n4\n");
    assert_eq!(between(None, Some(2), None), "0\n1\n");
    assert_eq!(between(Some(1), Some(3), None), "1\n2\n");
    assert_eq!(between(Some(9), None, None), "");
    // As podman has it, the last lines are those of all times.
    assert_eq!(between(None, Some(4), Some(2)), "3\n");
}

#[test]
fn what_is_damaged_is_counted_and_the_rest_is_shown() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 1 << 20, 3);
    let head = "2026-11-22T14:00:00.000000000Z";
    let long = "x".repeat(3 * RECORD_BYTES_MAX);
    for (text, expected) in [
        (
            format!("{head} stdout F a\nrubbish\n{head} stderr F b\n"),
            ("a\n[b\n]", 1),
        ),
        (
            format!("{head} stdout F a\n{head} stdout F cut o"),
            ("a\ncut o", 0),
        ),
        (format!("{head} stdout F a\n{head} std"), ("a\n", 1)),
        (
            format!("{head} stdout F a\n{long}\n{head} stdout F b\n"),
            ("a\nb\n", 1),
        ),
        (format!("{head} stdout F a\n{long}"), ("a\n", 1)),
        ("\0".repeat(4096), ("", 1)),
        ("\n\n".into(), ("", 2)),
        (String::new(), ("", 0)),
    ] {
        std::fs::write(path(&container.dir, 0), &text).expect("written");
        let shown = read(&container, &ALL);
        assert_eq!((shown.0.as_str(), shown.1), expected);
        // Whatever it finds, looking for the end ends.
        assert!(expected.0.ends_with(&tail(&container, 1)));
    }
    // A record that was cut off before its file was rotated.
    std::fs::write(
        path(&container.dir, 1),
        format!("{head} stdout F one\n{head} stdout F tw"),
    )
    .expect("written");
    std::fs::write(path(&container.dir, 0), format!("{head} stdout F three\n")).expect("written");
    assert_eq!(read(&container, &ALL), ("one\ntw+three\n".into(), 0));
}

#[test]
fn other_drivers_say_where_the_output_is() {
    let root = tempfile::tempdir().expect("a directory");
    let mut container = container(&root, 1, 1);
    for (driver, hint) in [
        (
            LogDriver::Journald,
            format!("journalctl CONTAINER_ID_FULL={}", "0".repeat(64)),
        ),
        (LogDriver::None, "its output is kept nowhere".into()),
        (LogDriver::Passthrough, "its output is kept nowhere".into()),
    ] {
        container.record.settings.life.log.driver = driver;
        let error = logs(&[container.clone()], &ALL, &mut |_| {
            ControlFlow::Continue(())
        });
        let error = error.expect_err("not in a file");
        let name = driver.name();
        assert_eq!(
            error.to_string(),
            format!("cannot read the log of container web: its log driver is {name}")
        );
        assert_eq!(error.hint(), Some(hint.as_str()));
    }
}

/// The supervisor's notes of a container that runs, or has ended.
fn note(container: &Container, exit_code: Option<i32>) {
    let notes = Notes {
        supervisor: Some(ProcessId::of(std::process::id().cast_signed()).expect("we run")),
        exit_code,
        finished: exit_code.map(|_| NOW),
        ..Notes::default()
    };
    notes.write(&container.dir).expect("noted");
}

#[test]
fn following_loses_nothing_to_rotation_and_ends_with_the_container() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 1000, 3);
    note(&container, None);
    let (shown, seen) = mpsc::channel();
    let reader = std::thread::spawn({
        let container = container.clone();
        move || {
            let options = LogsOptions {
                follow: true,
                ..ALL
            };
            logs(&[container], &options, &mut |piece| {
                shown
                    .send(String::from_utf8_lossy(piece.text).into_owned())
                    .expect("sent");
                ControlFlow::Continue(())
            })
        }
    });
    let mut log = writer(&container);
    for number in 0..500 {
        let line = format!("line {number}");
        log.write(Stream::Stdout, format!("{line}\n").as_bytes(), NOW)
            .expect("written");
        // The reader may be a file behind and no more: what has been rotated away is gone.
        assert_eq!(
            seen.recv_timeout(Duration::from_secs(60)).expect("a line"),
            line
        );
    }
    assert!(path(&container.dir, 2).exists(), "it was rotated");
    log.write(Stream::Stdout, b"last", NOW).expect("written");
    note(&container, Some(0));
    reader.join().expect("no panic").expect("read");
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["last"]);
}

#[test]
fn following_ends_when_nobody_looks_or_the_time_is_up() {
    let root = tempfile::tempdir().expect("a directory");
    let container = container(&root, 1000, 3);
    note(&container, None);
    writer(&container)
        .write(Stream::Stdout, b"1\n2\n", NOW)
        .expect("written");
    let options = LogsOptions {
        follow: true,
        ..ALL
    };
    let mut count = 0;
    let stop = &mut |_: LogPiece<'_>| {
        count += 1;
        ControlFlow::Break(())
    };
    logs(std::slice::from_ref(&container), &options, stop).expect("read");
    assert_eq!(count, 1);
    let patience = Some(Duration::from_millis(20));
    assert_eq!(
        read(
            &container,
            &LogsOptions {
                patience,
                ..options
            }
        )
        .0,
        "1\n2\n"
    );
}
