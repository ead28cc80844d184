//! Objects as bytes: what decodes encodes to the same bytes, since an object's id covers them, and what was built
//! decodes to the same value. Checked from both ends: values that are encoded, and their bytes with one changed.

use proptest::prelude::*;
use store::{Commit, DirTree, Meta, ObjectId, TreeId, Value, Xattrs};

/// Every decoder on the same bytes; how many took them.
fn identity(bytes: &[u8]) -> usize {
    let again = [
        DirTree::decode(bytes, "").ok().map(|tree| tree.encode()),
        Meta::decode(bytes, "").ok().map(|meta| meta.encode()),
        Commit::decode(bytes, "").ok().map(|commit| commit.encode()),
    ];
    let taken: Vec<Vec<u8>> = again.into_iter().flatten().collect();
    for again in &taken {
        assert_eq!(again, bytes);
    }
    taken.len()
}

fn id() -> impl Strategy<Value = ObjectId> {
    any::<[u8; 32]>().prop_map(ObjectId::new)
}

fn tree_id() -> impl Strategy<Value = TreeId> {
    (id(), id()).prop_map(|(contents, meta)| TreeId { contents, meta })
}

/// A name that can stand in a directory; some lists of them need wider framing offsets.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-c]{1,3}",
        4 => "[^/\0]{1,20}".prop_filter("not a name", |name| name != "." && name != ".."),
        1 => "[x-z]{200,255}",
    ]
}

fn dir_tree() -> impl Strategy<Value = DirTree> {
    let files = prop::collection::btree_map(name(), id(), 0..12);
    let dirs = prop::collection::btree_map(name(), tree_id(), 0..12);
    (files, dirs).prop_map(|(files, dirs)| DirTree {
        dirs: dirs
            .into_iter()
            .filter(|(name, _)| !files.contains_key(name))
            .collect(),
        files: files.into_iter().collect(),
    })
}

fn meta() -> impl Strategy<Value = Meta> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let xattrs = prop::collection::vec((bytes(), bytes()), 0..6).prop_map(Xattrs::new);
    (any::<[u32; 3]>(), xattrs).prop_map(|([uid, gid, mode], xattrs)| Meta {
        uid,
        gid,
        mode,
        xattrs,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let text = || "[^\0]{0,20}";
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        text().prop_map(Value::Str),
        prop::collection::vec(text(), 0..8).prop_map(Value::StrList),
        any::<u64>().prop_map(Value::U64),
        any::<bool>().prop_map(Value::Bool),
        bytes().prop_map(Value::Bytes),
        ("[iuxqn]|\\(i\\)|a\\{sv\\}|v", bytes()).prop_map(|(ty, bytes)| Value::Other { ty, bytes }),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    (
        prop::collection::vec(("[^\0]{0,12}", value()), 0..6),
        prop::option::of(id()),
        ("[^\0]{0,40}", "[^\0]{0,400}"),
        any::<u64>(),
        tree_id(),
    )
        .prop_map(
            |(metadata, parent, (subject, body), timestamp, root)| Commit {
                metadata,
                parent,
                subject,
                body,
                timestamp,
                root,
            },
        )
}

/// A byte of an object, changed.
fn damaged(mut bytes: Vec<u8>, (at, byte): (prop::sample::Index, u8)) -> Vec<u8> {
    if !bytes.is_empty() {
        let at = at.index(bytes.len());
        bytes[at] = byte;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn dirtrees(tree in dir_tree(), change in any::<(prop::sample::Index, u8)>()) {
        let bytes = tree.encode();
        prop_assert_eq!(DirTree::decode(&bytes, "").expect("own bytes"), tree);
        prop_assert!(identity(&bytes) > 0);
        identity(&damaged(bytes, change));
    }

    #[test]
    fn metas(meta in meta(), change in any::<(prop::sample::Index, u8)>()) {
        let bytes = meta.encode();
        prop_assert_eq!(Meta::decode(&bytes, "").expect("own bytes"), meta);
        prop_assert!(identity(&bytes) > 0);
        identity(&damaged(bytes, change));
    }

    #[test]
    fn commits(commit in commit(), change in any::<(prop::sample::Index, u8)>()) {
        let bytes = commit.encode();
        prop_assert_eq!(Commit::decode(&bytes, "").expect("own bytes"), commit);
        prop_assert!(identity(&bytes) > 0);
        identity(&damaged(bytes, change));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        identity(&bytes);
    }
}

/// `(uuua(ayay))` of `0644 0:0` with these xattrs in this order, put together by hand.
fn meta_with(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0xa4];
    let (mut ends, mut at) = (Vec::new(), 0);
    for (name, value) in pairs {
        bytes.extend_from_slice(format!("{name}\0{value}").as_bytes());
        bytes.push(u8::try_from(name.len() + 1).expect("short"));
        at += name.len() + value.len() + 2;
        ends.push(u8::try_from(at).expect("short"));
    }
    bytes.extend(ends);
    bytes
}

// What stock ostree 2022.7 makes of a tar whose xattrs come as `user.a`, `user.b`.
#[test]
fn xattrs_keep_the_order_that_the_id_covers() {
    let bytes = meta_with(&[("user.b", "1"), ("user.a", "2")]);
    let meta = Meta::decode(&bytes, "").expect("stock's bytes");
    let names: Vec<&[u8]> = meta.xattrs.iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"user.b", b"user.a"]);
    assert_eq!(meta.encode(), bytes);
    assert!(
        ObjectId::of(&[store::file_header(&meta, ""), b"x".to_vec()].concat())
            .hex()
            .starts_with("0846650f61d0002e")
    );
}

#[test]
fn what_would_encode_otherwise_is_refused_by_name() {
    let twice = meta_with(&[("user.a", "1"), ("user.b", "2"), ("user.a", "1")]);
    assert_eq!(
        Meta::decode(&twice, "dirmeta x")
            .expect_err("twice")
            .to_string(),
        "dirmeta x is malformed: an xattr is there twice"
    );
    let id = ObjectId::new([7; 32]);
    let root = TreeId {
        contents: id,
        meta: id,
    };
    let bytes = Commit {
        metadata: vec![],
        parent: None,
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root,
    }
    .encode();
    // Metadata, parent and related objects are empty; the last five bytes are the framing offsets, in reverse.
    let [body @ .., root, text, subject, related, parent, metadata] = &bytes[..] else {
        panic!("six offsets");
    };
    assert_eq!((*metadata, *parent, *related, *subject), (0, 0, 0, 1));
    let mut with_related = vec![b'?'];
    with_related.extend_from_slice(&body[..2]);
    with_related.resize(8, 0);
    with_related.extend_from_slice(&body[8..]);
    with_related.extend([*root, text + 1, subject + 1, 1, 0, 0]);
    assert_eq!(
        Commit::decode(&with_related, "commit x")
            .expect_err("related")
            .to_string(),
        "commit x is malformed: it has related objects"
    );
}
