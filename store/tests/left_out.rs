//! What OSTree cannot hold is not stored, but it is not as if it had never been: its name hides what is below.

mod tars;

use store::{Error, Image, ListDepth, ListedKind, Repo, import_layer, known_layer, list};
use tars::Item::{Dir, File, Hard, Link, Special};
use tars::{Item, Store, import, new_store, raw, tar_of};

fn pipe(path: &str) -> Item<'_> {
    Special(path, tar::EntryType::Fifo)
}

/// Every path of an image but the root, with owner and mode of a directory and the target of a link.
fn listing(repo: &Repo, image: &Image) -> Vec<String> {
    let mut out = Vec::new();
    list(repo, image.root, "/", ListDepth::All, &mut |entry| {
        let (uid, mode) = (entry.meta.uid, entry.meta.mode & 0o7777);
        out.push(match entry.kind {
            ListedKind::Dir { .. } => format!("{}/ {mode:o} {uid}", entry.path),
            ListedKind::Regular { .. } => entry.path,
            ListedKind::Symlink { target, .. } => format!("{} -> {target}", entry.path),
        });
        Ok::<(), Error>(())
    })
    .expect("list");
    out.remove(0);
    out.sort();
    out
}

fn merged(layers: &[Vec<Item<'_>>]) -> Vec<String> {
    let Store { temp: _temp, repo } = new_store();
    let tars: Vec<Vec<u8>> = layers.iter().map(|items| tar_of(items)).collect();
    listing(&repo, &tars::image(&repo, &tars))
}

#[test]
fn it_replaces_an_earlier_entry_of_its_layer() {
    assert_eq!(
        merged(&[vec![
            File("a", 0o644, b"a"),
            pipe("a"),
            Dir("d/", 0o755),
            File("d/x", 0o644, b"x"),
            Special("d", tar::EntryType::Block),
            pipe("back"),
            File("back", 0o644, b"b"),
        ]]),
        ["/back"]
    );
}

#[test]
fn it_hides_what_lower_layers_have() {
    let lower = || {
        vec![
            Dir("d/", 0o700),
            File("d/x", 0o644, b"x"),
            File("d/y", 0o644, b"y"),
            File("top", 0o644, b"t"),
            Dir("tree/", 0o755),
            File("tree/z", 0o644, b"z"),
        ]
    };
    assert_eq!(
        merged(&[lower(), vec![pipe("d/x"), pipe("top"), pipe("tree")]]),
        ["/d/ 700 70", "/d/y"]
    );
    assert_eq!(
        merged(&[
            lower(),
            vec![pipe("top"), pipe("tree")],
            vec![File("top", 0o644, b"again")],
        ]),
        ["/d/ 700 70", "/d/x", "/d/y", "/top"]
    );
    // Behind a link of a lower layer too.
    assert_eq!(
        merged(&[
            lower().into_iter().chain([Link("way", "d")]).collect(),
            vec![pipe("way/x")]
        ]),
        [
            "/d/ 700 70",
            "/d/y",
            "/top",
            "/tree/ 755 70",
            "/tree/z",
            "/way -> d"
        ]
    );
}

#[test]
fn a_hard_link_to_it_is_one_more() {
    let tar = tar_of(&[
        Hard("early", "null"),
        Special("null", tar::EntryType::Char),
        Hard("hard", "null"),
    ]);
    let Store { temp: _temp, repo } = new_store();
    let lower = tar_of(&[
        File("early", 0o644, b"e"),
        File("hard", 0o644, b"h"),
        File("null", 0o644, b"n"),
        File("other", 0o644, b"o"),
    ]);
    let layer = import(&repo, &tar).expect("import").layer;
    assert_eq!(
        layer.left_out,
        [
            "null: it is a character device",
            "hard: it is a hard link to an entry that is left out",
            "early: it is a hard link to an entry that is left out"
        ]
    );
    // And from a layer above.
    let upper = tar_of(&[Hard("other", "null")]);
    let image = tars::image(&repo, &[lower, tar, upper]);
    assert_eq!(listing(&repo, &image), [""; 0]);
}

#[test]
fn a_link_whose_target_is_not_utf8_hides_too_and_is_no_object() {
    let Store { temp: _temp, repo } = new_store();
    let lower = tar_of(&[File("l", 0o644, b"l"), File("m", 0o644, b"m")]);
    let upper = [raw(b"l", b'2', b"bad\xff", b""), vec![0; 1024]].concat();
    let layer = import(&repo, &upper).expect("import").layer;
    let shelves = std::fs::read_dir(repo.path().join("objects")).expect("objects");
    let files = shelves
        .flat_map(|dir| std::fs::read_dir(dir.expect("entry").path()).expect("objects"))
        .filter(|file| file.as_ref().expect("entry").path().extension() == Some("file".as_ref()))
        .count();
    assert_eq!(files, 1, "only the recipe is a file");
    let commit = repo.read_commit(&layer.commit).expect("commit");
    assert_eq!(commit.get_list("berth.hides"), ["l"]);
    let known = known_layer(&repo, &layer.diff_id)
        .expect("read")
        .expect("known");
    assert_eq!(known.commit, layer.commit);
    let image = tars::image(&repo, &[lower, upper]);
    assert_eq!(listing(&repo, &image), ["/m"]);
}

#[test]
fn there_may_not_be_too_many() {
    let names: Vec<String> = (0..=10_000).map(|n| format!("p{n}")).collect();
    let tar = tar_of(&names.iter().map(|name| pipe(name)).collect::<Vec<_>>());
    let Store { temp: _temp, repo } = new_store();
    let origin = store::LayerOrigin {
        diff_id: None,
        blob: None,
    };
    let error = import_layer(&repo, &mut &*tar, &origin, &store::LayerLimits::default())
        .expect_err("too many");
    assert_eq!(
        error.to_string(),
        "layer is too large: the limit is 10000 entries that OSTree cannot hold"
    );
}
