//! Bundles that are broken, or made by somebody who lies: nothing of them stays.

mod hosts;
mod tars;

use hosts::{
    HEAD, Hosts, TRAILER, gc_options, listing, load, refused, resolved, save, small_hosts, sound,
};
use store::{
    BundleOptions, Commit, DiffId, Digest, DirTree, Entry, LayerLimits, Meta, Mtime, RefName, Repo,
    S_IFREG, TreeId, UntagOptions, Xattrs, read_bundle, untag, write_bundle,
};
use tars::Item::File;
use tars::{image_named, new_store, tar_of};

#[test]
fn no_byte_can_change_and_none_be_missing() {
    let Hosts { from, to, old, new } = small_hosts();
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let before = listing(&to.repo);
    let head = 8..HEAD;
    let end = bundle.len() - TRAILER;
    for at in 0..bundle.len() {
        // All in the frame's own head, where a bit may mean nothing to who reads it.
        let bits: &[u8] = match at {
            at if at < HEAD + 12 => &[1, 2, 4, 8, 16, 32, 64, 128],
            _ => &[0xff, 1],
        };
        for bit in bits {
            let mut flipped = bundle.clone();
            flipped[at] ^= bit;
            let error = load(&to.repo, &flipped).expect_err("flipped").to_string();
            assert!(!error.contains('\n'));
            if at < 8 {
                assert_eq!(error, "the bundle is malformed: it does not begin as one");
            } else if head.contains(&at) {
                assert!(
                    error.ends_with("not supported") || error.contains("ids are"),
                    "{error}"
                );
            } else if (end..end + 32).contains(&at) {
                assert!(
                    error.starts_with("the bundle does not match: expected sha256:"),
                    "{error}"
                );
            }
        }
        let error = load(&to.repo, &bundle[..at]).expect_err("cut");
        assert_eq!(
            error.to_string(),
            "the bundle is malformed: it is cut short",
            "at {at}"
        );
    }
    refused(
        &to.repo,
        &[&bundle[..], b"x"].concat(),
        "the bundle is malformed: something stands behind its end",
    );
    assert_eq!(listing(&to.repo), before);
    load(&to.repo, &bundle).expect("the bundle itself");
}

/// Only one byte of so many is changed where each costs a whole load.
const STEP: usize = 5;

/// What is inside the frame.
fn body(bundle: &[u8]) -> Vec<u8> {
    zstd::decode_all(&bundle[HEAD..bundle.len() - TRAILER]).expect("frame")
}

/// A bundle of that body whose frame and digest are right.
fn sealed(bundle: &[u8], body: &[u8]) -> Vec<u8> {
    let frame = zstd::encode_all(body, 1).expect("frame");
    let mut sealed = [&bundle[..HEAD], &frame].concat();
    let digest = Digest::of(&sealed);
    sealed.extend_from_slice(digest.as_bytes());
    sealed.extend_from_slice(b"LDBHTREB");
    sealed
}

/// Somebody who writes bundles by hand can change names and times, or bring an image with another manifest, which is an
/// image with another digest; nothing else.
#[test]
fn a_lie_is_found_or_is_none() {
    let Hosts { from, to, old, new } = small_hosts();
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let honest = body(&bundle);
    let before = listing(&to.repo);
    let manifest = &new.manifest.raw;
    let begin = honest
        .windows(manifest.len())
        .position(|window| window == manifest);
    let begin = begin.expect("the manifest");
    let manifest = begin..begin + manifest.len();
    let (mut taken, mut others) = (0, 0);
    for at in (0..honest.len()).step_by(STEP) {
        let mut lie = honest.clone();
        lie[at] ^= 0x15;
        match load(&to.repo, &sealed(&bundle, &lie)) {
            Err(error) => {
                assert!(!error.to_string().contains('\n'));
                assert_eq!(listing(&to.repo), before, "byte {at}: {error}");
            }
            Ok(loaded) => {
                let image = &loaded.images[0];
                assert_eq!((image.id, image.root), (new.id, new.root));
                if manifest.contains(&at) {
                    others += 1;
                    assert_eq!(image.digest, Digest::of(&lie[manifest.clone()]));
                } else {
                    taken += 1;
                    assert_eq!((image.digest, image.flat), (new.digest, new.flat));
                }
                sound(&to.repo, image);
                let options = UntagOptions { force: true };
                untag(&to.repo, image.name.as_str(), &options).expect("untag");
                store::gc(&to.repo, &gc_options()).expect("gc");
                assert_eq!(listing(&to.repo), before, "byte {at}");
            }
        }
    }
    // Two names and the digests of the old image (5 + 64 + 5 bytes), and three times of 12 bytes.
    assert!(
        (60 / STEP..=111 / STEP).contains(&taken),
        "{taken} lies were taken"
    );
    assert!(
        others < manifest.len() / STEP,
        "{others} manifests were taken"
    );
    // The last byte is one of a payload.
    let Entry::File(id) = from.repo.lookup(new.root, "b").expect("found") else {
        panic!("a directory")
    };
    let mut lie = honest.clone();
    *lie.last_mut().expect("bytes") ^= 1;
    let error = load(&to.repo, &sealed(&bundle, &lie))
        .expect_err("changed")
        .to_string();
    let text = format!("file {id} of the bundle does not match: expected {id}, found ");
    assert!(error.starts_with(&text), "{error}");
    load(&to.repo, &sealed(&bundle, &honest)).expect("sealed again");
}

#[test]
fn limits_hold() {
    let Hosts { from, new, .. } = small_hosts();
    let (bundle, _) = save(&from.repo, &[&new], &[]);
    let store = new_store();
    let with = |limits: LayerLimits, text: &str| {
        let before = listing(&store.repo);
        let error = read_bundle(&store.repo, &mut &bundle[..], &limits).expect_err(text);
        assert_eq!(error.to_string(), text);
        assert_eq!(listing(&store.repo), before);
    };
    let limits = LayerLimits::default();
    let file = LayerLimits {
        file_bytes_max: 20,
        ..limits.clone()
    };
    with(
        file,
        "the bundle is too large: the limit is 20 bytes of one file",
    );
    let all = LayerLimits {
        content_bytes_max: 200,
        ..limits.clone()
    };
    with(
        all,
        "the bundle is too large: the limit is 200 bytes of files",
    );
    let tar = LayerLimits {
        tar_bytes_max: 1024,
        ..limits
    };
    let base = new.config.diff_ids[0];
    with(
        tar,
        &format!("layer {base} is too large: the limit is 1024 bytes"),
    );
}

#[test]
fn counts_have_limits_and_so_has_the_window() {
    let Hosts { from, new, .. } = small_hosts();
    let (bundle, _) = save(&from.repo, &[&new], &[]);
    let (head, honest) = (&bundle[..HEAD], body(&bundle));
    let store = new_store();
    for (start, text) in [
        (vec![257u32], "256 images"),
        (vec![0, 257], "256 images"),
        (vec![1, 1025], "1024 bytes of a name"),
        (
            vec![0, 1, u32::from_le_bytes(*b"\x01\0\0\0")],
            "67108864 bytes of documents",
        ),
    ] {
        let mut body: Vec<u8> = start.iter().flat_map(|n| n.to_le_bytes()).collect();
        body.extend_from_slice(b"a");
        body.extend_from_slice(&[0xff; 4]);
        let text = format!("the bundle is too large: the limit is {text}");
        refused(&store.repo, &sealed(head, &body), &text);
    }
    // Counts of layers and files stand behind the images.
    let images = honest.len() - from_layers(&honest);
    for (counts, text) in [
        (&[4097u32][..], "4096 layers"),
        (&[0, 4097], "4096 layers"),
        (&[0, 0, 2_097_153], "2097152 files"),
    ] {
        let mut body = honest[..honest.len() - images].to_vec();
        body.extend(counts.iter().flat_map(|n| n.to_le_bytes()));
        let text = format!("the bundle is too large: the limit is {text}");
        refused(&store.repo, &sealed(head, &body), &text);
    }
    // A window that asks for more memory.
    let mut frame = zstd::Encoder::new(Vec::new(), 1).expect("encoder");
    frame.window_log(26).expect("window");
    std::io::Write::write_all(&mut frame, &honest).expect("write");
    let wide = [head, &frame.finish().expect("frame")].concat();
    refused(&store.repo, &wide, "cannot read the bundle");
}

/// Where the lists of layers begin in a body of one image and no `since`.
fn from_layers(body: &[u8]) -> usize {
    let mut at = 8;
    for _ in 0..3 {
        let length = body[at..at + 4].try_into().expect("four");
        at += 4 + u32::from_le_bytes(length) as usize;
    }
    at
}

/// A recipe as its layer's, made of another one's bytes.
fn forge(repo: &Repo, diff_id: &DiffId, change: impl FnOnce(&mut Vec<u8>)) {
    use std::io::Read as _;
    let root = repo
        .read_commit(&resolved(repo, &RefName::recipe(diff_id)))
        .expect("commit")
        .root;
    let Entry::File(id) = repo.lookup(root, "recipe").expect("found") else {
        panic!("a directory")
    };
    let store::ContentKind::Regular { mut file, .. } = repo.open_file(&id).expect("file").kind
    else {
        panic!("a link")
    };
    let mut recipe = Vec::new();
    file.read_to_end(&mut recipe).expect("read");
    change(&mut recipe);
    let txn = repo.txn().expect("transaction");
    let id = txn
        .put_regular(&root_file(0o644), Mtime::default(), &recipe)
        .expect("file");
    let tree = DirTree {
        files: vec![("recipe".into(), id)],
        dirs: Vec::new(),
    };
    let root = TreeId {
        contents: txn.put_dirtree(&tree).expect("dirtree"),
        meta: txn.put_dirmeta(&Meta::default_dir()).expect("dirmeta"),
    };
    let commit = Commit {
        metadata: Vec::new(),
        parent: None,
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root,
    };
    let commit = txn.put_commit(&commit).expect("commit");
    txn.set_ref(&RefName::recipe(diff_id), Some(commit));
    txn.commit().expect("commit");
}

/// Gives a layer the recipe of another one, which says that it is its own.
fn anothers(repo: &Repo, other: &DiffId, diff_id: &DiffId) {
    let txn = repo.txn().expect("transaction");
    let recipe = resolved(repo, &RefName::recipe(other));
    txn.set_ref(&RefName::recipe(diff_id), Some(recipe));
    txn.commit().expect("commit");
    forge(repo, diff_id, |recipe| {
        let at = recipe.len() - 64;
        recipe[at..at + 32].copy_from_slice(diff_id.as_bytes());
    });
}

fn root_file(mode: u32) -> Meta {
    Meta {
        uid: 0,
        gid: 0,
        mode: S_IFREG | mode,
        xattrs: Xattrs::default(),
    }
}

#[test]
fn a_layer_is_what_its_diff_id_says() {
    let Hosts { from, to, old, new } = small_hosts();
    let diff_id = new.config.diff_ids[1];
    // The right bytes in a file that runs as root: the tar comes out right, but the layer has no such file.
    let txn = from.repo.txn().expect("transaction");
    let suid = txn
        .put_regular(&root_file(0o4755), Mtime::default(), b"b")
        .expect("file");
    txn.commit().expect("commit");
    let Entry::File(b) = from.repo.lookup(new.root, "b").expect("found") else {
        panic!("a directory")
    };
    forge(&from.repo, &diff_id, |recipe| {
        let at = recipe.windows(32).position(|window| window == b.as_bytes());
        let at = at.expect("in the table");
        recipe[at..at + 32].copy_from_slice(suid.as_bytes());
    });
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let text = format!(
        "the bundle is malformed: file {suid} is in the recipe of layer {diff_id}, but not in the layer"
    );
    refused(&to.repo, &bundle, &text);

    // Another layer's recipe.
    let Hosts { from, to, old, new } = small_hosts();
    let base = new.config.diff_ids[0];
    let txn = from.repo.txn().expect("transaction");
    let other = resolved(&from.repo, &RefName::recipe(&base));
    txn.set_ref(&RefName::recipe(&diff_id), Some(other));
    txn.commit().expect("commit");
    let error = write_bundle(
        &from.repo,
        std::slice::from_ref(&new),
        std::slice::from_ref(&old),
        &BundleOptions { level: 1 },
        &mut Vec::new(),
    );
    let what = format!("recipe of layer {diff_id}");
    let text = format!("{what} is malformed: it is another layer's");
    assert_eq!(error.expect_err("another's").to_string(), text);
    anothers(&from.repo, &base, &diff_id);
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let text =
        format!("diff id of layer {diff_id} does not match: expected {diff_id}, found {base}");
    refused(&to.repo, &bundle, &text);
}

/// A layer with more files than a pull keeps without names, and behind it one that is not what it should be.
#[test]
fn nothing_has_a_name_before_all_is_proved() {
    let store = new_store();
    let names: Vec<String> = (0..2500).map(|n| format!("file{n}")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| File(name, 0o644, name.as_bytes()))
        .collect();
    let tars = [tar_of(&files), tar_of(&[File("a", 0o644, b"a")])];
    let image = image_named(&store.repo, "app", &tars, &|_| {});
    let [many, one] = image.config.diff_ids[..] else {
        panic!("two layers")
    };
    anothers(&store.repo, &many, &one);
    let (bundle, _) = save(&store.repo, &[&image], &[]);
    let text = format!("diff id of layer {one} does not match: expected {one}, found {many}");
    refused(&new_store().repo, &bundle, &text);
}

/// What the source's own refs say of a layer's tree is not asked.
#[test]
fn a_tree_is_made_from_the_tar() {
    let Hosts { from, to, old, new } = small_hosts();
    let diff_id = new.config.diff_ids[1];
    let honest = resolved(&from.repo, &RefName::layer(&diff_id));
    let txn = from.repo.txn().expect("transaction");
    let mut commit = from.repo.read_commit(&honest).expect("commit");
    commit.root = from.repo.read_commit(&old.flat).expect("commit").root;
    let lie = txn.put_commit(&commit).expect("commit");
    txn.set_ref(&RefName::layer(&diff_id), Some(lie));
    txn.commit().expect("commit");
    let (bundle, _) = save(&from.repo, &[&new], &[&old]);
    let loaded = load(&to.repo, &bundle).expect("load");
    assert_eq!(loaded.images[0].flat, new.flat);
    assert_eq!(resolved(&to.repo, &RefName::layer(&diff_id)), honest);
    sound(&to.repo, &loaded.images[0]);
}
