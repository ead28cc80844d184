//! Writing a recipe while its tar is read: bytes that become objects are noted as such, all others are kept.
//!
//! The tar reader tells payload from everything else; which object a payload becomes is known only when the workers are
//! done, so files are noted by slot and the table is written last. Memory does not grow with the layer but for a word
//! a file.

use std::collections::HashSet;
use std::io::{Read, Write as _};

use crate::chunk::ChunkReader;
use crate::commit::Commit;
use crate::error::{Error, Result};
use crate::id::{DiffId, ObjectId};
use crate::object::{DirTree, Meta, S_IFREG, TreeId, Xattrs};
use crate::recipe::{END_MAGIC, EXTRA, FILES_MAX, ID_BYTES, MAGIC, Op, RECIPE, VERSION};
use crate::tar_split::Packer;
use crate::tar_stream::TarInput;
use crate::txn::{LargeFile, Mtime, Txn};

/// The compression level of the operations.
const LEVEL: i32 = 3;
/// Bytes between payloads after which they become an operation of their own, and compressed bytes after which they
/// are written.
const BUFFER_BYTES: usize = 64 << 10;
/// Ids that are written at once.
const IDS_AT_ONCE: usize = 2048;

/// The file whose payload is being read.
#[derive(Debug)]
struct Current {
    slot: usize,
    size: u64,
    /// Its number in the table, once some of its payload was read.
    number: Option<u64>,
}

/// A recipe in the making.
pub(crate) struct Recorder<'t, 'r> {
    file: LargeFile<'t, 'r>,
    frame: zstd::stream::write::Encoder<'static, Vec<u8>>,
    /// Compressed bytes that are in the file.
    written: u64,
    /// Bytes between payloads that are no operation yet.
    literal: Vec<u8>,
    current: Option<Current>,
    /// Payload of the current file that is no operation yet: offset and length.
    part: Option<(u64, u64)>,
    /// The slots of the files in the table.
    slots: Vec<usize>,
    /// Bytes of the tar so far.
    tar_size: u64,
    /// The first thing that went wrong. Nothing is recorded after it.
    failed: Option<Error>,
}

/// What of a layer its recipe must know.
#[derive(Debug)]
pub(crate) struct Recorded<'l> {
    pub(crate) diff_id: DiffId,
    pub(crate) size: u64,
    /// The objects of all files, by slot.
    pub(crate) ids: &'l [Option<ObjectId>],
    /// The files that the layer's tree leads to.
    pub(crate) in_tree: &'l HashSet<ObjectId>,
}

impl<'t, 'r> Recorder<'t, 'r> {
    /// Begins a recipe as an object of the transaction.
    pub(crate) fn begin(txn: &'t Txn<'r>) -> Result<Self> {
        let mut file = txn.begin_regular(document_meta(), Mtime::default())?;
        file.write(&[&MAGIC[..], &VERSION.to_le_bytes(), &[0; 4]].concat())?;
        let frame = zstd::stream::write::Encoder::new(Vec::new(), LEVEL).map_err(broken)?;
        Ok(Self {
            file,
            frame,
            written: 0,
            literal: Vec::new(),
            current: None,
            part: None,
            slots: Vec::new(),
            tar_size: 0,
            failed: None,
        })
    }

    /// Announces that payload now is that of the file in a slot, `size` bytes long when unpacked.
    fn begin_file(&mut self, slot: usize, size: u64) {
        self.attempt(Self::end_part);
        self.current = Some(Current {
            slot,
            size,
            number: None,
        });
    }

    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) {
        if self.failed.is_none()
            && let Err(error) = step(self)
        {
            self.failed = Some(error);
        }
    }

    /// Bytes that are nobody's payload.
    fn bytes(&mut self, bytes: &[u8]) {
        self.tar_size += bytes.len() as u64;
        self.attempt(|recorder| {
            recorder.end_part()?;
            recorder.literal.extend_from_slice(bytes);
            if recorder.literal.len() >= BUFFER_BYTES {
                recorder.end_literal()?;
            }
            Ok(())
        });
    }

    /// Payload of the current file, from `at`. Without a file it is bytes like any other.
    fn payload(&mut self, bytes: &[u8], at: u64) {
        if self.current.is_none() {
            return self.bytes(bytes);
        }
        let length = bytes.len() as u64;
        self.tar_size += length;
        self.attempt(|recorder| {
            recorder.end_literal()?;
            match &mut recorder.part {
                Some((offset, have)) if *offset + *have == at => *have += length,
                _ => {
                    recorder.end_part()?;
                    recorder.part = Some((at, length));
                }
            }
            Ok(())
        });
    }

    fn end_literal(&mut self) -> Result<()> {
        if self.literal.is_empty() {
            return Ok(());
        }
        self.emit(Op::Literal(self.literal.len() as u64))?;
        let mut literal = std::mem::take(&mut self.literal);
        self.compress(&literal)?;
        literal.clear();
        self.literal = literal;
        Ok(())
    }

    fn end_part(&mut self) -> Result<()> {
        let (Some((offset, length)), Some(current)) = (self.part.take(), &mut self.current) else {
            return Ok(());
        };
        let file = *current.number.get_or_insert_with(|| {
            self.slots.push(current.slot);
            self.slots.len() as u64 - 1
        });
        let op = if (offset, length) == (0, current.size) {
            Op::Whole(file)
        } else {
            Op::Part {
                file,
                offset,
                length,
            }
        };
        if self.slots.len() as u64 > FILES_MAX {
            return Err(Error::TooLarge {
                what: "layer".into(),
                limit: format!("{FILES_MAX} files"),
            });
        }
        self.emit(op)
    }

    fn emit(&mut self, op: Op) -> Result<()> {
        let mut bytes = Vec::with_capacity(30);
        op.encode(&mut bytes);
        self.compress(&bytes)
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<()> {
        self.frame.write_all(bytes).map_err(broken)?;
        let ready = self.frame.get_mut();
        if ready.len() >= BUFFER_BYTES {
            self.written += ready.len() as u64;
            self.file.write(ready)?;
            ready.clear();
        }
        Ok(())
    }

    /// Ends the recipe and stores its commit; gives the commit's id.
    pub(crate) fn finish(mut self, txn: &Txn<'_>, layer: &Recorded<'_>) -> Result<ObjectId> {
        self.attempt(Self::end_part);
        self.attempt(Self::end_literal);
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.tar_size != layer.size {
            return Err(Error::Mismatch {
                what: format!("recipe of layer {}", layer.diff_id),
                expected: format!("{} bytes", layer.size),
                found: self.tar_size.to_string(),
            });
        }
        let rest = self.frame.finish().map_err(broken)?;
        self.file.write(&rest)?;
        let files: Vec<ObjectId> = self
            .slots
            .iter()
            .map(|slot| {
                let id = layer.ids.get(*slot).copied().flatten();
                id.ok_or_else(|| Error::malformed("layer", "a file was not stored"))
            })
            .collect::<Result<_>>()?;
        for ids in files.chunks(IDS_AT_ONCE) {
            let mut bytes = Vec::with_capacity(ids.len() * ID_BYTES as usize);
            ids.iter()
                .for_each(|id| bytes.extend_from_slice(id.as_bytes()));
            self.file.write(&bytes)?;
        }
        let mut trailer = layer.diff_id.as_bytes().to_vec();
        for number in [
            layer.size,
            self.written + rest.len() as u64,
            files.len() as u64,
        ] {
            trailer.extend_from_slice(&number.to_le_bytes());
        }
        trailer.extend_from_slice(END_MAGIC);
        self.file.write(&trailer)?;
        commit_recipe(txn, self.file.finish()?, &files, layer.in_tree)
    }
}

impl std::fmt::Debug for Recorder<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

fn broken(source: std::io::Error) -> Error {
    Error::Write {
        what: "recipe".into(),
        source,
    }
}

/// Owner and mode of a recipe.
pub(crate) fn document_meta() -> Meta {
    Meta {
        uid: 0,
        gid: 0,
        mode: S_IFREG | 0o644,
        xattrs: Xattrs::default(),
    }
}

/// The commit of a recipe: itself, and what only it leads to.
pub(crate) fn commit_recipe(
    txn: &Txn<'_>,
    recipe: ObjectId,
    files: &[ObjectId],
    in_tree: &HashSet<ObjectId>,
) -> Result<ObjectId> {
    let mut seen = HashSet::new();
    let extra = files
        .iter()
        .filter(|id| !in_tree.contains(id) && seen.insert(**id));
    let mut extra: Vec<(String, ObjectId)> = extra
        .enumerate()
        .map(|(n, id)| (n.to_string(), *id))
        .collect();
    extra.sort();
    let meta = txn.put_dirmeta(&Meta::default_dir())?;
    let mut tree = DirTree {
        files: vec![(RECIPE.to_owned(), recipe)],
        dirs: Vec::new(),
    };
    if !extra.is_empty() {
        let contents = txn.put_dirtree(&DirTree {
            files: extra,
            dirs: Vec::new(),
        })?;
        tree.dirs
            .push((EXTRA.to_owned(), TreeId { contents, meta }));
    }
    txn.put_commit(&Commit {
        metadata: Vec::new(),
        parent: None,
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root: TreeId {
            contents: txn.put_dirtree(&tree)?,
            meta,
        },
    })
}

/// Who notes what a tar holds.
#[derive(Debug, Default)]
pub(crate) struct Recorders<'t, 'r> {
    pub(crate) recipe: Option<Recorder<'t, 'r>>,
    pub(crate) split: Option<Packer>,
}

impl Recorders<'_, '_> {
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(recipe) = &mut self.recipe {
            recipe.bytes(bytes);
        }
        if let Some(split) = &mut self.split {
            split.bytes(bytes);
        }
    }

    fn payload(&mut self, bytes: &[u8], at: u64) {
        if let Some(recipe) = &mut self.recipe {
            recipe.payload(bytes, at);
        }
        if let Some(split) = &mut self.split {
            split.payload(bytes);
        }
    }
}

/// A tar on its way to the parser, every byte of it noted by whoever records it.
#[derive(Debug)]
pub(crate) struct Tape<'t, 'r> {
    chunks: ChunkReader,
    recorders: Recorders<'t, 'r>,
}

impl<'t, 'r> Tape<'t, 'r> {
    pub(crate) fn new(chunks: ChunkReader, recorders: Recorders<'t, 'r>) -> Self {
        Self { chunks, recorders }
    }

    /// Announces an entry whose header was read last.
    pub(crate) fn begin_entry(&mut self, name: &[u8], sparse: bool) {
        if let Some(split) = &mut self.recorders.split {
            split.begin_entry(name, sparse);
        }
    }

    /// Announces the file whose payload is read next.
    pub(crate) fn begin_file(&mut self, slot: usize, size: u64) {
        if let Some(recipe) = &mut self.recorders.recipe {
            recipe.begin_file(slot, size);
        }
    }

    /// Takes what is left of the tar, so that whoever sends it is not held up; gives the recorders.
    pub(crate) fn drain(mut self) -> Recorders<'t, 'r> {
        let recorders = &mut self.recorders;
        self.chunks.drain(|bytes| recorders.bytes(bytes));
        self.recorders
    }
}

impl TarInput for Tape<'_, '_> {
    fn read_frame(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.chunks.read(buffer)?;
        self.recorders.bytes(&buffer[..n]);
        Ok(n)
    }

    fn read_payload(&mut self, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
        let n = self.chunks.read(buffer)?;
        if n > 0 {
            self.recorders.payload(&buffer[..n], at);
        }
        Ok(n)
    }
}
