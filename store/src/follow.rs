//! Finds a path as a process inside the tree would: symbolic links are followed, and lead nowhere outside.

use std::collections::VecDeque;

use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::object::TreeId;
use crate::repo::{Entry, Repo};

/// The most symbolic links on the way, as the kernel has it.
const SYMLINKS_MAX: usize = 40;

/// The file or directory that `path` leads to from `root`; never a symbolic link.
pub fn follow(repo: &Repo, root: TreeId, path: &str) -> Result<Entry> {
    let not_found = || Error::NotFound {
        what: "path",
        name: path.to_owned(),
    };
    let mut waiting: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let mut dirs = vec![root];
    let mut links = 0;
    while let Some(part) = waiting.pop_front() {
        let at = dirs.last().copied().unwrap_or(root);
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                dirs.pop();
                continue;
            }
            _ => {}
        }
        let tree = repo.read_dirtree(&at.contents)?;
        if let Some(dir) = tree.dir(&part) {
            dirs.push(dir);
            continue;
        }
        let file = tree.file(&part).ok_or_else(not_found)?;
        match repo.open_file(&file)?.kind {
            ContentKind::Regular { .. } if waiting.iter().all(String::is_empty) => {
                return Ok(Entry::File(file));
            }
            ContentKind::Regular { .. } => return Err(not_found()),
            ContentKind::Symlink { target } => {
                links += 1;
                if links > SYMLINKS_MAX {
                    let limit = format!("{SYMLINKS_MAX} symbolic links");
                    return Err(Error::TooLarge {
                        what: format!("way to {path}"),
                        limit,
                    });
                }
                if target.starts_with('/') {
                    dirs.clear();
                }
                for part in target.rsplit('/') {
                    waiting.push_front(part.to_owned());
                }
            }
        }
    }
    Ok(Entry::Dir(dirs.last().copied().unwrap_or(root)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{DirTree, Meta, S_IFLNK, S_IFREG, Xattrs};
    use crate::{Mode, Mtime};

    #[test]
    fn links_lead_nowhere_outside() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let txn = repo.txn().expect("transaction");
        let meta = |mode| Meta {
            uid: 0,
            gid: 0,
            mode,
            xattrs: Xattrs::default(),
        };
        let link = |target| {
            let link = txn.put_symlink(&meta(S_IFLNK | 0o777), Mtime::default(), target);
            link.expect("symbolic link")
        };
        let file = txn
            .put_regular(&meta(S_IFREG | 0o644), Mtime::default(), b"text")
            .expect("file");
        let dir = |tree: &DirTree| TreeId {
            contents: txn.put_dirtree(tree).expect("dirtree"),
            meta: txn.put_dirmeta(&Meta::default_dir()).expect("dirmeta"),
        };
        let below = dir(&DirTree {
            files: vec![("up".into(), link("../../../a/file"))],
            dirs: vec![],
        });
        let a = dir(&DirTree {
            files: vec![
                ("absolute".into(), link("/a/file")),
                ("file".into(), file),
                ("loop".into(), link("loop")),
            ],
            dirs: vec![("below".into(), below)],
        });
        let root = dir(&DirTree {
            files: vec![("to".into(), link("a/below"))],
            dirs: vec![("a".into(), a)],
        });
        txn.commit().expect("commit");

        for path in [
            "a/file",
            "/a/absolute",
            "to/up",
            "a/below/../file",
            "../../a/file",
            "to/../file",
        ] {
            assert_eq!(
                follow(&repo, root, path).expect(path),
                Entry::File(file),
                "{path}"
            );
        }
        assert_eq!(
            follow(&repo, root, "to").expect("directory"),
            Entry::Dir(below)
        );
        assert_eq!(
            follow(&repo, root, "/").expect("directory"),
            Entry::Dir(root)
        );
        let error = |path| follow(&repo, root, path).expect_err(path).to_string();
        assert_eq!(error("a/none"), "path a/none not found");
        assert_eq!(error("a/file/x"), "path a/file/x not found");
        assert_eq!(
            error("a/loop"),
            "way to a/loop is too large: the limit is 40 symbolic links"
        );
    }
}
