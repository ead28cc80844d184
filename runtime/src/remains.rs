//! What is left of containers that have no record: of a create that was cut off, and, after a power cut, of containers that
//! were to be removed at their end anyway.
//!
//! A record is written under the lock of names, so one that is torn while that lock is held is nobody's work in progress. A
//! directory without any may be a create that has just begun, and is left alone until it is old.

use std::time::SystemTime;

use store::Repo;

use crate::container::Containers;
use crate::error::{Error, Result};
use crate::record::RECORD;
use crate::remove::remove_tree;

impl Containers {
    /// Removes what has no whole record, and gives the ids. Directories without any record stay if they were changed after
    /// `before`.
    pub fn clear_remains(&self, repo: &Repo, before: SystemTime) -> Result<Vec<String>> {
        let _names = self.lock()?;
        let mut cleared = Vec::new();
        for id in self.ids()? {
            if self.load(&id)?.is_some() {
                continue;
            }
            let dir = self.dir(&id);
            if !dir.join(RECORD).exists() {
                let changed = std::fs::metadata(&dir).and_then(|it| it.modified());
                if changed.map_err(Error::io("look at", &dir))? > before {
                    continue;
                }
            }
            remove_tree(&self.bundle(&id))?;
            remove_tree(&dir)?;
            store::unpin(repo, &id)?;
            cleared.push(id);
        }
        Ok(cleared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nobodys_goes() {
        let place = tempfile::tempdir().expect("a directory");
        let repo = Repo::init(&place.path().join("repo"), store::Mode::BareUser).expect("made");
        let containers = Containers::open(place.path(), &place.path().join("run"));
        let [torn, bare] = ["a", "b"].map(|digit| digit.repeat(64));
        for id in [&torn, &bare] {
            std::fs::create_dir_all(containers.dir(id).join("upper")).expect("made");
        }
        std::fs::write(containers.dir(&torn).join(RECORD), "").expect("written");
        let clear = |before| containers.clear_remains(&repo, before).expect("cleared");
        assert_eq!(clear(SystemTime::UNIX_EPOCH), [torn]);
        assert_eq!(clear(SystemTime::now()), [bare]);
        assert!(containers.ids().expect("read").is_empty());
    }
}
