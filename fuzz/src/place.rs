//! A repository of the fuzzer's own. It is made anew after so many uses, so that its disk does not fill.

use std::cell::RefCell;
use std::path::Path;

use store::{Mode, Repo};
use tempfile::TempDir;

/// How many inputs one repository takes.
const USES_MAX: u32 = 3000;
/// A file system in memory, where there is one.
const FAST: &str = "/dev/shm";
/// What lies in the folder of the repository, so that a layer that gets out has something to break.
const NEIGHBOUR: &str = "neighbour";

/// A repository and the folder that it is in.
pub struct Place {
    /// Without fsync.
    pub repo: Repo,
    folder: TempDir,
    uses: u32,
}

impl Place {
    fn new() -> Self {
        let fast = Path::new(FAST);
        let folder = match tempfile::tempdir_in(fast) {
            // It may be there, and know no xattrs.
            Ok(folder) if Repo::init(&folder.path().join("repo"), Mode::BareUser).is_ok() => folder,
            _ => tempfile::tempdir().expect("temporary directory"),
        };
        let path = folder.path().join("repo");
        Repo::init(&path, Mode::BareUser).expect("init");
        let config = "[core]\nrepo_version=1\nmode=bare-user\nfsync=false\n";
        std::fs::write(path.join("config"), config).expect("config");
        std::fs::write(folder.path().join(NEIGHBOUR), NEIGHBOUR).expect("neighbour");
        let repo = Repo::open(&path).expect("open");
        Self {
            repo,
            folder,
            uses: 0,
        }
    }

    /// Nothing appeared or changed beside the repository, and nothing in it but what a repository has.
    pub fn check_outside(&self) {
        let list = |path: &Path| {
            let mut names: Vec<String> = std::fs::read_dir(path)
                .expect("readable")
                .map(|entry| {
                    entry
                        .expect("entry")
                        .file_name()
                        .into_string()
                        .expect("text")
                })
                .collect();
            names.sort();
            names
        };
        assert_eq!(list(self.folder.path()), [NEIGHBOUR, "repo"]);
        let neighbour = std::fs::read(self.folder.path().join(NEIGHBOUR)).expect("neighbour");
        assert_eq!(neighbour, NEIGHBOUR.as_bytes());
        let known = [
            "berth",
            "config",
            "extensions",
            "objects",
            "refs",
            "state",
            "tmp",
            ".lock",
        ];
        let strange: Vec<_> = list(self.repo.path())
            .into_iter()
            .filter(|name| !known.contains(&name.as_str()))
            .collect();
        assert_eq!(strange, [""; 0]);
    }
}

/// Runs a check on this thread's repository.
pub fn with_place<T>(check: impl FnOnce(&Place) -> T) -> T {
    thread_local! {
        static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    }
    PLACE.with_borrow_mut(|slot| {
        if slot.as_ref().is_some_and(|place| place.uses >= USES_MAX) {
            *slot = None;
        }
        let place = slot.get_or_insert_with(Place::new);
        place.uses += 1;
        check(place)
    })
}
