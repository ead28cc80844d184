//! What a directory is, by the file system's own word.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Everything about one entry that a tree has a word about; times only of regular files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub target: Option<PathBuf>,
    pub xattrs: Vec<(String, Vec<u8>)>,
    pub mtime: Option<(i64, i64)>,
    pub inode: u64,
}

impl Seen {
    pub fn is_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// The same without what two copies differ in.
    pub fn copied(mut self) -> Self {
        self.inode = 0;
        self
    }
}

/// Every entry below a folder, and the folder itself as the empty path.
pub fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let at = root.join(&path);
        let at = if path.as_os_str().is_empty() {
            root
        } else {
            &at
        };
        let entry = look(at);
        if entry.mode & 0o170_000 == 0o040_000 {
            let children = fs::read_dir(at).unwrap();
            waiting.extend(children.map(|child| path.join(child.unwrap().file_name())));
        }
        all.insert(path, entry);
    }
    all
}

fn look(path: &Path) -> Seen {
    let stat = fs::symlink_metadata(path).unwrap();
    Seen {
        mode: stat.mode(),
        uid: stat.uid(),
        gid: stat.gid(),
        size: if stat.is_dir() { 0 } else { stat.size() },
        target: stat.is_symlink().then(|| fs::read_link(path).unwrap()),
        xattrs: xattrs(path),
        mtime: stat.is_file().then(|| (stat.mtime(), stat.mtime_nsec())),
        inode: if stat.is_file() { stat.ino() } else { 0 },
    }
}

fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0_u8; 4096];
    let size = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let mut found: Vec<_> = names[..size]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0_u8; 65536];
            let size = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(size);
            (String::from_utf8(name.to_vec()).unwrap(), value)
        })
        .collect();
    found.sort();
    found
}

/// Fails with the first path that is not the same in both.
#[track_caller]
pub fn assert_same(ours: &BTreeMap<PathBuf, Seen>, stock: &BTreeMap<PathBuf, Seen>) {
    for (path, entry) in ours {
        assert_eq!(
            Some(entry),
            stock.get(path),
            "{} is not alike",
            path.display()
        );
    }
    assert_eq!(ours.len(), stock.len(), "one of them has more");
}
