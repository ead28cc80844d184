//! Recipes: what a layer was made of comes out again, byte for byte, and any bytes in a recipe's place are a tar of the
//! announced size and digest or an error, never more and never a panic.
//!
//! The first byte of an input says which of the two, and whether the rest is a tar or what to make one of.
#![no_main]

use std::io::Write;

use arbitrary::{Arbitrary as _, Unstructured};
use berth_fuzz::{Archive, Place, with_place};
use libfuzzer_sys::fuzz_target;
use store::{
    Commit, DiffId, DirTree, LayerLimits, LayerOrigin, Meta, Mtime, RefName, S_IFREG, TreeId,
    Xattrs, import_layer, replay,
};

/// The longest tar that a made-up recipe may announce here, in bytes.
const TAR_BYTES_MAX: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    with_place(|place| match form % 4 {
        0 => made_up(place, rest),
        1 => identity(place, rest),
        _ => {
            if let Ok(archive) = Archive::arbitrary_take_rest(Unstructured::new(rest)) {
                identity(place, &archive.bytes());
            }
        }
    });
});

/// A layer's own recipe.
fn identity(place: &Place, tar: &[u8]) {
    let origin = LayerOrigin {
        diff_id: None,
        blob: None,
    };
    let limits = LayerLimits::default();
    let Ok(imported) = import_layer(&place.repo, &mut &*tar, &origin, &limits) else {
        return;
    };
    let mut out = Vec::new();
    let report = replay(&place.repo, &imported.layer.diff_id, &mut out).expect("it was just stored");
    assert!(out == tar, "what comes out is not what went in");
    assert_eq!(report.size, tar.len() as u64);
}

/// Takes so many bytes and no more.
struct Limited(u64);

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| std::io::Error::other("more than announced"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Bytes that nobody recorded, between a head and a trailer that fit them, so that what is between is looked at.
fn made_up(place: &Place, bytes: &[u8]) {
    let Some((size, rest)) = bytes.split_first() else {
        return;
    };
    let files = usize::from(size % 4).min(rest.len() / 32);
    let (table, ops) = rest.split_at(files * 32);
    let ops = zstd::encode_all(ops, 1).expect("in memory");
    let diff_id = DiffId::of(bytes);
    let mut recipe = b"BERTHRCP".to_vec();
    recipe.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    recipe.extend(&ops);
    recipe.extend(table);
    recipe.extend(diff_id.as_bytes());
    recipe.extend(u64::from(*size).to_le_bytes());
    recipe.extend((ops.len() as u64).to_le_bytes());
    recipe.extend((files as u64).to_le_bytes());
    recipe.extend(b"PCRHTREB");
    let name = RefName::recipe(&diff_id);
    let txn = place.repo.txn().expect("transaction");
    let meta = Meta {
        uid: 0,
        gid: 0,
        mode: S_IFREG | 0o644,
        xattrs: Xattrs::default(),
    };
    let file = txn
        .put_regular(&meta, Mtime::default(), &recipe)
        .expect("file");
    let tree = DirTree {
        files: vec![("recipe".into(), file)],
        dirs: Vec::new(),
    };
    let root = TreeId {
        contents: txn.put_dirtree(&tree).expect("dirtree"),
        meta: txn.put_dirmeta(&Meta::default_dir()).expect("dirmeta"),
    };
    let commit = txn
        .put_commit(&Commit {
            metadata: Vec::new(),
            parent: None,
            subject: String::new(),
            body: String::new(),
            timestamp: 0,
            root,
        })
        .expect("commit");
    txn.set_ref(&name, Some(commit));
    txn.commit().expect("commit");
    // Its digest is that of other bytes, so it can only fail; but it must fail, and soon.
    let error = replay(&place.repo, &diff_id, &mut Limited(TAR_BYTES_MAX)).expect_err("made up");
    assert!(!error.to_string().contains("more than announced"), "{error}");
}
