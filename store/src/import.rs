//! Importing a layer: one pass over its tar, from a reader to objects, with nothing unpacked in between.
//!
//! ```text
//! caller: read (download, verify, inflate) ──► chunks ──► diff id
//!                                                └──────► parse ──► batches of files ──► two workers: hash, write
//!                                                                                          └──► publisher: sync, name
//! ```
//!
//! Every channel is bounded, so memory does not grow with the layer. Objects get their names while the layer is still
//! being read (they verify themselves); the layer's refs come last, when its diff id and, through the reader's last
//! word, its blob's size and digest are right.

use std::collections::HashSet;
use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sha2::Digest as _;

use crate::chunk::{Chunk, ChunkReader, Pool};
use crate::error::{Error, Result};
use crate::id::{DiffId, Digest, ObjectId};
use crate::layer::{Layer, LayerFacts, commit_layer};
use crate::layer_parse::{Batch, Job, Parsed, Payload, parse};
use crate::layer_store::{StoredTree, store_tree};
use crate::mend::Broken;
use crate::owners::Owners;
use crate::recording::{Recorded, Recorder, Recorders, Tape};
use crate::repo::Repo;
use crate::tar_split::Packer;
use crate::txn::{Txn, Written};

/// Chunks on their way to each reader of the tar; with [`crate::chunk::CHUNK_BYTES`] this bounds the memory.
const CHUNKS_QUEUED: usize = 6;
/// Batches of files that wait for a worker.
const BATCHES_QUEUED: usize = 4;
/// Threads that hash and write files; more did not help on two cores.
const WORKERS: usize = 2;
/// Objects and bytes after which a group is made durable in the background.
const GROUP_OBJECTS: usize = 2000;
const GROUP_BYTES: u64 = 128 << 20;

/// What a layer may be at most.
#[derive(Debug, Clone)]
pub struct LayerLimits {
    /// Entries of the tar.
    pub entries_max: u64,
    /// Bytes of all paths and link targets together, which are in memory until the layer is stored.
    pub path_bytes_max: u64,
    /// Bytes of the uncompressed tar.
    pub tar_bytes_max: u64,
    /// Bytes of one file, the holes of sparse files included.
    pub file_bytes_max: u64,
    /// Bytes of all files together.
    pub content_bytes_max: u64,
    /// Bytes of the holes of all sparse files together, which no byte of the tar pays for.
    pub hole_bytes_max: u64,
}

impl Default for LayerLimits {
    fn default() -> Self {
        Self {
            entries_max: 1 << 20,
            path_bytes_max: 1 << 28,
            tar_bytes_max: 1 << 38,
            file_bytes_max: 1 << 36,
            content_bytes_max: 1 << 38,
            hole_bytes_max: 1 << 34,
        }
    }
}

/// What a layer should turn out to be.
#[derive(Debug, Clone)]
pub struct LayerOrigin {
    /// The digest of the uncompressed tar; `None` takes any (an archive that does not say).
    pub diff_id: Option<DiffId>,
    /// The compressed blob and its size in bytes, when the reader verifies them: it must fail at its end if they are wrong.
    pub blob: Option<(Digest, u64)>,
}

/// What an import did.
#[derive(Debug, Clone)]
pub struct ImportedLayer {
    /// The layer.
    pub layer: Layer,
    /// Entries in the tar.
    pub entries: u64,
    /// Objects that were new, with their bytes.
    pub written: Written,
}

/// Stores a layer from its uncompressed tar, which is read to its end on the calling thread.
///
/// Hold the repository's lock. On any error no ref is set; objects that were written are found again by the next try.
pub fn import_layer(
    repo: &Repo,
    tar: &mut dyn Read,
    origin: &LayerOrigin,
    limits: &LayerLimits,
) -> Result<ImportedLayer> {
    import_in(repo.txn()?, tar, origin, limits)
}

/// Stores a layer again whose objects of `broken` are there but not what they should be: they are mended, whatever is
/// linked to them included. Otherwise like [`import_layer`].
pub fn mend_layer(
    repo: &Repo,
    tar: &mut dyn Read,
    origin: &LayerOrigin,
    limits: &LayerLimits,
    broken: &Broken,
) -> Result<ImportedLayer> {
    import_in(repo.txn_mending(broken.clone())?, tar, origin, limits)
}

fn import_in(
    txn: Txn<'_>,
    tar: &mut dyn Read,
    origin: &LayerOrigin,
    limits: &LayerLimits,
) -> Result<ImportedLayer> {
    let what = match (&origin.blob, &origin.diff_id) {
        (Some((blob, _)), _) => format!("layer {blob}"),
        (None, Some(diff_id)) => format!("layer {diff_id}"),
        (None, None) => "layer".to_owned(),
    };
    let keep = Keep {
        record: Record::Recipe,
        owners: Owners::True,
    };
    let TarTree { facts, entries, .. } =
        import_tar(&txn, tar, &what, origin.diff_id, limits, keep)?;
    let layer = commit_layer(&txn, facts, origin.blob)?;
    Ok(ImportedLayer {
        layer,
        entries,
        written: txn.commit()?,
    })
}

/// A tar that was stored as a tree, and what else is known of it.
#[derive(Debug)]
pub(crate) struct TarTree {
    pub(crate) facts: LayerFacts,
    pub(crate) entries: u64,
    /// The files that were stored, by slot.
    pub(crate) ids: Vec<Option<ObjectId>>,
    /// Those of them that the tree leads to.
    pub(crate) in_tree: HashSet<ObjectId>,
    /// What `tarsplit.output` is to hold, if that was to be kept.
    pub(crate) split: Option<String>,
}

/// What is kept of a tar besides its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// All that is needed to make it again.
    Recipe,
    /// The same in the form of skopeo's transport.
    TarSplit,
    /// Nothing.
    Nothing,
}

/// How a tar is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    pub(crate) record: Record,
    pub(crate) owners: Owners,
}

/// Stores the tree of a tar in a transaction. `what` names the tar in errors.
pub(crate) fn import_tar(
    txn: &Txn<'_>,
    tar: &mut dyn Read,
    what: &str,
    expected: Option<DiffId>,
    limits: &LayerLimits,
    keep: Keep,
) -> Result<TarTree> {
    let Taken {
        diff_id,
        size,
        parsed,
        recorders,
        ids,
    } = run(txn, tar, what, limits, keep)?;
    if let Some(expected) = expected
        && expected != diff_id
    {
        let (expected, found) = (expected.to_string(), diff_id.to_string());
        return Err(Error::Mismatch {
            what: format!("diff id of {what}"),
            expected,
            found,
        });
    }
    let Parsed {
        tree,
        entries,
        left_out,
        links,
        whiteouts,
        ..
    } = parsed;
    let StoredTree {
        root,
        notes,
        files: in_tree,
    } = store_tree(txn, &tree, &ids, keep.owners, links, whiteouts)?;
    let recorded = Recorded {
        diff_id,
        size,
        ids: &ids,
        in_tree: &in_tree,
    };
    let recipe = recorders
        .recipe
        .map(|recorder| recorder.finish(txn, &recorded))
        .transpose()?;
    let split = recorders.split.map(Packer::finish).transpose()?;
    Ok(TarTree {
        facts: LayerFacts {
            diff_id,
            size,
            root,
            left_out,
            notes,
            recipe,
        },
        entries,
        ids,
        in_tree,
        split,
    })
}

/// What the pipeline made of a tar.
struct Taken<'t, 'r> {
    diff_id: DiffId,
    size: u64,
    parsed: Parsed,
    recorders: Recorders<'t, 'r>,
    /// The object ids by slot.
    ids: Vec<Option<ObjectId>>,
}

/// Runs the pipeline.
fn run<'t, 'r>(
    txn: &'t Txn<'r>,
    tar: &mut dyn Read,
    what: &str,
    limits: &LayerLimits,
    keep: Keep,
) -> Result<Taken<'t, 'r>> {
    let mut recorders = Recorders::default();
    match keep.record {
        Record::Recipe => recorders.recipe = Some(Recorder::begin(txn)?),
        Record::TarSplit => recorders.split = Some(Packer::new()),
        Record::Nothing => {}
    }
    thread::scope(|scope| {
        let (hash_to, hash_from) = sync_channel::<Arc<Chunk>>(CHUNKS_QUEUED);
        let (parse_to, parse_from) = sync_channel::<Arc<Chunk>>(CHUNKS_QUEUED);
        let (batch_to, batch_from) = sync_channel::<Batch>(BATCHES_QUEUED);
        let (group_to, group_from) = sync_channel::<()>(1);
        let batch_from = Arc::new(Mutex::new(batch_from));

        let hasher = scope.spawn(move || {
            let mut hash = sha2::Sha256::new();
            for chunk in hash_from {
                hash.update(chunk.bytes());
            }
            DiffId::new(hash.finalize().into())
        });
        let tape = Tape::new(ChunkReader::new(parse_from), recorders);
        let parser = scope.spawn(move || parse(tape, what, limits, keep.owners, &batch_to));
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (batches, group) = (Arc::clone(&batch_from), group_to.clone());
                scope.spawn(move || work(txn, &batches, &group))
            })
            .collect();
        drop((batch_from, group_to));
        let publisher = scope.spawn(move || group_from.iter().try_for_each(|()| txn.publish()));

        let read = read_all(tar, what, limits, &hash_to, &parse_to);
        drop((hash_to, parse_to));
        let diff_id = hasher.join().map_err(|_| died("hashing"))?;
        let parsed = parser.join().map_err(|_| died("parsing"))?;
        let mut ids = Vec::new();
        for worker in workers {
            ids.push(worker.join().map_err(|_| died("writing"))?);
        }
        let published = publisher.join().map_err(|_| died("syncing"))?;
        // The reader's word comes first: a cut or forged stream is the cause of whatever the parser says of it. A
        // worker that failed comes before the parser, which then only found its channel closed.
        let size = read?;
        let ids = ids.into_iter().collect::<Result<Vec<_>>>()?;
        published?;
        let (parsed, recorders) = parsed?;
        let mut by_slot = vec![None; parsed.slots()];
        for (slot, id) in ids.into_iter().flatten() {
            by_slot[slot] = Some(id);
        }
        Ok(Taken {
            diff_id,
            size,
            parsed,
            recorders,
            ids: by_slot,
        })
    })
}

fn died(what: &str) -> Error {
    Error::Read {
        what: "layer".into(),
        source: std::io::Error::other(format!("the {what} thread died")),
    }
}

/// Reads the tar to its end and hands it to both readers; stops early when the parser has given up.
fn read_all(
    tar: &mut dyn Read,
    what: &str,
    limits: &LayerLimits,
    hash_to: &SyncSender<Arc<Chunk>>,
    parse_to: &SyncSender<Arc<Chunk>>,
) -> Result<u64> {
    let pool = Pool::new();
    let mut size = 0;
    loop {
        let mut chunk = pool.take();
        let n = chunk.fill(tar).map_err(|source| Error::Read {
            what: what.to_owned(),
            source,
        })?;
        if n == 0 {
            return Ok(size);
        }
        size += n as u64;
        if size > limits.tar_bytes_max {
            return Err(Error::TooLarge {
                what: what.to_owned(),
                limit: format!("{} bytes", limits.tar_bytes_max),
            });
        }
        let chunk = Arc::new(chunk);
        if parse_to.send(Arc::clone(&chunk)).is_err() || hash_to.send(chunk).is_err() {
            return Ok(size);
        }
    }
}

type Ids = Vec<(usize, ObjectId)>;

/// One worker: takes batches until there are no more.
fn work(txn: &Txn<'_>, batches: &Mutex<Receiver<Batch>>, group: &SyncSender<()>) -> Result<Ids> {
    let mut ids = Vec::new();
    let mut done_bytes = 0;
    loop {
        let next = batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(batch) = next else { return Ok(ids) };
        for Job {
            slot,
            meta,
            mtime,
            payload,
        } in batch
        {
            let id = match payload {
                Payload::Small(bytes) => {
                    done_bytes += bytes.len() as u64;
                    txn.put_regular(&meta, mtime, &bytes)?
                }
                Payload::Symlink(target) => txn.put_symlink(&meta, mtime, &target)?,
                Payload::Large { pieces, size } => {
                    let mut file = txn.begin_regular(meta, mtime)?;
                    let mut left = size;
                    for piece in pieces {
                        left -= piece.len() as u64;
                        done_bytes += piece.len() as u64;
                        file.write(&piece)?;
                    }
                    if left > 0 {
                        // The parser gave up in the middle and says why; a short file must not become an object.
                        return Ok(ids);
                    }
                    file.finish()?
                }
            };
            ids.push((slot, id));
        }
        if txn.staged() >= GROUP_OBJECTS || done_bytes >= GROUP_BYTES {
            done_bytes = 0;
            match group.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Disconnected(())) => return Ok(ids),
            }
        }
    }
}
