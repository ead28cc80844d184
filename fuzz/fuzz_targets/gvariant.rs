//! Objects: whatever decodes encodes to the same bytes, since its id covers them; whatever is built decodes to the same.
//!
//! The first byte of an input says whether the rest is an object or what to make one of. One byte of what was made may
//! be changed: from there most ways into the decoders lead on.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use store::{Commit, DirTree, Meta, ObjectId, TreeId, Value, Xattrs};

fuzz_target!(|input: &[u8]| {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    if form % 4 == 0 {
        return identity(rest);
    }
    let mut from = Unstructured::new(rest);
    let Ok(mut bytes) = built(form % 4, &mut from) else {
        return;
    };
    identity(&bytes);
    while let (Ok(at), Ok(byte), false) = (
        u16::arbitrary(&mut from),
        u8::arbitrary(&mut from),
        from.is_empty(),
    ) {
        let len = bytes.len();
        if len == 0 {
            return;
        }
        // From the end half the time: there the framing offsets are.
        bytes[if at % 2 == 0 {
            usize::from(at / 2) % len
        } else {
            len - 1 - usize::from(at / 2) % len
        }] = byte;
        identity(&bytes);
    }
});

fn identity(bytes: &[u8]) {
    if let Ok(tree) = DirTree::decode(bytes, "dirtree") {
        assert_eq!(tree.encode(), bytes);
    }
    if let Ok(meta) = Meta::decode(bytes, "dirmeta") {
        assert_eq!(meta.encode(), bytes);
    }
    if let Ok(commit) = Commit::decode(bytes, "commit") {
        assert_eq!(commit.encode(), bytes);
    }
}

/// The bytes of a value, which must decode to it.
fn built(form: u8, from: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    match form {
        1 => {
            let tree = dir_tree(from)?;
            let bytes = tree.encode();
            assert_eq!(DirTree::decode(&bytes, "").expect("own bytes"), tree);
            Ok(bytes)
        }
        2 => {
            let [uid, gid, mode] = <[u32; 3]>::arbitrary(from)?;
            let meta = Meta {
                uid,
                gid,
                mode,
                xattrs: Xattrs::new(Vec::arbitrary(from)?),
            };
            let bytes = meta.encode();
            assert_eq!(Meta::decode(&bytes, "").expect("own bytes"), meta);
            Ok(bytes)
        }
        _ => {
            let commit = commit(from)?;
            let bytes = commit.encode();
            assert_eq!(Commit::decode(&bytes, "").expect("own bytes"), commit);
            Ok(bytes)
        }
    }
}

/// Names are what a directory may hold; lists of them long enough for wider framing offsets come of `repeat`.
fn dir_tree(from: &mut Unstructured<'_>) -> Result<DirTree> {
    let mut tree = DirTree::default();
    let mut names: Vec<String> = Vec::arbitrary(from)?;
    let repeat = u8::arbitrary(from)?;
    names.extend((0..repeat).map(|number| format!("{number:03}")));
    names.retain(|name| !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\0']));
    names.sort();
    names.dedup();
    for name in names {
        match bool::arbitrary(from)? {
            true => tree.files.push((name, id(from)?)),
            false => tree.dirs.push((
                name,
                TreeId {
                    contents: id(from)?,
                    meta: id(from)?,
                },
            )),
        }
    }
    Ok(tree)
}

fn commit(from: &mut Unstructured<'_>) -> Result<Commit> {
    let metadata = (0..from.int_in_range(0..=5)?)
        .map(|_| Ok((text(from)?, value(from)?)))
        .collect::<Result<_>>()?;
    Ok(Commit {
        metadata,
        parent: if bool::arbitrary(from)? {
            Some(id(from)?)
        } else {
            None
        },
        subject: text(from)?,
        body: text(from)?,
        timestamp: u64::arbitrary(from)?,
        root: TreeId {
            contents: id(from)?,
            meta: id(from)?,
        },
    })
}

fn value(from: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match from.int_in_range(0..=5)? {
        0 => Value::Str(text(from)?),
        1 => Value::StrList(
            (0..from.int_in_range(0..=6)?)
                .map(|_| text(from))
                .collect::<Result<_>>()?,
        ),
        2 => Value::U64(u64::arbitrary(from)?),
        3 => Value::Bool(bool::arbitrary(from)?),
        4 => Value::Bytes(Vec::arbitrary(from)?),
        _ => Value::Other {
            ty: (*from.choose(&["u", "i", "v", "a{sv}", "(ii)"])?).to_owned(),
            bytes: Vec::arbitrary(from)?,
        },
    })
}

fn text(from: &mut Unstructured<'_>) -> Result<String> {
    Ok(String::arbitrary(from)?.replace('\0', "-"))
}

fn id(from: &mut Unstructured<'_>) -> Result<ObjectId> {
    <[u8; 32]>::arbitrary(from).map(ObjectId::new)
}
