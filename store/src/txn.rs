//! A transaction: the only writer of objects and refs.
//!
//! The order makes every crash harmless: bytes into staging, bytes to disk, names into `objects/`, names to disk, refs
//! last. So a name in `objects/` implies durable bytes, and a ref implies everything it leads to. Object names verify
//! themselves, so they may appear ([`Txn::publish`]) long before the transaction commits: what a dead transaction
//! published is found again by the next one, or swept by gc.
//!
//! An object that is there already costs one system call and no write. All methods take `&self`: several threads write
//! into one transaction.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::Timespec;

use crate::commit::Commit;
use crate::content::OSTREEMETA;
use crate::error::{Error, Result};
use crate::hash::Hasher;
use crate::id::ObjectId;
use crate::mend::{Broken, mend_object};
use crate::mode::Storage;
use crate::name::RefName;
use crate::object::{DirTree, Meta, ObjectKind, S_IFLNK, file_header};
use crate::refs::Durability;
use crate::repo::Repo;
use crate::staging::Staging;

/// With fewer staged objects than this, each is synced by itself: a syncfs also waits for everybody else's writes.
const SYNC_EACH_MAX: usize = 64;
/// The number of the first staged file: stock goes on in the directory of a dead transaction, and needs all names of two
/// characters there for directories.
const FIRST_FILE: u64 = 1000;
/// Permission to write for the owner.
const OWNER_WRITES: u32 = 0o200;

/// When a file was last changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtime {
    /// Seconds since 1970.
    pub secs: i64,
    /// Nanoseconds behind the second.
    pub nanos: u32,
}

/// What a transaction wrote so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Objects that were not there before.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that were there, but broken.
    pub mended: u64,
}

#[derive(Debug)]
struct Staged {
    kind: ObjectKind,
    id: ObjectId,
    file: u64,
}

#[derive(Debug)]
enum Edit {
    Ref(RefName, Option<ObjectId>),
    Alias(RefName, RefName),
}

/// A running transaction. Dropping it without [`Txn::commit`] leaves at most objects that no ref leads to.
#[derive(Debug)]
pub struct Txn<'r> {
    repo: &'r Repo,
    staging: Staging,
    next_file: AtomicU64,
    begun: Mutex<HashSet<(ObjectKind, ObjectId)>>,
    staged: Mutex<Vec<Staged>>,
    /// The directories of `objects/` with names that this transaction made or relies on: whoever made those may have died
    /// before they were on disk.
    named_dirs: Box<[AtomicBool; 256]>,
    /// Objects that are there but broken: they are written again.
    mend: Broken,
    mended: AtomicU64,
    edits: Mutex<Vec<Edit>>,
    objects: AtomicU64,
    bytes: AtomicU64,
    /// Nothing gets its name before the commit.
    holds: bool,
}

/// A thread that panicked while it held one of these locks ends the process or the transaction; the data is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repo {
    /// Begins a transaction. Hold [`Repo::lock`] shared from before it begins until it has ended.
    pub fn txn(&self) -> Result<Txn<'_>> {
        self.txn_mending(Broken::new())
    }

    /// The same, but objects of `broken` that come by are written again although they are there: into the same file, so
    /// that whatever is linked to it is mended too.
    pub fn txn_mending(&self, broken: Broken) -> Result<Txn<'_>> {
        self.begin(broken, false)
    }

    /// Begins a transaction whose objects all get their names when it commits, and not before.
    pub(crate) fn txn_holding(&self) -> Result<Txn<'_>> {
        self.begin(Broken::new(), true)
    }

    fn begin(&self, broken: Broken, holds: bool) -> Result<Txn<'_>> {
        self.check_writable()?;
        Ok(Txn {
            repo: self,
            staging: Staging::open(self)?,
            next_file: AtomicU64::new(FIRST_FILE),
            begun: Mutex::default(),
            staged: Mutex::default(),
            named_dirs: Box::new([const { AtomicBool::new(false) }; 256]),
            mend: broken,
            mended: AtomicU64::new(0),
            edits: Mutex::default(),
            objects: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            holds,
        })
    }
}

impl<'r> Txn<'r> {
    /// The repository it writes to.
    pub fn repo(&self) -> &'r Repo {
        self.repo
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        Written {
            objects: self.objects.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            mended: self.mended.load(Ordering::Relaxed),
        }
    }

    /// How many objects wait to be published.
    pub fn staged(&self) -> usize {
        locked(&self.staged).len()
    }

    /// Stores a regular file whose payload is in memory; hashed first, written only when it is new.
    pub fn put_regular(&self, meta: &Meta, mtime: Mtime, payload: &[u8]) -> Result<ObjectId> {
        let mut hash = self.repo.mode().hash().hasher();
        hash.update(&file_header(meta, ""));
        hash.update(payload);
        let id = hash.finish();
        if self.claim(ObjectKind::File, id)? {
            let (file, name) = self.create(self.first_mode(meta.mode))?;
            self.write(&file, name, payload)?;
            self.seal(&file, name, meta, mtime)?;
            self.stage(ObjectKind::File, id, name, payload.len() as u64);
        }
        Ok(id)
    }

    /// Begins a regular file whose payload comes in pieces.
    pub fn begin_regular(&self, meta: Meta, mtime: Mtime) -> Result<LargeFile<'_, 'r>> {
        let mut hash = self.repo.mode().hash().hasher();
        hash.update(&file_header(&meta, ""));
        let (file, name) = self.create(self.first_mode(meta.mode))?;
        Ok(LargeFile {
            txn: self,
            meta,
            mtime,
            hash,
            file,
            name,
            size: 0,
        })
    }

    /// Stores a symbolic link. `meta.mode` must be a symbolic link's.
    pub fn put_symlink(&self, meta: &Meta, mtime: Mtime, target: &str) -> Result<ObjectId> {
        debug_assert_eq!(
            meta.mode & crate::object::S_IFMT,
            S_IFLNK,
            "a symbolic link has its own file type"
        );
        let id = self.repo.mode().hash().id_of(&file_header(meta, target));
        if self.claim(ObjectKind::File, id)? {
            if self.repo.mode().storage() == Storage::Bare {
                let name = self.next_name();
                self.staging.dir.symlink(target, name.to_string())?;
                self.own(name, meta)?;
                self.stage(ObjectKind::File, id, name, target.len() as u64);
                return Ok(id);
            }
            let (file, name) = self.create(0o644)?;
            let payload = [target.as_bytes(), &[0]].concat();
            self.write(&file, name, &payload)?;
            self.seal(&file, name, meta, mtime)?;
            self.stage(ObjectKind::File, id, name, payload.len() as u64);
        }
        Ok(id)
    }

    /// Stores the entries of a directory.
    pub fn put_dirtree(&self, tree: &DirTree) -> Result<ObjectId> {
        self.put_metadata(ObjectKind::DirTree, &tree.encode())
    }

    /// Stores the owner, mode and xattrs of a directory.
    pub fn put_dirmeta(&self, meta: &Meta) -> Result<ObjectId> {
        self.put_metadata(ObjectKind::DirMeta, &meta.encode())
    }

    /// Stores a commit.
    pub fn put_commit(&self, commit: &Commit) -> Result<ObjectId> {
        self.put_metadata(ObjectKind::Commit, &commit.encode())
    }

    fn put_metadata(&self, kind: ObjectKind, bytes: &[u8]) -> Result<ObjectId> {
        let id = self.repo.mode().hash().id_of(bytes);
        if self.claim(kind, id)? {
            let (file, name) = self.create(0o644)?;
            self.write(&file, name, bytes)?;
            self.chmod(&file, name, 0o644)?;
            self.stage(kind, id, name, bytes.len() as u64);
        }
        Ok(id)
    }

    /// Whether this caller is the one to write an object: nobody has it, and no other thread is at it.
    fn claim(&self, kind: ObjectKind, id: ObjectId) -> Result<bool> {
        self.named_dirs[usize::from(id.as_bytes()[0])].store(true, Ordering::Relaxed);
        let is_broken = self.mend.contains(&(kind, id));
        if locked(&self.begun).contains(&(kind, id)) || (!is_broken && self.repo.has(kind, &id)?) {
            return Ok(false);
        }
        Ok(locked(&self.begun).insert((kind, id)))
    }

    fn next_name(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    /// The permissions that a regular file is made with: the final ones where that is safe before it has its owner.
    fn first_mode(&self, mode: u32) -> u32 {
        match self.repo.mode().storage() {
            Storage::Bare => 0o600,
            _ => physical_mode(mode),
        }
    }

    /// Makes a file that its owner may write: the kernel asks for that before it sets an xattr.
    fn create(&self, mode: u32) -> Result<(File, u64)> {
        let name = self.next_name();
        let file = self
            .staging
            .dir
            .create(name.to_string(), mode | OWNER_WRITES)?;
        Ok((file, name))
    }

    fn write(&self, file: &File, name: u64, bytes: &[u8]) -> Result<()> {
        self.staging.dir.write(file, name.to_string(), bytes)
    }

    fn chmod(&self, file: &File, name: u64, mode: u32) -> Result<()> {
        if mode & self.staging.masked == 0 && mode & OWNER_WRITES != 0 {
            return Ok(());
        }
        self.staging.dir.set_file_mode(file, name.to_string(), mode)
    }

    /// Gives a complete file its metadata.
    fn seal(&self, file: &File, name: u64, meta: &Meta, mtime: Mtime) -> Result<()> {
        let (dir, shown) = (&self.staging.dir, name.to_string());
        if self.repo.mode().storage() == Storage::Bare {
            // A change of owner takes set-user-id bits and capabilities away, so it comes first.
            self.own(name, meta)?;
            dir.set_file_mode(file, &shown, meta.mode & 0o7777)?;
        } else {
            dir.set_file_xattr(file, &shown, OSTREEMETA, &meta.encode())?;
            let mode = match meta.is_symlink() {
                true => 0o644,
                false => physical_mode(meta.mode),
            };
            self.chmod(file, name, mode)?;
        }
        let time = Timespec {
            tv_sec: mtime.secs,
            tv_nsec: mtime.nanos.into(),
        };
        dir.set_file_time(file, &shown, time)
    }

    /// Gives a staged file or symbolic link its true owner and xattrs.
    fn own(&self, name: u64, meta: &Meta) -> Result<()> {
        let (dir, name) = (&self.staging.dir, name.to_string());
        dir.set_owner(&name, meta.uid, meta.gid)?;
        meta.xattrs
            .iter()
            .try_for_each(|(key, value)| dir.set_xattr(&name, key, value))
    }

    fn stage(&self, kind: ObjectKind, id: ObjectId, file: u64, size: u64) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        locked(&self.staged).push(Staged { kind, id, file });
    }

    /// Makes what is staged durable and gives it its names in `objects/`, unless all waits for the commit.
    pub fn publish(&self) -> Result<()> {
        match self.holds {
            true => Ok(()),
            false => self.publish_all(),
        }
    }

    /// The regular files and symbolic links that have no names yet.
    pub(crate) fn staged_files(&self) -> StagedFiles<'_, 'r> {
        let staged = locked(&self.staged);
        let files = staged.iter().filter(|one| one.kind == ObjectKind::File);
        StagedFiles {
            txn: self,
            files: files.map(|one| (one.id, one.file)).collect(),
        }
    }

    fn publish_all(&self) -> Result<()> {
        let staged = std::mem::take(&mut *locked(&self.staged));
        if staged.is_empty() {
            return Ok(());
        }
        if self.repo.fsync() {
            self.sync_staged(&staged)?;
        }
        for Staged { kind, id, file } in staged {
            let (name, target) = (file.to_string(), self.repo.loose(kind, &id));
            if self.mend.contains(&(kind, id))
                && mend_object(self.repo, &self.staging.dir, &name, kind, &target)?
            {
                self.mended.fetch_add(1, Ordering::Relaxed);
            }
            if !self.rename(&name, &target, id)? {
                self.staging.dir.remove_file(&name)?;
            }
        }
        Ok(())
    }

    fn rename(&self, name: &str, target: &std::path::Path, id: ObjectId) -> Result<bool> {
        match self
            .staging
            .dir
            .rename_new(name, &self.repo.objects, target)
        {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                self.repo.objects.make_dir(&id.hex()[..2], 0o777)?;
                self.staging
                    .dir
                    .rename_new(name, &self.repo.objects, target)
            }
            other => other,
        }
    }

    fn sync_staged(&self, staged: &[Staged]) -> Result<()> {
        let dir = &self.staging.dir;
        // A symbolic link cannot be synced by itself.
        let has_links = self.repo.mode().storage() == Storage::Bare;
        if staged.len() >= SYNC_EACH_MAX || has_links {
            return dir.sync_file_system();
        }
        for Staged { file, .. } in staged {
            let name = file.to_string();
            if let Some(file) = dir.try_file(&name)? {
                dir.sync_file(&file, &name)?;
            }
        }
        Ok(())
    }

    /// Sets a ref when the transaction commits; `None` removes it. Refs are written in the order of these calls.
    pub fn set_ref(&self, name: &RefName, id: Option<ObjectId>) {
        locked(&self.edits).push(Edit::Ref(name.clone(), id));
    }

    /// Makes `alias` lead to the ref `target` of the same directory when the transaction commits.
    pub fn set_alias(&self, alias: &RefName, target: &RefName) {
        locked(&self.edits).push(Edit::Alias(alias.clone(), target.clone()));
    }

    /// Publishes what is staged, then writes the refs.
    pub fn commit(self) -> Result<Written> {
        self.publish_all()?;
        if self.repo.fsync() {
            self.sync_names()?;
        }
        for edit in locked(&self.edits).drain(..) {
            match edit {
                Edit::Ref(name, id) => {
                    self.repo
                        .write_ref(&name, id.as_ref(), Durability::Lasting)?
                }
                Edit::Alias(alias, target) => self.repo.write_alias(&alias, &target)?,
            }
        }
        Ok(self.written())
    }

    fn sync_names(&self) -> Result<()> {
        for (first, named) in self.named_dirs.iter().enumerate() {
            if named.load(Ordering::Relaxed) {
                self.repo.objects.dir(format!("{first:02x}"))?.sync()?;
            }
        }
        self.repo.objects.sync()
    }
}

/// What of a transaction's files had no name at some time.
#[derive(Debug)]
pub(crate) struct StagedFiles<'t, 'r> {
    txn: &'t Txn<'r>,
    files: HashMap<ObjectId, u64>,
}

impl StagedFiles<'_, '_> {
    /// The bytes of a file, and how many there are. A symbolic link's are its target.
    pub(crate) fn open(&self, id: &ObjectId) -> Result<Option<(File, u64)>> {
        let Some(name) = self.files.get(id).map(u64::to_string) else {
            return Ok(None);
        };
        let dir = &self.txn.staging.dir;
        let Some(file) = dir.try_file(&name)? else {
            return Ok(None);
        };
        let size = file.metadata();
        let size = size
            .map_err(Error::io("stat", dir.path().join(name)))?
            .len();
        Ok(Some((file, size)))
    }
}

/// What the file of a regular object gets: nothing that runs as somebody else, and always readable by its owner.
pub(crate) fn physical_mode(mode: u32) -> u32 {
    (mode & 0o775) | 0o400
}

/// A regular file in the making.
#[derive(Debug)]
pub struct LargeFile<'t, 'r> {
    txn: &'t Txn<'r>,
    meta: Meta,
    mtime: Mtime,
    hash: Hasher,
    file: File,
    name: u64,
    size: u64,
}

impl LargeFile<'_, '_> {
    /// Appends to the payload.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.txn.write(&self.file, self.name, bytes)
    }

    /// Ends the payload. A file that turns out to be there already is thrown away.
    pub fn finish(self) -> Result<ObjectId> {
        let id = self.hash.finish();
        if self.txn.claim(ObjectKind::File, id)? {
            self.txn
                .seal(&self.file, self.name, &self.meta, self.mtime)?;
            self.txn.stage(ObjectKind::File, id, self.name, self.size);
        } else {
            self.txn.staging.dir.remove_file(self.name.to_string())?;
        }
        Ok(id)
    }
}
