//! From the entries of a tar to a tree of names and batches of files to be stored.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::content::SYMLINK_BYTES_MAX;
use crate::error::{Error, Result};
use crate::import::LayerLimits;
use crate::layer_tree::{LayerDir, Leaf, Refusal, components, link_components};
use crate::object::{Meta, S_IFDIR, S_IFLNK, S_IFREG, Xattrs};
use crate::owners::Owners;
use crate::recording::{Recorders, Tape};
use crate::tar_stream::{EntryKind, TarEntry, TarError, TarStream};
use crate::txn::Mtime;

/// Files up to this size are hashed in memory, so that one that is there already is never written.
pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;
/// A batch goes to a worker when it has this many bytes or files.
const BATCH_BYTES: usize = 256 << 10;
const BATCH_FILES: usize = 64;
/// Pieces of a large file, and how many of them wait for the worker.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_QUEUED: usize = 4;
/// What owner, mode and xattrs of one entry may take, in bytes: ext4 keeps them in one block.
pub(crate) const META_BYTES_MAX: usize = 3800;
/// How many left-out entries are named.
const LEFT_OUT_NAMED_MAX: usize = 10_000;
/// How many entries may stand in the tree without being stored: their paths are kept in the layer's commit.
const UNSTORED_MAX: u64 = 10_000;

/// A file to be stored.
#[derive(Debug)]
pub(crate) struct Job {
    /// Where the tree waits for its id.
    pub(crate) slot: usize,
    pub(crate) meta: Meta,
    pub(crate) mtime: Mtime,
    pub(crate) payload: Payload,
}

#[derive(Debug)]
pub(crate) enum Payload {
    Small(Vec<u8>),
    Symlink(String),
    Large {
        pieces: Receiver<Vec<u8>>,
        size: u64,
    },
}

pub(crate) type Batch = Vec<Job>;

/// What a tar held.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) tree: LayerDir,
    pub(crate) entries: u64,
    pub(crate) left_out: Vec<String>,
    pub(crate) links: Vec<(String, String)>,
    pub(crate) whiteouts: u64,
    slots: usize,
}

impl Parsed {
    /// How many files wait for an id.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }
}

struct Parser<'p> {
    what: &'p str,
    limits: &'p LayerLimits,
    owners: Owners,
    jobs: &'p SyncSender<Batch>,
    batch: Batch,
    batch_bytes: usize,
    path_bytes: u64,
    content_bytes: u64,
    hole_bytes: u64,
    unstored: u64,
    /// Hard links whose target was not there yet, by path: the number of their entry, and the target.
    waiting: BTreeMap<String, (u64, String)>,
    parsed: Parsed,
}

/// The tar of a layer.
type Tar<'t, 'r> = TarStream<Tape<'t, 'r>>;

/// Reads a tar to its end, the bytes behind its end marker included; gives the tape's recorders. Stops quietly when the
/// workers are gone: they know why.
pub(crate) fn parse<'t, 'r>(
    tape: Tape<'t, 'r>,
    what: &str,
    limits: &LayerLimits,
    owners: Owners,
    jobs: &SyncSender<Batch>,
) -> Result<(Parsed, Recorders<'t, 'r>)> {
    let parsed = Parsed {
        tree: LayerDir::default(),
        entries: 0,
        left_out: Vec::new(),
        links: Vec::new(),
        whiteouts: 0,
        slots: 0,
    };
    let mut parser = Parser {
        what,
        limits,
        owners,
        jobs,
        batch: Vec::new(),
        batch_bytes: 0,
        path_bytes: 0,
        content_bytes: 0,
        hole_bytes: 0,
        unstored: 0,
        waiting: BTreeMap::new(),
        parsed,
    };
    let recorders = parser.run(tape)?.drain();
    parser.flush();
    parser.late_links()?;
    Ok((parser.parsed, recorders))
}

impl Parser<'_> {
    fn run<'t, 'r>(&mut self, tape: Tape<'t, 'r>) -> Result<Tape<'t, 'r>> {
        let mut tar = TarStream::new(tape);
        while let Some(entry) = tar.next().map_err(|error| self.broken(error, None))? {
            self.parsed.entries += 1;
            if self.parsed.entries > self.limits.entries_max {
                return Err(self.too_large(format!("{} entries", self.limits.entries_max)));
            }
            self.path_bytes += (entry.path.len() + entry.link.len()) as u64;
            if self.path_bytes > self.limits.path_bytes_max {
                let limit = format!("{} bytes of paths", self.limits.path_bytes_max);
                return Err(self.too_large(limit));
            }
            let sparse = tar.is_sparse();
            tar.input().begin_entry(&entry.path, sparse);
            let shown = String::from_utf8_lossy(&entry.path).into_owned();
            match self.entry(&mut tar, entry) {
                Ok(()) => {}
                Err(Stop::Entry(why)) => self.leave_out(&shown, why),
                Err(Stop::Layer(why)) => return Err(self.malformed(&shown, &why)),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::WorkersGone) => break,
            }
        }
        Ok(tar.into_input())
    }

    fn malformed(&self, path: &str, why: &str) -> Error {
        let path: String = path.chars().take(200).collect();
        Error::malformed(self.what, format!("entry {path:?}: {why}"))
    }

    fn too_large(&self, limit: String) -> Error {
        Error::TooLarge {
            what: self.what.to_owned(),
            limit,
        }
    }

    fn broken(&self, error: TarError, path: Option<&str>) -> Error {
        match (error, path) {
            (TarError::Io(source), _) => Error::Read {
                what: self.what.to_owned(),
                source,
            },
            (TarError::Broken(why), Some(path)) => self.malformed(path, &why),
            (TarError::Broken(why), None) => {
                Error::malformed(self.what, format!("as a tar, {why}"))
            }
        }
    }

    fn leave_out(&mut self, path: &str, why: &str) {
        if self.parsed.left_out.len() < LEFT_OUT_NAMED_MAX {
            self.parsed
                .left_out
                .push(format!("{}: {why}", path.trim_start_matches("./")));
        }
    }

    fn entry(&mut self, tar: &mut Tar<'_, '_>, entry: TarEntry) -> Result<(), Stop> {
        let path = match components(&entry.path) {
            Err(Refusal::Entry(why)) if entry.kind == EntryKind::Regular => {
                // It has no place in the tree, but the layer's recipe needs its payload.
                let meta = self.meta(&entry, S_IFREG)?;
                let slot = self.slot();
                self.regular(tar, &entry, slot, meta)?;
                return Err(Stop::Entry(why));
            }
            path => path?,
        };
        if path.last().is_some_and(|name| name.starts_with(".wh.")) {
            self.parsed.whiteouts += 1;
        }
        self.replace_waiting(&path, entry.kind)?;
        match entry.kind {
            EntryKind::CharDevice => self.take_name(&path, "it is a character device"),
            EntryKind::BlockDevice => self.take_name(&path, "it is a block device"),
            EntryKind::Fifo => self.take_name(&path, "it is a FIFO"),
            EntryKind::Directory => {
                let meta = self.meta(&entry, S_IFDIR)?;
                Ok(self.parsed.tree.insert_dir(&path, meta)?)
            }
            EntryKind::HardLink => self.hard_link(&path, &entry),
            EntryKind::Symlink => {
                let target = match symlink_target(&entry) {
                    Err(Stop::Entry(why)) => return self.take_name(&path, why),
                    target => target?,
                };
                let meta = self.meta(&entry, S_IFLNK)?;
                let slot = self.slot();
                self.parsed.tree.insert_leaf(
                    &path,
                    Leaf::Symlink {
                        slot,
                        target: target.clone(),
                    },
                )?;
                self.push(
                    Job {
                        slot,
                        meta,
                        mtime: entry.mtime,
                        payload: Payload::Symlink(target),
                    },
                    0,
                )
            }
            EntryKind::Regular => {
                let meta = self.meta(&entry, S_IFREG)?;
                let slot = self.slot();
                self.parsed.tree.insert_leaf(&path, Leaf::Regular(slot))?;
                self.regular(tar, &entry, slot, meta)
            }
        }
    }

    /// An entry that OSTree cannot hold: nothing is stored, but what has its name gives place, as it would on disk.
    fn take_name(&mut self, path: &[&str], why: &'static str) -> Result<(), Stop> {
        self.unstored += 1;
        if self.unstored > UNSTORED_MAX {
            return Err(Stop::Error(self.too_large(format!(
                "{UNSTORED_MAX} entries that OSTree cannot hold"
            ))));
        }
        self.parsed.tree.insert_leaf(path, Leaf::LeftOut)?;
        Err(Stop::Entry(why))
    }

    fn slot(&mut self) -> usize {
        self.parsed.slots += 1;
        self.parsed.slots - 1
    }

    /// Owner, mode and xattrs of an entry. Xattrs that would not fit beside an object are left out together.
    fn meta(&mut self, entry: &TarEntry, kind: u32) -> Result<Meta, Stop> {
        let id = |id: u64, whose: &str| {
            u32::try_from(id)
                .map_err(|_| Stop::Layer(format!("its {whose} is not a 32-bit number")))
        };
        let kept = entry
            .xattrs
            .iter()
            .filter(|(name, _)| !is_private(name))
            .cloned()
            .collect();
        let mut meta = self.owners.apply(Meta {
            uid: id(entry.uid, "owner")?,
            gid: id(entry.gid, "group")?,
            mode: kind | entry.mode,
            xattrs: Xattrs::new(kept),
        });
        if meta.encode().len() > META_BYTES_MAX {
            meta.xattrs = Xattrs::default();
            let shown = String::from_utf8_lossy(&entry.path).into_owned();
            self.leave_out(&shown, "its extended attributes, which are too large");
        }
        Ok(meta)
    }

    fn hard_link(&mut self, path: &[&str], entry: &TarEntry) -> Result<(), Stop> {
        let target = link_components(&entry.link)?;
        match self.parsed.tree.leaf(&target)? {
            Some(Leaf::LeftOut) => self.take_name(path, LINK_TO_LEFT_OUT),
            Some(leaf) => Ok(self.parsed.tree.insert_leaf(path, leaf)?),
            None => {
                // It may lie in a lower layer, or, in odd tars, behind the link.
                let place = self.parsed.tree.remove(path)?;
                let order = self.parsed.entries;
                self.waiting.insert(place, (order, target.join("/")));
                Ok(())
            }
        }
    }

    /// An entry replaces links that wait for their target as it would replace files.
    fn replace_waiting(&mut self, path: &[&str], kind: EntryKind) -> Result<(), Stop> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let place = self.parsed.tree.place(path)?;
        for (at, _) in place.match_indices('/') {
            self.waiting.remove(&place[..at]);
        }
        self.waiting.remove(&place);
        if kind != EntryKind::Directory {
            let below = format!("{place}/");
            let gone: Vec<String> = self
                .waiting
                .range(below.clone()..)
                .map(|(link, _)| link.clone())
                .take_while(|link| link.starts_with(&below))
                .collect();
            gone.iter().for_each(|link| drop(self.waiting.remove(link)));
        }
        Ok(())
    }

    /// Links whose target came behind them.
    fn late_links(&mut self) -> Result<()> {
        let mut waiting: Vec<_> = std::mem::take(&mut self.waiting).into_iter().collect();
        waiting.sort_by_key(|(_, (order, _))| *order);
        for (path, (_, target)) in waiting {
            let names: Vec<&str> = target.split('/').collect();
            let to: Vec<&str> = path.split('/').collect();
            let done = match self.parsed.tree.leaf(&names) {
                Ok(Some(Leaf::LeftOut)) => self.take_name(&to, LINK_TO_LEFT_OUT),
                Ok(Some(leaf)) => self.parsed.tree.insert_leaf(&to, leaf).map_err(Stop::from),
                Ok(None) => {
                    self.parsed.links.push((path, target));
                    continue;
                }
                Err(refusal) => Err(refusal.into()),
            };
            match done {
                Ok(()) | Err(Stop::WorkersGone) => {}
                Err(Stop::Entry(why)) => self.leave_out(&path, why),
                Err(Stop::Layer(why)) => return Err(self.malformed(&path, &why)),
                Err(Stop::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn regular(
        &mut self,
        tar: &mut Tar<'_, '_>,
        entry: &TarEntry,
        slot: usize,
        meta: Meta,
    ) -> Result<(), Stop> {
        if entry.size > self.limits.file_bytes_max {
            return Err(Stop::Layer(format!(
                "it is over {} bytes",
                self.limits.file_bytes_max
            )));
        }
        self.content_bytes += entry.size;
        if self.content_bytes > self.limits.content_bytes_max {
            return Err(Stop::Error(self.too_large(format!(
                "{} bytes of files",
                self.limits.content_bytes_max
            ))));
        }
        self.hole_bytes += entry.holes;
        if self.hole_bytes > self.limits.hole_bytes_max {
            return Err(Stop::Error(self.too_large(format!(
                "{} bytes of holes",
                self.limits.hole_bytes_max
            ))));
        }
        tar.input().begin_file(slot, entry.size);
        let shown = String::from_utf8_lossy(&entry.path);
        let mtime = entry.mtime;
        if entry.size <= SMALL_FILE_BYTES_MAX {
            let mut bytes = vec![0; entry.size as usize];
            self.fill(tar, &mut bytes, &shown)?;
            let len = bytes.len();
            return self.push(
                Job {
                    slot,
                    meta,
                    mtime,
                    payload: Payload::Small(bytes),
                },
                len,
            );
        }
        let (pieces_to, pieces) = sync_channel(PIECES_QUEUED);
        self.push(
            Job {
                slot,
                meta,
                mtime,
                payload: Payload::Large {
                    pieces,
                    size: entry.size,
                },
            },
            BATCH_BYTES,
        )?;
        let mut left = entry.size;
        while left > 0 {
            let mut piece = vec![0; left.min(PIECE_BYTES as u64) as usize];
            self.fill(tar, &mut piece, &shown)?;
            left -= piece.len() as u64;
            pieces_to.send(piece).map_err(|_| Stop::WorkersGone)?;
        }
        Ok(())
    }

    /// Fills `bytes` with payload.
    fn fill(&self, tar: &mut Tar<'_, '_>, bytes: &mut [u8], path: &str) -> Result<(), Stop> {
        let mut at = 0;
        while at < bytes.len() {
            match tar
                .read_payload(&mut bytes[at..])
                .map_err(|error| Stop::Error(self.broken(error, Some(path))))?
            {
                0 => return Err(Stop::Layer("it is cut short".into())),
                n => at += n,
            }
        }
        Ok(())
    }

    fn push(&mut self, job: Job, bytes: usize) -> Result<(), Stop> {
        self.batch.push(job);
        self.batch_bytes += bytes;
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_FILES {
            self.batch_bytes = 0;
            return self
                .jobs
                .send(std::mem::take(&mut self.batch))
                .map_err(|_| Stop::WorkersGone);
        }
        Ok(())
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            // Workers that are gone report their own error.
            let _ = self.jobs.send(std::mem::take(&mut self.batch));
        }
    }
}

/// Why a hard link to an entry that is left out is left out as well.
const LINK_TO_LEFT_OUT: &str = "it is a hard link to an entry that is left out";

/// Why an entry is not stored, or no more are.
enum Stop {
    Entry(&'static str),
    Layer(String),
    Error(Error),
    WorkersGone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Entry(why) => Self::Entry(why),
            Refusal::Layer(why) => Self::Layer(why),
        }
    }
}

fn symlink_target(entry: &TarEntry) -> Result<String, Stop> {
    if entry.link.is_empty()
        || entry.link.len() as u64 >= SYMLINK_BYTES_MAX
        || entry.link.contains(&0)
    {
        return Err(Stop::Layer(
            "its target is empty, too long or holds a NUL".into(),
        ));
    }
    String::from_utf8(entry.link.clone()).map_err(|_| Stop::Entry("its target is not UTF-8"))
}

/// Xattrs by which a layer could speak to an overlay, or to us, instead of to the image's programs.
fn is_private(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.")
        || name.starts_with(b"user.overlay.")
        || name == b"user.ostreemeta"
}
