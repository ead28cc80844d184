//! Layers that are little to send and much to keep: they end at the limit, and leave nothing.

use store::LayerLimits;

use super::{Puller, chain, names};
use crate::pull::double::Double;
use crate::pull::noise;
use crate::support::Home;
use crate::support::image::{Form, Header, Image, Layer, Layout, Tar};

const MIB: u64 = 1 << 20;

/// What a repository takes, in kilobytes, and what it has in all.
fn du(puller: &Puller) -> (u64, Vec<String>) {
    let repo = puller.temp.path().join("repo");
    let ran = std::process::Command::new("du")
        .args(["-sk", "--apparent-size"])
        .arg(repo.join("objects"))
        .output()
        .unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let kilobytes = text.split_whitespace().next().unwrap().parse().unwrap();
    (kilobytes, names(&repo.join("tmp")))
}

fn zeros(name: &str, size: u64) -> Tar {
    Tar::new().file(name, vec![0; usize::try_from(size).unwrap()])
}

/// Pulls `tar` in both compressions and from a registry, at most `limits`.
#[track_caller]
fn refused(tar: &[u8], limits: &LayerLimits, error: &str) {
    for form in [Form::Gzip, Form::Zstd] {
        let image = Image::new([Layer::new(tar.to_vec(), form)]);
        let double = Double::serve(&image, |_| None);
        let mut puller = Puller::new();
        puller.limits = limits.clone();
        let before = du(&puller);
        let text = puller.fails(&double);
        assert!(text.contains(error), "{form:?}: {text}");
        assert_eq!(du(&puller), before, "{form:?}: nothing is left");
        assert_eq!(puller.kept(), Vec::<u64>::new());
    }
}

#[track_caller]
fn taken(tar: &[u8], limits: &LayerLimits) {
    for form in [Form::Gzip, Form::Zstd] {
        let image = Image::new([Layer::new(tar.to_vec(), form)]);
        let mut puller = Puller::new();
        puller.limits = limits.clone();
        puller.ok(&Double::serve(&image, |_| None));
    }
}

#[test]
fn a_file_and_all_files_end_at_their_limits() {
    let limits = LayerLimits {
        file_bytes_max: 3 * MIB,
        content_bytes_max: 4 * MIB,
        ..LayerLimits::default()
    };
    taken(&zeros("a", 3 * MIB).finish(), &limits);
    refused(
        &zeros("a", 3 * MIB + 1).finish(),
        &limits,
        r#"entry "a": it is over 3145728 bytes"#,
    );
    let two = |second| {
        let tar = zeros("a", 2 * MIB);
        tar.file("b", vec![1; usize::try_from(second).unwrap()])
            .finish()
    };
    taken(&two(2 * MIB), &limits);
    refused(
        &two(2 * MIB + 1),
        &limits,
        "is too large: the limit is 4194304 bytes of files",
    );
}

#[test]
fn a_tar_and_its_entries_end_at_their_limits() {
    let tar = zeros("a", 2 * MIB).finish();
    let size = tar.len() as u64;
    let of = |tar_bytes_max, entries_max| LayerLimits {
        tar_bytes_max,
        entries_max,
        ..LayerLimits::default()
    };
    taken(&tar, &of(size, 1));
    let error = format!("is too large: the limit is {} bytes", size - 1);
    refused(&tar, &of(size - 1, 1), &error);
    // What follows the end of a tar counts as well.
    let padded = [&tar[..], &vec![0; 65_536]].concat();
    let error = format!("is too large: the limit is {size} bytes");
    refused(&padded, &of(size, 1), &error);
    let two = Tar::new().file("a", "a").dir("b").finish();
    taken(&two, &of(size, 2));
    refused(&two, &of(size, 1), "is too large: the limit is 1 entries");
}

/// A sparse file of `size` bytes without any data, in the PAX form.
fn sparse(name: &str, size: u64) -> Tar {
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    Tar::new()
        .pax(&[
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", name),
            ("GNU.sparse.realsize", &size.to_string()),
        ])
        .file("GNUSparseFile.0/x", map)
}

/// The same in the form of old GNU tars.
fn old_sparse(name: &str, size: u64) -> Tar {
    let header = Header {
        name: name.into(),
        kind: b'S',
        ..Header::default()
    };
    let mut block = header.block();
    block[257..265].copy_from_slice(b"ustar  \0");
    block[345..].fill(0);
    block[483] = 0x80;
    block[487..495].copy_from_slice(&size.to_be_bytes());
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Tar::new().raw(&block)
}

#[test]
fn holes_end_at_their_limit() {
    let limits = LayerLimits {
        hole_bytes_max: 3 * MIB,
        ..LayerLimits::default()
    };
    for form in [sparse, old_sparse] {
        taken(&form("a", 3 * MIB).finish(), &limits);
        refused(
            &form("a", 3 * MIB + 1).finish(),
            &limits,
            "is too large: the limit is 3145728 bytes of holes",
        );
        // Holes of all files count together, and their data does not.
        let several = |last| {
            let first = form("a", 2 * MIB).unfinished();
            let second = form("b", last).unfinished();
            let data = zeros("c", 2 * MIB);
            Tar::new().raw(&first).raw(&second).raw(&data.finish())
        };
        taken(&several(MIB).unfinished(), &limits);
        refused(
            &several(MIB + 1).unfinished(),
            &limits,
            "is too large: the limit is 3145728 bytes of holes",
        );
    }
}

#[test]
fn eight_tebibytes_of_nothing_are_refused_at_once() {
    for (form, why) in [
        (
            sparse as fn(&str, u64) -> Tar,
            "it is over 68719476736 bytes",
        ),
        (old_sparse, "it is over 68719476736 bytes"),
    ] {
        let image = Image::of(form("huge", 8 << 40));
        let home = Home::new();
        Layout::with(&home.join("bad"), &image);
        let source = format!("oci:{}", home.join("bad").display());
        let start = std::time::Instant::now();
        let ran = home.berth(["pull", &source]).fails(1).one_error();
        ran.err_has(&format!(r#"is malformed: entry "huge": {why}"#));
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
        let du = home
            .sh("find $ROOT/repo/objects -type f | wc -l; ls $ROOT/repo/tmp")
            .ok();
        assert_eq!(du.stdout, "0\n");
    }
    // What fits the limit of one file, and not that of holes.
    refused(
        &sparse("huge", 64 << 30).finish(),
        &LayerLimits::default(),
        "is too large: the limit is 17179869184 bytes of holes",
    );
}

#[test]
fn a_layer_of_many_files_leaves_nothing_that_gc_does_not_take() {
    let mut tar = Tar::new();
    for number in 0..5000 {
        tar = tar.file(&format!("d/{number}"), format!("{number}"));
    }
    let odd = Header {
        name: b"d/x".to_vec(),
        kind: b'Z',
        ..Header::default()
    };
    let home = Home::new();
    Layout::with(&home.join("bad"), &Image::of(tar.entry(&odd, b"")));
    let source = format!("oci:{}", home.join("bad").display());
    home.berth(["pull", &source])
        .fails(1)
        .one_error()
        .err_has("an entry has the unknown type 'Z'");
    let left = |home: &Home| {
        home.sh("find $ROOT/repo/objects -type f | wc -l; ls $ROOT/repo/tmp")
            .ok()
            .stdout
    };
    assert!(left(&home).lines().count() == 1, "nothing is staged");
    home.berth(["gc"]).ok();
    assert_eq!(left(&home), "0\n");
}

/// A zstd frame with this window, whose one block is `tar` as it is.
fn frame(window: u8, tar: &[u8]) -> Vec<u8> {
    let block = u32::try_from(tar.len()).unwrap() << 3 | 1;
    let head = [0x28, 0xb5, 0x2f, 0xfd, 0, window];
    [&head, &block.to_le_bytes()[..3], tar].concat()
}

#[test]
fn a_zstd_window_ends_at_its_limit() {
    let tar = Tar::new().file("a", "a").finish();
    // An exponent over 2^10, and eighths of it: 128 MiB, and the next size there is.
    for (window, is_taken) in [(17 << 3, true), (17 << 3 | 1, false), (0xff, false)] {
        let mut layer = Layer::new(tar.clone(), Form::Plain);
        layer.blob = frame(window, &tar);
        layer.size = layer.blob.len() as u64;
        layer.digest = crate::support::digest(&layer.blob);
        let image = Image::new([layer]);
        let double = Double::serve(&image, |_| None);
        let puller = Puller::new();
        match is_taken {
            true => puller.ok(&double),
            false => {
                let text = puller.fails(&double);
                assert!(text.contains("is corrupt: not valid zstd"), "{text}");
            }
        }
    }
}

#[test]
fn what_was_kept_of_a_bomb_is_not_kept_on() {
    let tar = Tar::new()
        .file("noise", noise(9_000_000))
        .file("bomb", vec![0; 5_000_000]);
    let image = Image::new([Layer::new(tar.finish(), Form::Gzip)]);
    let mut puller = Puller::new();
    puller.limits.content_bytes_max = 10_000_000;
    let error = puller
        .pull(&Double::serve(&image, |_| None).url())
        .expect_err("a bomb");
    assert!(chain(&error).contains("10000000 bytes of files"));
    puller.nothing_is_left();
    assert_eq!(puller.kept(), Vec::<u64>::new());
}
