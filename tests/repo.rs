//! `berth repo`: fsck finds every kind of damage, prune and stat count right, mistakes are named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::checkout::pull;
use crate::support::Home;
use crate::support::image::Tar;

fn sample(home: &Home) {
    pull(
        home,
        "app",
        vec![
            Tar::new()
                .file("dir/file", "the content of a file")
                .symlink("dir/link", "file"),
        ],
    );
}

/// The object of that suffix which holds `text`.
fn object(home: &Home, suffix: &str, text: &str) -> PathBuf {
    let found = home
        .sh(&format!(
            "grep -rlF --include='*.{suffix}' {text:?} root/repo/objects | head -n 1"
        ))
        .ok();
    home.join(found.text())
}

fn id(object: &std::path::Path) -> String {
    let shelf = object
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    shelf + &object.file_stem().unwrap().to_string_lossy()
}

/// Damages one object and expects fsck to say so, with its place.
#[track_caller]
fn damaged(suffix: &str, text: &str, damage: impl FnOnce(&std::path::Path), says: &[&str]) {
    let home = Home::new();
    sample(&home);
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
    let object = object(&home, suffix, text);
    damage(&object);
    let ran = home.berth(["repo", "fsck"]).fails(1);
    for part in says {
        let part = part.replace("ID", &id(&object));
        assert!(
            ran.stdout.contains(&part),
            "no {part:?} in\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let report = home.berth(["repo", "fsck", "--json"]).fails(1).json();
    assert!(!report["problems"].as_array().unwrap().is_empty());
}

#[test]
fn fsck_finds_a_flipped_bit() {
    let flip = |object: &std::path::Path| {
        let mut bytes = fs::read(object).unwrap();
        bytes[3] ^= 1;
        fs::write(object, bytes).unwrap();
    };
    damaged(
        "file",
        "content of a file",
        flip,
        &["file ID is corrupt: expected ID, found ", "/dir/file)"],
    );
    damaged("dirtree", "link", flip, &["dirtree ID is corrupt"]);
    damaged("commit", "docker.manifest", flip, &["commit ID is corrupt"]);
}

#[test]
fn fsck_finds_a_truncated_and_a_missing_file() {
    let cut = |object: &std::path::Path| fs::write(object, "the").unwrap();
    damaged("file", "content of a file", cut, &["file ID is corrupt"]);
    let remove = |object: &std::path::Path| fs::remove_file(object).unwrap();
    damaged(
        "file",
        "content of a file",
        remove,
        &["file ID not found (in ", ":/dir/file)"],
    );
    damaged("dirtree", "link", remove, &["dirtree ID not found (in "]);
}

#[test]
fn fsck_finds_changed_modes_and_names() {
    let open = |object: &std::path::Path| {
        fs::set_permissions(object, fs::Permissions::from_mode(0o666)).unwrap()
    };
    damaged(
        "file",
        "content of a file",
        open,
        &["the mode of file ID is corrupt: expected 0644, found 0666"],
    );
    let swap = |object: &std::path::Path| {
        let other = object.with_file_name(format!("{}.file", "0".repeat(62)));
        fs::rename(object, other).unwrap();
    };
    damaged(
        "file",
        "content of a file",
        swap,
        &["file ID not found", "is corrupt: expected "],
    );
    let misname =
        |object: &std::path::Path| fs::rename(object, object.with_file_name("abc.file")).unwrap();
    damaged(
        "file",
        "content of a file",
        misname,
        &["abc.file is malformed: it is not an object's id"],
    );
}

#[test]
fn fsck_finds_lost_metadata_and_bad_refs() {
    let home = Home::new();
    sample(&home);
    let object = object(&home, "file", "content of a file");
    home.sh(&format!("setfattr -x user.ostreemeta {}", object.display()))
        .ok();
    home.berth(["repo", "fsck"])
        .fails(1)
        .out_has("it has no user.ostreemeta");
    let home = Home::new();
    sample(&home);
    home.write("root/repo/refs/heads/broken", "not a commit\n");
    home.berth(["repo", "fsck"])
        .fails(1)
        .out_has("ref broken is malformed");
}

#[test]
fn prune_keeps_commits_unless_only_refs_count() {
    let home = Home::new();
    home.sh("mkdir d && echo a >d/a").ok();
    home.berth(["repo", "commit", "-b", "test/a", "d"]).ok();
    home.berth(["repo", "refs", "--delete", "test/a"]).ok();
    home.berth(["repo", "prune"])
        .ok()
        .out_has("No unreachable objects");
    let dry = home
        .berth(["repo", "prune", "--refs-only", "--dry-run"])
        .ok();
    assert!(
        dry.stdout.contains("Would delete: 4 objects"),
        "{}",
        dry.stdout
    );
    home.berth(["repo", "prune", "--refs-only"])
        .ok()
        .out_has("Deleted 4 objects");
    home.berth(["repo", "refs", "--delete", "test/a"])
        .ok()
        .err_has("note: there is no ref test/a");
}

#[test]
fn stat_shows_what_sharing_saves() {
    let home = Home::new();
    let large = "x".repeat(100_000);
    pull(&home, "one", vec![Tar::new().file("large", &large)]);
    pull(
        &home,
        "two",
        vec![Tar::new().file("large", &large).file("more", "more")],
    );
    let stat = home.berth(["repo", "stat", "--json"]).ok().json();
    let ratio = stat["dedup_ratio"].as_f64().unwrap();
    assert!((1.5..2.0).contains(&ratio), "{stat}");
    let images = home.berth(["images", "--json"]).ok().json();
    for image in images.as_array().unwrap() {
        assert!(image["size"].as_u64().unwrap() >= 100_000, "{image}");
        assert!(image["unique"].as_u64().unwrap() < 50_000, "{image}");
    }
}

#[test]
fn refs_hide_book_keeping_unless_asked() {
    let home = Home::new();
    sample(&home);
    assert_eq!(
        home.berth(["repo", "refs"]).ok().text(),
        "ocifs/app\nociimage/app"
    );
    let all = home.berth(["repo", "refs", "--all"]).ok();
    assert!(all.stdout.contains("ocilayer/"), "{}", all.stdout);
    home.berth(["repo", "rev-parse", "nothing/here"])
        .fails(1)
        .one_error()
        .err_has("revision nothing/here not found");
    home.berth(["repo", "rev-parse", "ocifs/app^^^^^"])
        .fails(1)
        .one_error();
}

#[test]
fn history_tells_how_an_image_was_built() {
    let home = Home::new();
    pull(
        &home,
        "app",
        vec![Tar::new().file("a", "a"), Tar::new().file("b", "b")],
    );
    let steps = home.berth(["history", "--json", "app"]).ok().json();
    assert_eq!(steps.as_array().unwrap().len(), 2);
    assert!(
        steps[0]["id"].is_string() && steps[1]["id"].is_null(),
        "{steps}"
    );
    home.berth(["history", "app"]).ok().out_has("CREATED BY");
}
