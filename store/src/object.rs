//! The four kinds of object, as values: encode, decode, identify. Pure; nothing here touches a file.
//!
//! | kind | bytes | id |
//! |---|---|---|
//! | file | payload; metadata beside it | SHA-256 of [`file_header`] and payload |
//! | dirmeta | `(uuua(ayay))` uid, gid, mode, xattrs | SHA-256 of the bytes |
//! | dirtree | `(a(say)a(sayay))` files, directories | SHA-256 of the bytes |
//! | commit | `(a{sv}aya(say)sstayay)` | SHA-256 of the bytes |
//!
//! Integers inside are big-endian, those in a commit's metadata native. Decoding is stricter than stock ostree: names
//! must be sorted and unique across files and directories, which stock's fsck does not look at.
//!
//! Format: [ostree repository anatomy](https://ostreedev.github.io/ostree/repo/) and `ostree-core.h`.

use crate::error::{Error, Result};
use crate::gvariant::{self, Member, Tuple, Why};
use crate::id::ObjectId;

/// The file-type bits of a mode.
pub const S_IFMT: u32 = 0o170_000;
/// A regular file.
pub const S_IFREG: u32 = 0o100_000;
/// A directory.
pub const S_IFDIR: u32 = 0o040_000;
/// A symbolic link.
pub const S_IFLNK: u32 = 0o120_000;

/// The largest dirtree, dirmeta or commit that is read, in bytes (libostree: `OSTREE_MAX_METADATA_SIZE`).
pub(crate) const METADATA_BYTES_MAX: u64 = 128 << 20;

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// A regular file or symbolic link.
    File,
    /// The entries of a directory.
    DirTree,
    /// The owner, mode and xattrs of a directory.
    DirMeta,
    /// A commit.
    Commit,
}

impl ObjectKind {
    /// The word that stock ostree prints for it, which is also the suffix of its file (but in an `archive`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::DirTree => "dirtree",
            Self::DirMeta => "dirmeta",
            Self::Commit => "commit",
        }
    }
}

/// Extended attributes: each name once, no NUL in names; sorted by name, unless they were read from an object that is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xattrs(Vec<(Vec<u8>, Vec<u8>)>);

impl Xattrs {
    /// Sorts `pairs`; of a name that comes twice the last value stays. Names that are empty or hold a NUL are dropped.
    pub fn new(mut pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        pairs.retain(|(name, _)| !name.is_empty() && !name.contains(&0));
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|a, b| a.0 == b.0);
        Self(pairs)
    }

    /// Name and value pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn encode(&self) -> Vec<u8> {
        gvariant::array(
            1,
            self.iter().map(|(name, value)| {
                Tuple::default()
                    .variable(1, &[name, &[0]].concat())
                    .variable(1, value)
                    .finish()
            }),
        )
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Why> {
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for element in gvariant::split_array(bytes, 1)? {
            let [name, value] =
                gvariant::split_tuple(element, [Member::Variable(1), Member::Variable(1)])?;
            let Some((0, name)) = name.split_last() else {
                return Err("an xattr name does not end in NUL");
            };
            if name.is_empty() || name.contains(&0) {
                return Err("an xattr name is empty or holds a NUL");
            }
            pairs.push((name.to_vec(), value.to_vec()));
        }
        let mut names: Vec<&[u8]> = pairs.iter().map(|(name, _)| name.as_slice()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("an xattr is there twice");
        }
        // Stock before 2025.2 wrote the order it was given, and the ids of its objects cover that order.
        Ok(Self(pairs))
    }
}

/// Owner, mode and xattrs of a file, symbolic link or directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meta {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The full `st_mode`, file type included.
    pub mode: u32,
    /// The extended attributes.
    pub xattrs: Xattrs,
}

impl Meta {
    /// A directory `0755 root:root`: what a parent that no layer names becomes.
    pub fn default_dir() -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode: S_IFDIR | 0o755,
            xattrs: Xattrs::default(),
        }
    }

    /// Whether this is a directory's.
    pub const fn is_dir(&self) -> bool {
        self.mode & S_IFMT == S_IFDIR
    }

    /// Whether this is a symbolic link's.
    pub const fn is_symlink(&self) -> bool {
        self.mode & S_IFMT == S_IFLNK
    }

    /// `(uuua(ayay))`: a dirmeta object, and the value of `user.ostreemeta`.
    pub fn encode(&self) -> Vec<u8> {
        Tuple::default()
            .fixed(4, &self.uid.to_be_bytes())
            .fixed(4, &self.gid.to_be_bytes())
            .fixed(4, &self.mode.to_be_bytes())
            .variable(1, &self.xattrs.encode())
            .finish()
    }

    /// The reverse of [`Meta::encode`].
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let parse = || -> Result<Self, Why> {
            let four = Member::Fixed(4, 4);
            let [uid, gid, mode, xattrs] =
                gvariant::split_tuple(bytes, [four, four, four, Member::Variable(1)])?;
            Ok(Self {
                uid: be32(uid)?,
                gid: be32(gid)?,
                mode: be32(mode)?,
                xattrs: Xattrs::decode(xattrs)?,
            })
        };
        parse().map_err(|why| Error::malformed(what, why))
    }

    /// Reads a dirmeta object; a mode that is not a directory's is refused.
    pub fn decode_dir(bytes: &[u8], what: &str) -> Result<Self> {
        let meta = Self::decode(bytes, what)?;
        if !meta.is_dir() || meta.mode & !(S_IFMT | 0o7777) != 0 {
            return Err(Error::malformed(
                what,
                format!("mode {:o} is not a directory's", meta.mode),
            ));
        }
        Ok(meta)
    }
}

/// Reads an integer as OSTree keeps it.
pub(crate) fn be32(bytes: &[u8]) -> Result<u32, Why> {
    bytes
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| "an integer is cut short")
}

/// Whether a mode is a regular file's or symbolic link's, and nothing else.
pub(crate) fn is_file_mode(mode: u32) -> bool {
    matches!(mode & S_IFMT, S_IFREG | S_IFLNK) && mode & !(S_IFMT | 0o7777) == 0
}

/// What a file object's id covers before its payload: two framing words and `(uuuusa(ayay))`.
pub fn file_header(meta: &Meta, target: &str) -> Vec<u8> {
    let body = Tuple::default()
        .fixed(4, &meta.uid.to_be_bytes())
        .fixed(4, &meta.gid.to_be_bytes())
        .fixed(4, &meta.mode.to_be_bytes())
        .fixed(4, &[0; 4])
        .string(target)
        .variable(1, &meta.xattrs.encode())
        .finish();
    let mut header = Vec::with_capacity(body.len() + 8);
    header.extend_from_slice(&(body.len() as u32).to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&body);
    header
}

/// A directory by its two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeId {
    /// The dirtree.
    pub contents: ObjectId,
    /// The dirmeta.
    pub meta: ObjectId,
}

/// The entries of a directory, each list sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirTree {
    /// Files and symbolic links.
    pub files: Vec<(String, ObjectId)>,
    /// Directories.
    pub dirs: Vec<(String, TreeId)>,
}

impl DirTree {
    /// `(a(say)a(sayay))`. The lists must be sorted.
    pub fn encode(&self) -> Vec<u8> {
        let files = gvariant::array(
            1,
            self.files.iter().map(|(name, id)| {
                Tuple::default()
                    .string(name)
                    .variable(1, id.as_bytes())
                    .finish()
            }),
        );
        let dirs = gvariant::array(
            1,
            self.dirs.iter().map(|(name, id)| {
                let entry = Tuple::default()
                    .string(name)
                    .variable(1, id.contents.as_bytes());
                entry.variable(1, id.meta.as_bytes()).finish()
            }),
        );
        Tuple::default()
            .variable(1, &files)
            .variable(1, &dirs)
            .finish()
    }

    /// The reverse of [`DirTree::encode`]; names must be plain file names, sorted, and unique in the directory.
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let tree = Self::parse(bytes).map_err(|why| Error::malformed(what, why))?;
        tree.check().map_err(|why| Error::malformed(what, why))?;
        Ok(tree)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Why> {
        let any = Member::Variable(1);
        let [files, dirs] = gvariant::split_tuple(bytes, [any, any])?;
        let mut tree = Self::default();
        for entry in gvariant::split_array(files, 1)? {
            let [name, id] = gvariant::split_tuple(entry, [any, any])?;
            tree.files
                .push((gvariant::to_str(name)?.to_owned(), to_id(id)?));
        }
        for entry in gvariant::split_array(dirs, 1)? {
            let [name, contents, meta] = gvariant::split_tuple(entry, [any, any, any])?;
            let id = TreeId {
                contents: to_id(contents)?,
                meta: to_id(meta)?,
            };
            tree.dirs.push((gvariant::to_str(name)?.to_owned(), id));
        }
        Ok(tree)
    }

    fn check(&self) -> Result<(), String> {
        for name in self
            .files
            .iter()
            .map(|(name, _)| name)
            .chain(self.dirs.iter().map(|(name, _)| name))
        {
            if name.is_empty() || name == "." || name == ".." || name.contains('/') {
                return Err(format!("{name:?} is not a file name"));
            }
        }
        let sorted = |pair: [&String; 2]| match pair[0].cmp(pair[1]) {
            std::cmp::Ordering::Less => Ok(()),
            std::cmp::Ordering::Equal => Err(format!("{:?} is there twice", pair[0])),
            std::cmp::Ordering::Greater => {
                Err(format!("{:?} stands before {:?}", pair[0], pair[1]))
            }
        };
        self.files
            .windows(2)
            .try_for_each(|w| sorted([&w[0].0, &w[1].0]))?;
        self.dirs
            .windows(2)
            .try_for_each(|w| sorted([&w[0].0, &w[1].0]))?;
        match self.files.iter().find(|(name, _)| self.dir(name).is_some()) {
            Some((name, _)) => Err(format!("{name:?} is both a file and a directory")),
            None => Ok(()),
        }
    }

    /// The file or symbolic link of that name.
    pub fn file(&self, name: &str) -> Option<ObjectId> {
        self.files
            .binary_search_by(|(have, _)| have.as_str().cmp(name))
            .ok()
            .map(|at| self.files[at].1)
    }

    /// The directory of that name.
    pub fn dir(&self, name: &str) -> Option<TreeId> {
        self.dirs
            .binary_search_by(|(have, _)| have.as_str().cmp(name))
            .ok()
            .map(|at| self.dirs[at].1)
    }
}

/// Reads a checksum.
pub(crate) fn to_id(bytes: &[u8]) -> Result<ObjectId, Why> {
    ObjectId::from_slice(bytes).ok_or("a checksum is not 32 bytes")
}

/// Whether a name can stand in a dirtree: one UTF-8 path component.
pub(crate) fn is_entry_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.contains(&b'/')
        && std::str::from_utf8(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn file(mode: u32) -> Meta {
        Meta {
            uid: 0,
            gid: 0,
            mode,
            xattrs: Xattrs::default(),
        }
    }

    // Ids and bytes that stock ostree 2022.7 made.
    #[test]
    fn ids_are_stock_ostrees() {
        assert_eq!(
            ObjectId::of(&DirTree::default().encode()).hex(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(
            ObjectId::of(&Meta::default_dir().encode()).hex(),
            "446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488"
        );
        assert!(
            ObjectId::of(&file_header(&file(S_IFREG | 0o644), ""))
                .hex()
                .starts_with("cc700d46f407c6c5")
        );
        assert!(
            ObjectId::of(&file_header(&file(S_IFLNK | 0o777), "hello"))
                .hex()
                .starts_with("73baaba0102e9154")
        );
    }

    #[test]
    fn dirtree_bytes_are_stock_ostrees() {
        let id = |byte| ObjectId::new([byte; 32]);
        let tree = DirTree {
            files: vec![("a".into(), id(0xaa)), ("b".into(), id(0xbb))],
            dirs: vec![(
                "d".into(),
                TreeId {
                    contents: id(0xcc),
                    meta: id(0xdd),
                },
            )],
        };
        let bytes = tree.encode();
        assert_eq!(bytes.len(), 142);
        let text = hex(&bytes);
        assert!(
            text.starts_with(&format!("6100{}02", "aa".repeat(32))),
            "{text}"
        );
        assert!(
            text.ends_with(&format!(
                "6400{}{}22024448",
                "cc".repeat(32),
                "dd".repeat(32)
            )),
            "{text}"
        );
        assert_eq!(DirTree::decode(&bytes, "dirtree").expect("own bytes"), tree);
    }

    #[test]
    fn xattrs_sort_and_the_last_wins() {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let xattrs = Xattrs::new(vec![
            pair("user.b", "1"),
            pair("user.a", "2"),
            pair("user.b", "3"),
            pair("", "x"),
        ]);
        let pairs: Vec<_> = xattrs.iter().collect();
        assert_eq!(pairs, [(&b"user.a"[..], &b"2"[..]), (b"user.b", b"3")]);
        let meta = Meta {
            xattrs,
            ..Meta::default_dir()
        };
        assert_eq!(
            Meta::decode_dir(&meta.encode(), "dirmeta").expect("own bytes"),
            meta
        );
    }

    #[test]
    fn dirtrees_that_stock_fsck_lets_pass_are_refused() {
        let id = ObjectId::new([1; 32]);
        let dir = TreeId {
            contents: id,
            meta: id,
        };
        let tree = |files: &[&str], dirs: &[&str]| DirTree {
            files: files.iter().map(|name| ((*name).to_owned(), id)).collect(),
            dirs: dirs.iter().map(|name| ((*name).to_owned(), dir)).collect(),
        };
        for (tree, why) in [
            (tree(&[""], &[]), r#""" is not a file name"#),
            (tree(&[".."], &[]), r#"".." is not a file name"#),
            (tree(&["a/b"], &[]), r#""a/b" is not a file name"#),
            (tree(&["b", "a"], &[]), r#""b" stands before "a""#),
            (tree(&[], &["a", "a"]), r#""a" is there twice"#),
            (
                tree(&["a"], &["a"]),
                r#""a" is both a file and a directory"#,
            ),
        ] {
            let error = DirTree::decode(&tree.encode(), "dirtree x").expect_err(why);
            assert_eq!(error.to_string(), format!("dirtree x is malformed: {why}"));
        }
    }
}
