//! A power cut at every instant: only what was synced survives.
//!
//! [`Disk`] keeps account of what is on disk beside what the process sees, call by call, for the two extremes of what a
//! file system may do on its own:
//!
//! * **lazy**: nothing reaches the disk but what a sync brings there;
//! * **eager**: names do at once, in the order they were made, while the bytes of a file that nobody synced are lost.
//!
//! After each change of what is on disk, the directory is made anew from that alone and looked at.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use store::Repo;
use store::fault::{Step, Watch, watch};

use crate::work::{self, Work, check, collect, perform, prepare};

const OSTREEMETA: &str = "user.ostreemeta";

/// What of a file is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bytes {
    content: Vec<u8>,
    meta: Option<Vec<u8>>,
    mode: u32,
}

/// A name on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Dir(u64),
    File(u64),
    Symlink(PathBuf),
}

type Names = BTreeMap<std::ffi::OsString, Entry>;

/// What is on disk, by inode.
#[derive(Debug, Clone, Default)]
struct Image {
    dirs: HashMap<u64, Arc<Names>>,
    files: HashMap<u64, Arc<Bytes>>,
}

fn read_names(dir: &Path) -> Names {
    let mut names = Names::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.expect("entry");
        let path = entry.path();
        // A thread may just have renamed it.
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        let what = if meta.is_dir() {
            Entry::Dir(meta.ino())
        } else if meta.is_symlink() {
            Entry::Symlink(std::fs::read_link(&path).expect("link"))
        } else {
            Entry::File(meta.ino())
        };
        names.insert(entry.file_name(), what);
    }
    names
}

fn read_bytes(path: &Path) -> Bytes {
    let mut value = vec![0; 1 << 16];
    let meta = rustix::fs::lgetxattr(path, OSTREEMETA, &mut value).ok();
    Bytes {
        content: std::fs::read(path).expect("file"),
        meta: meta.map(|size| value[..size].to_vec()),
        mode: path.metadata().expect("file").mode() & 0o7777,
    }
}

impl Image {
    /// Everything below `path`, as after a sync of all.
    fn sync_all(&mut self, path: &Path) {
        let names = read_names(path);
        for (name, entry) in &names {
            let below = path.join(name);
            match entry {
                Entry::Dir(_) => self.sync_all(&below),
                Entry::File(inode) => {
                    let inode = *inode;
                    self.files.insert(inode, Arc::new(read_bytes(&below)));
                }
                Entry::Symlink(_) => {}
            }
        }
        let inode = path.metadata().expect("directory").ino();
        self.dirs.insert(inode, Arc::new(names));
    }

    fn sync_dir(&mut self, path: &Path) {
        let inode = path.metadata().expect("directory").ino();
        self.dirs.insert(inode, Arc::new(read_names(path)));
    }

    /// Makes the directory `inode` anew at `path`.
    fn make(&self, inode: u64, path: &Path) {
        std::fs::create_dir(path).expect("directory");
        let Some(names) = self.dirs.get(&inode) else {
            return;
        };
        for (name, entry) in names.iter() {
            let path = path.join(name);
            match entry {
                Entry::Dir(inode) => self.make(*inode, &path),
                Entry::Symlink(target) => std::os::unix::fs::symlink(target, &path).expect("link"),
                Entry::File(inode) => {
                    let lost = Arc::default();
                    let bytes: &Arc<Bytes> = self.files.get(inode).unwrap_or(&lost);
                    std::fs::write(&path, &bytes.content).expect("file");
                    if let Some(meta) = &bytes.meta {
                        let flags = rustix::fs::XattrFlags::empty();
                        rustix::fs::lsetxattr(&path, OSTREEMETA, meta, flags).expect("metadata");
                    }
                    let mode = std::fs::Permissions::from_mode(bytes.mode);
                    std::fs::set_permissions(&path, mode).expect("mode");
                }
            }
        }
    }
}

struct State {
    disk: Image,
    /// What would be left, for each instant at which that changed, and what was done last.
    instants: Vec<(Image, String)>,
}

struct Disk {
    root: PathBuf,
    eager: bool,
    state: Mutex<State>,
}

impl Disk {
    fn new(root: &Path, eager: bool) -> Self {
        let mut disk = Image::default();
        disk.sync_all(root);
        let instants = vec![(disk.clone(), "nothing".to_owned())];
        Self {
            root: root.to_owned(),
            eager,
            state: Mutex::new(State { disk, instants }),
        }
    }
}

impl Watch for Disk {
    fn around(
        &self,
        step: Step,
        path: &Path,
        to: Option<&Path>,
        go: &mut dyn FnMut() -> bool,
    ) -> Result<(), Errno> {
        if !path.starts_with(&self.root) {
            go();
            return Ok(());
        }
        // One call at a time: what a sync brings to disk must not change under it.
        let mut state = self.state.lock().expect("state");
        if !go() {
            return Ok(());
        }
        let parent = |path: &Path| path.parent().expect("it is below the root").to_owned();
        match step {
            Step::Sync => {
                let inode = path.metadata().expect("file").ino();
                state.disk.files.insert(inode, Arc::new(read_bytes(path)));
            }
            Step::SyncDir => state.disk.sync_dir(path),
            Step::SyncAll => state.disk.sync_all(&self.root),
            _ if !self.eager => return Ok(()),
            Step::Write | Step::Change => return Ok(()),
            Step::Create
            | Step::Symlink
            | Step::MakeDir
            | Step::Remove
            | Step::RemoveDir
            | Step::Rename
            | Step::Link => {
                for changed in [Some(path), to].into_iter().flatten() {
                    state.disk.sync_dir(&parent(changed));
                }
            }
        }
        let now = (state.disk.clone(), format!("{step:?} {}", path.display()));
        state.instants.push(now);
        Ok(())
    }
}

/// Runs an operation, and looks at what a power cut would leave at each instant; how many there were.
fn cut_everywhere(work: Work, eager: bool) -> usize {
    let temp = crate::scratch();
    let place = temp.path().join("place");
    std::fs::create_dir(&place).expect("place");
    prepare(work, &place);
    let disk = Arc::new(Disk::new(&place, eager));
    watch(Some(disk.clone()));
    let result = perform(work, &place, &|_| {});
    watch(None);
    result.expect("the operation");
    let root = place.metadata().expect("place").ino();
    let state = disk.state.lock().expect("state");
    for (at, (image, last)) in state.instants.iter().enumerate() {
        let left = temp.path().join(format!("left-{at}"));
        image.make(root, &left);
        let when = format!(
            "{}, power cut at {at} ({}), after {last}",
            work.name(),
            if eager { "eager" } else { "lazy" }
        );
        if work.starts_whole() {
            check(&left, &when);
        }
        let repo = Repo::open(&left.join("repo")).expect("open");
        // Each that has a name is whole: its manifest and config are read, and fsck read the rest.
        store::images(&repo).expect("images");
        perform(work, &left, &|_| {}).unwrap_or_else(|error| panic!("{when}, again: {error}"));
        check(&left, &when);
        collect(&left).unwrap_or_else(|error| panic!("{when}, gc: {error}"));
        check(&left, &when);
        std::fs::remove_dir_all(&left).expect("remove");
    }
    // The last instant is the end: what was promised is there.
    let (last, _) = state.instants.last().expect("instants");
    let left = temp.path().join("end");
    last.make(root, &left);
    let repo = Repo::open(&left.join("repo")).expect("open");
    assert_eq!(
        work::image(&repo, "one").is_some(),
        matches!(work, Work::Pull | Work::Repair),
        "{}: the end of it is on disk",
        work.name()
    );
    state.instants.len()
}

#[test]
fn a_power_cut_at_every_instant_leaves_whole_images() {
    let _alone = crate::alone();
    for (work, lazy, eager) in [
        (Work::Pull, 15, 150),
        (Work::Commit, 5, 10),
        (Work::Untag, 2, 5),
        (Work::Gc, 2, 20),
        (Work::Repair, 5, 20),
    ] {
        for (is_eager, at_least) in [(false, lazy), (true, eager)] {
            let instants = cut_everywhere(work, is_eager);
            println!("{}: {instants} instants", work.name());
            assert!(instants >= at_least, "{}: {instants}", work.name());
        }
    }
}
