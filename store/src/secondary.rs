//! Secondary inodes: what checkouts link to when an object has as many links as its file system allows (65,000 on ext4).
//!
//! `REPO/berth/dup/<id>.<n>`, n from 0, is a copy of a file object with all that a link shows: bytes, owner, mode, time
//! and xattrs. When one is full too, the next n is made. A name there implies whole bytes, and durable ones where the
//! repository syncs: a copy is made under a temporary name and renamed without replacing. Of two checkouts that make
//! the same one, the later links to what the earlier made. gc removes what no checkout holds or whose object is gone.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::Timespec;

use crate::compare::{same_bytes, stored_meta};
use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::object::ObjectKind;
use crate::place::Linked;
use crate::real_xattrs::xattrs_of;
use crate::repo::Repo;
use crate::staging::random_suffix;

/// Where they are.
const PLACE: &str = "berth/dup";
/// How the name of an unfinished one begins.
const UNFINISHED: &str = ".tmp-";
/// The most of one object: 260 million links on ext4.
const COUNT_MAX: u32 = 4096;

/// A secondary inode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Secondary {
    /// The object that it is a copy of.
    pub(crate) id: ObjectId,
    /// Which of that object's.
    pub(crate) number: u32,
}

impl Secondary {
    /// Its name in `REPO/berth/dup`.
    fn name(&self) -> String {
        format!("{}.{}", self.id, self.number)
    }

    fn parse(name: &str) -> Option<Self> {
        let (id, number) = name.split_once('.')?;
        let secondary = Self {
            id: ObjectId::from_hex(id).ok()?,
            number: number.parse().ok()?,
        };
        (secondary.name() == name).then_some(secondary)
    }
}

/// What became of one try.
#[derive(Debug, PartialEq, Eq)]
enum Try {
    Linked(Linked),
    Missing,
}

/// Makes a hard link to a secondary inode of a file object, which is made when there is none with room. The answer is
/// [`Linked::LinkLimit`] when the repository cannot be written to.
///
/// The caller holds the repository's lock, at least shared.
pub(crate) fn link(repo: &Repo, id: &ObjectId, dir: &Dir, name: &str) -> Result<Linked> {
    let named = |number| Secondary { id: *id, number }.name();
    first_with_room(
        |number| {
            let Some(place) = repo.dir.try_dir(PLACE)? else {
                return Ok(Try::Missing);
            };
            match dir.link(&place, named(number).as_ref(), name) {
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    Ok(Try::Missing)
                }
                other => other.map(Try::Linked),
            }
        },
        |number| match make(repo, id, &named(number)) {
            Err(Error::Io { source, .. })
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Ok(false)
            }
            other => other.map(|()| true),
        },
    )
}

/// Tries one number after the other until there is room; `make` is asked for the first that is missing, and says whether
/// it could.
fn first_with_room(
    mut link: impl FnMut(u32) -> Result<Try>,
    mut make: impl FnMut(u32) -> Result<bool>,
) -> Result<Linked> {
    for number in 0..COUNT_MAX {
        let mut tried = link(number)?;
        if tried == Try::Missing {
            if !make(number)? {
                return Ok(Linked::LinkLimit);
            }
            tried = link(number)?;
        }
        match tried {
            // Somebody else made it, and others filled it meanwhile.
            Try::Linked(Linked::LinkLimit) => {}
            Try::Linked(linked) => return Ok(linked),
            Try::Missing => return Ok(Linked::LinkLimit),
        }
    }
    Ok(Linked::LinkLimit)
}

/// Copies a file object to a name in `REPO/berth/dup`; one that is there already stays.
fn make(repo: &Repo, id: &ObjectId, name: &str) -> Result<()> {
    let place = repo
        .dir
        .ensure_dir("berth", 0o755)?
        .ensure_dir("dup", 0o755)?;
    let path = repo.loose(ObjectKind::File, id);
    let object = repo.objects.try_file(&path)?.ok_or(Error::NotFound {
        what: ObjectKind::File.as_str(),
        name: id.hex(),
    })?;
    let temp = format!("{UNFINISHED}{}", random_suffix()?);
    let copy = place.create(&temp, 0o600)?;
    let made = fill(
        &place,
        &temp,
        &repo.objects.path().join(&path),
        &object,
        &copy,
    )
    .and_then(|()| match repo.fsync() {
        true => place.sync_file(&copy, &temp),
        false => Ok(()),
    })
    .and_then(|()| place.rename_new(&temp, &place, name));
    match made {
        Ok(true) => Ok(()),
        Ok(false) => place.remove_file(&temp).map(drop),
        Err(error) => {
            // The error that matters is the first one.
            let _ = place.remove_file(&temp);
            Err(error)
        }
    }
}

/// Gives a new file all that an object has.
fn fill(place: &Dir, temp: &str, object: &Path, from: &File, copy: &File) -> Result<()> {
    let stat = from.metadata().map_err(Error::io("stat", object))?;
    if rustix::fs::ioctl_ficlone(copy, from).is_err() {
        place.copy(from, copy, temp)?;
    }
    let ours = copy
        .metadata()
        .map_err(Error::io("stat", place.path().join(temp)))?;
    if (ours.uid(), ours.gid()) != (stat.uid(), stat.gid()) {
        place.set_owner(temp, stat.uid(), stat.gid())?;
    }
    for (key, value) in xattrs_of(object)?.iter() {
        place.set_xattr(temp, key, value)?;
    }
    let mtime = Timespec {
        tv_sec: stat.mtime(),
        tv_nsec: stat.mtime_nsec() as _,
    };
    place.finish_file(temp, copy, stat.mode() & 0o7777, mtime)
}

/// All secondary inodes, sorted.
pub(crate) fn list(repo: &Repo) -> Result<Vec<Secondary>> {
    let Some(place) = repo.dir.try_dir(PLACE)? else {
        return Ok(Vec::new());
    };
    let mut found: Vec<Secondary> = place
        .list()?
        .into_iter()
        .filter_map(|(name, _)| Secondary::parse(name.to_str()?))
        .collect();
    found.sort();
    Ok(found)
}

/// Whether one is still what its object is, which is checked by itself. A writer through a checkout changes it.
pub(crate) fn check(repo: &Repo, secondary: &Secondary) -> Result<()> {
    let name = secondary.name();
    let (Some(place), Some(object)) = (
        repo.dir.try_dir(PLACE)?,
        repo.objects
            .try_file(repo.loose(ObjectKind::File, &secondary.id))?,
    ) else {
        return Ok(());
    };
    let Some(copy) = place.try_file(&name)? else {
        return Ok(());
    };
    let path = place.path().join(&name);
    let mode = |file: &File| file.metadata().map(|stat| stat.mode() & 0o7777);
    let corrupt = |what, expected, found| {
        Err(Error::Corrupt {
            what: format!("{what} {}", path.display()),
            expected,
            found,
        })
    };
    let (expected, found) = (
        mode(&object).map_err(Error::io("stat", &path))?,
        mode(&copy).map_err(Error::io("stat", &path))?,
    );
    if expected != found {
        let octal = |mode| format!("{mode:04o}");
        return corrupt("the mode of", octal(expected), octal(found));
    }
    if stored_meta(&object) != stored_meta(&copy)
        || !same_bytes(&object, &copy).map_err(Error::io("read", &path))?
    {
        return corrupt(
            "secondary inode",
            secondary.id.hex(),
            "something else".into(),
        );
    }
    Ok(())
}

/// Gives those that are not what their object is its bytes back, into the same file, so that checkouts are mended with it;
/// how many. The objects are whole.
pub(crate) fn mend(repo: &Repo) -> Result<u64> {
    let Some(place) = repo.dir.try_dir(PLACE)? else {
        return Ok(0);
    };
    let mut mended = 0;
    for secondary in list(repo)? {
        let path = repo.loose(ObjectKind::File, &secondary.id);
        let Some(object) = repo.objects.try_file(&path)? else {
            continue;
        };
        if check(repo, &secondary).is_ok() {
            continue;
        }
        let name = secondary.name();
        // Its owner may lack the permission to write to it.
        place.set_mode_of(&name, 0o600)?;
        let file = place.open_to_change(&name)?;
        place.truncate(&file, &name, 0)?;
        fill(
            &place,
            &name,
            &repo.objects.path().join(&path),
            &object,
            &file,
        )?;
        if repo.fsync() {
            place.sync_file(&file, &name)?;
        }
        mended += 1;
    }
    Ok(mended)
}

/// Removes those whose object is gone, those that no checkout holds, and unfinished ones. The caller holds the exclusive
/// lock, so nobody is making one.
pub(crate) fn sweep(repo: &Repo) -> Result<()> {
    let Some(place) = repo.dir.try_dir(PLACE)? else {
        return Ok(());
    };
    for secondary in list(repo)? {
        let name = secondary.name();
        let held = place.stat(&name)?.is_some_and(|stat| stat.st_nlink > 1);
        if !held || !repo.has(ObjectKind::File, &secondary.id)? {
            place.remove_file(&name)?;
        }
    }
    for (name, _) in place.list()? {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with(UNFINISHED))
        {
            place.remove_file(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::cell::RefCell;

    use crate::checkout::{CheckoutOptions, checkout};
    use crate::object::{DirTree, Meta, S_IFREG, TreeId, Xattrs};
    use crate::{FsckOptions, Mode, Mtime, fsck};

    /// No file system that has a limit has a higher one than this.
    const LINKS_TRIED: u32 = 70_000;

    /// Numbers below `full` are full, those below `made` are there.
    fn walk(full: u32, made: u32, rivals: u32) -> (Result<Linked>, Vec<String>) {
        let (made, log) = (RefCell::new(made), RefCell::new(Vec::new()));
        let linked = first_with_room(
            |number| {
                log.borrow_mut().push(format!("link {number}"));
                Ok(match number {
                    _ if number >= *made.borrow() => Try::Missing,
                    _ if number < full => Try::Linked(Linked::LinkLimit),
                    _ => Try::Linked(Linked::Done),
                })
            },
            |number| {
                log.borrow_mut().push(format!("make {number}"));
                *made.borrow_mut() = number + 1 + rivals;
                Ok(number < 5)
            },
        );
        (linked, log.into_inner())
    }

    #[test]
    fn the_next_number_is_made_when_all_are_full() {
        let (linked, log) = walk(2, 2, 0);
        assert_eq!(linked.expect("linked"), Linked::Done);
        assert_eq!(log, ["link 0", "link 1", "link 2", "make 2", "link 2"]);
    }

    #[test]
    fn one_that_others_filled_at_once_leads_to_the_next() {
        // Number 0 is missing, but whoever makes it finds that it is full, and so with 1.
        let (linked, log) = walk(2, 0, 1);
        assert_eq!(linked.expect("linked"), Linked::Done);
        assert_eq!(
            log,
            [
                "link 0", "make 0", "link 0", "link 1", "link 2", "make 2", "link 2"
            ]
        );
    }

    #[test]
    fn where_nothing_can_be_made_the_limit_is_the_answer() {
        let (linked, log) = walk(6, 5, 0);
        assert_eq!(linked.expect("answer"), Linked::LinkLimit);
        assert_eq!(log.last().expect("a step"), "make 5");
    }

    #[test]
    fn names_round_trip() {
        let id = ObjectId::of(b"x");
        let secondary = Secondary { id, number: 10 };
        assert_eq!(Secondary::parse(&secondary.name()), Some(secondary));
        for other in [format!("{id}"), format!("{id}.01"), ".tmp-ABCDEF".into()] {
            assert_eq!(Secondary::parse(&other), None, "{other}");
        }
    }

    fn tree(repo: &Repo) -> (ObjectId, TreeId) {
        let txn = repo.txn().expect("transaction");
        let meta = Meta {
            uid: 7,
            gid: 8,
            mode: S_IFREG | 0o4755,
            xattrs: Xattrs::default(),
        };
        let time = Mtime {
            secs: 1_234_567_890,
            nanos: 5,
        };
        let file = txn.put_regular(&meta, time, b"shared").expect("file");
        let tree = DirTree {
            files: vec![("a".into(), file), ("b".into(), file)],
            dirs: vec![],
        };
        let root = TreeId {
            contents: txn.put_dirtree(&tree).expect("dirtree"),
            meta: txn.put_dirmeta(&Meta::default_dir()).expect("dirmeta"),
        };
        txn.commit().expect("commit");
        (file, root)
    }

    /// Links to an object until the file system refuses; whether it did.
    fn fill_up(object: &Path, dir: &Path) -> bool {
        std::fs::create_dir(dir).expect("directory");
        for number in 0..LINKS_TRIED {
            match std::fs::hard_link(object, dir.join(number.to_string())) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::TooManyLinks => return true,
                Err(error) => panic!("link {number}: {error}"),
            }
        }
        false
    }

    #[test]
    fn checkouts_go_on_sharing_beyond_the_limit() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let (id, root) = tree(&repo);
        let object = repo.objects.path().join(repo.loose(ObjectKind::File, &id));
        if !fill_up(&object, &temp.path().join("links")) {
            // Not lost on a reader of the log; there is nothing to test here.
            std::io::Write::write_all(
                &mut std::io::stderr(),
                b"skipped: the file system allows more than 70000 links\n",
            )
            .expect("stderr");
            return;
        }
        let out = |name: &str| {
            let dir = temp.path().join(name);
            let made = checkout(&repo, root, &dir, &CheckoutOptions::default()).expect("checkout");
            assert_eq!((made.linked, made.linked_secondary), (0, 2), "{made:?}");
            assert_eq!((made.copied_link_limit, made.reflinked), (0, 0), "{made:?}");
            std::fs::metadata(dir.join("a")).expect("file")
        };
        let (first, second) = (out("first"), out("second"));
        let object = std::fs::metadata(&object).expect("object");
        assert_eq!(first.ino(), second.ino(), "both share one inode");
        assert_ne!(first.ino(), object.ino());
        assert_eq!(second.nlink(), 5, "two checkouts of two names, and its own");
        let of =
            |stat: &std::fs::Metadata| (stat.mode(), stat.uid(), stat.mtime(), stat.mtime_nsec());
        assert_eq!(of(&first), of(&object));
        assert_eq!(
            (first.mode() & 0o7777, first.mtime()),
            (0o755, 1_234_567_890)
        );
        let path = temp.path().join("second/b");
        assert_eq!(std::fs::read(&path).expect("bytes"), b"shared");
        let mut meta = [0; 64];
        let size =
            rustix::fs::lgetxattr(&path, crate::content::OSTREEMETA, &mut meta).expect("xattr");
        assert_eq!(
            Meta::decode(&meta[..size], "it").expect("metadata").mode,
            S_IFREG | 0o4755
        );
        let none = FsckOptions {
            progress: &|_, _| {},
        };
        assert!(fsck(&repo, &none).expect("fsck").problems.is_empty());
        std::fs::write(&path, "SHARED").expect("write");
        let problems = fsck(&repo, &none).expect("fsck").problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        let dup = repo.path().join(PLACE).join(format!("{id}.0"));
        assert_eq!(
            problems[0].error.to_string(),
            format!(
                "secondary inode {} is corrupt: expected {id}, found something else",
                dup.display()
            )
        );

        // gc keeps one that a checkout holds, and drops it with the last checkout or with the object.
        let kept = [Secondary { id, number: 0 }];
        sweep(&repo).expect("sweep");
        assert_eq!(list(&repo).expect("list"), kept);
        std::fs::write(repo.path().join(PLACE).join(".tmp-ABCDEF"), "half").expect("write");
        std::fs::remove_dir_all(temp.path().join("first")).expect("remove");
        sweep(&repo).expect("sweep");
        assert_eq!(list(&repo).expect("list"), kept);
        assert!(!repo.path().join(PLACE).join(".tmp-ABCDEF").exists());
        std::fs::remove_dir_all(temp.path().join("second")).expect("remove");
        sweep(&repo).expect("sweep");
        assert_eq!(list(&repo).expect("list"), []);
    }

    #[test]
    fn one_whose_object_is_gone_is_swept() {
        let temp = tempfile::tempdir().expect("temporary directory");
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).expect("init");
        let (id, _) = tree(&repo);
        let dir = Dir::open(temp.path()).expect("directory");
        assert_eq!(link(&repo, &id, &dir, "held").expect("link"), Linked::Done);
        assert_eq!(link(&repo, &id, &dir, "too").expect("link"), Linked::Done);
        sweep(&repo).expect("sweep");
        assert_eq!(list(&repo).expect("list").len(), 1);
        let object = repo.loose(ObjectKind::File, &id);
        repo.objects.remove_file(object).expect("remove");
        sweep(&repo).expect("sweep");
        assert_eq!(list(&repo).expect("list"), []);
        assert_eq!(
            std::fs::read(temp.path().join("held")).expect("bytes"),
            b"shared"
        );
    }
}
