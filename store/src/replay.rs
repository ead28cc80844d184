//! Making a layer's tar again, byte for byte: its recipe read from end to end, payloads from their objects.
//!
//! The reader holds one object open at a time and gives nothing that the recipe does not account for: what comes out
//! is as long as the layer was, or an error.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt as _;

use sha2::Digest as _;

use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::id::{DiffId, ObjectId};
use crate::object::ObjectKind;
use crate::recipe::{Op, Ops, Recipe};
use crate::repo::Repo;
use crate::txn::StagedFiles;

/// How much is read and written at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayReport {
    /// The size of the tar, in bytes.
    pub size: u64,
    /// The objects it took payload from.
    pub files: u64,
}

/// Writes the uncompressed tar of a layer to `out`, just as it was when the layer was stored.
///
/// Looks for all objects before the first byte, and fails at the end when the bytes are not those of `diff_id`: then
/// `out` got a wrong tar. Hold the repository's lock.
pub fn replay(repo: &Repo, diff_id: &DiffId, out: &mut dyn Write) -> Result<ReplayReport> {
    let mut tar = Replay::open(repo, diff_id, Payloads::Read)?;
    for id in tar.recipe.files() {
        if !repo.has(ObjectKind::File, id)? {
            return Err(missing(diff_id, id));
        }
    }
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n = tar.read_some(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        out.write_all(&buffer[..n]).map_err(|source| Error::Write {
            what: format!("layer {diff_id}"),
            source,
        })?;
    }
    let found = DiffId::new(hash.finalize().into());
    if found != *diff_id {
        return Err(Error::Corrupt {
            what: format!("layer {diff_id}"),
            expected: diff_id.to_string(),
            found: found.to_string(),
        });
    }
    Ok(ReplayReport {
        size: tar.recipe.tar_size(),
        files: tar.recipe.files().len() as u64,
    })
}

/// Opens the uncompressed tar of a layer for reading, just as it was when the layer was stored, and says how many bytes
/// it has.
///
/// Whoever reads it checks that the bytes are those of `diff_id`. Hold the repository's lock.
pub fn open_tar<'r>(repo: &'r Repo, diff_id: &DiffId) -> Result<(impl Read + Send + use<'r>, u64)> {
    let tar = Replay::open(repo, diff_id, Payloads::Read)?;
    let size = tar.recipe.tar_size();
    Ok((tar, size))
}

fn refused(diff_id: &DiffId, why: String) -> Error {
    Error::Refused {
        verb: "replay",
        thing: format!("layer {diff_id}"),
        why,
    }
}

fn missing(diff_id: &DiffId, id: &ObjectId) -> Error {
    refused(diff_id, format!("file {id} not found"))
}

/// What stands for the payload of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// The payload.
    Read,
    /// As many zeros: enough for whoever only looks at headers.
    Zeros,
}

/// Where the current operation's bytes come from.
#[derive(Debug)]
enum Source {
    Literal,
    File(File),
    Zeros,
}

/// A layer's tar, as it is read.
#[derive(Debug)]
pub(crate) struct Replay<'r> {
    repo: &'r Repo,
    staged: Option<&'r StagedFiles<'r, 'r>>,
    recipe: Recipe,
    payloads: Payloads,
    ops: Ops,
    source: Source,
    /// Where in the source the reader is, and how many bytes are left of the operation.
    at: u64,
    left: u64,
    /// Bytes of the tar that no operation has given yet.
    rest: u64,
}

impl<'r> Replay<'r> {
    /// Begins at the first byte. Fails when the layer was stored before recipes were kept.
    pub(crate) fn open(repo: &'r Repo, diff_id: &DiffId, payloads: Payloads) -> Result<Self> {
        let recipe = Recipe::open(repo, diff_id)?
            .ok_or_else(|| refused(diff_id, "it was stored before recipes were kept".into()))?;
        Self::of(repo, recipe, payloads, None)
    }

    /// The same with a recipe that need not be in the repository yet, and files of which some are only staged.
    pub(crate) fn of(
        repo: &'r Repo,
        recipe: Recipe,
        payloads: Payloads,
        staged: Option<&'r StagedFiles<'r, 'r>>,
    ) -> Result<Self> {
        Ok(Self {
            repo,
            staged,
            payloads,
            ops: recipe.ops()?,
            rest: recipe.tar_size(),
            recipe,
            source: Source::Literal,
            at: 0,
            left: 0,
        })
    }

    /// Reads some bytes; 0 only at the end of the tar.
    pub(crate) fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.left == 0 && !self.next_op()? {
            return Ok(0);
        }
        let want = self.left.min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..want];
        let n = match &self.source {
            Source::Literal => self.ops.read(buffer)?,
            Source::Zeros => {
                buffer.fill(0);
                want
            }
            Source::File(file) => {
                let read = file.read_at(buffer, self.at);
                match read.map_err(|source| Error::Read {
                    what: format!("layer {}", self.recipe.diff_id()),
                    source,
                })? {
                    0 => return Err(self.recipe.malformed("a file of it is cut short")),
                    n => n,
                }
            }
        };
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }

    /// Goes to the next operation; `false` at the end, which must be that of the tar.
    fn next_op(&mut self) -> Result<bool> {
        let (source, at, length) = match self.ops.next()? {
            None if self.rest == 0 => return Ok(false),
            None => return Err(self.recipe.malformed("it ends before the tar does")),
            Some(Op::Literal(length)) => (Source::Literal, 0, length),
            Some(Op::Whole(number)) => {
                let (file, size) = self.file(number)?;
                (Source::File(file), 0, size)
            }
            Some(Op::Part {
                file: number,
                offset,
                length,
            }) => {
                let (file, size) = self.file(number)?;
                if offset.checked_add(length).is_none_or(|end| end > size) {
                    return Err(self.recipe.malformed("it has a part outside of its file"));
                }
                (Source::File(file), offset, length)
            }
        };
        if length == 0 {
            return Err(self.recipe.malformed("it has an empty operation"));
        }
        self.rest = self
            .rest
            .checked_sub(length)
            .ok_or_else(|| self.recipe.malformed("it goes on behind the tar"))?;
        self.source = match (source, self.payloads) {
            (Source::File(_), Payloads::Zeros) => Source::Zeros,
            (source, _) => source,
        };
        (self.at, self.left) = (at, length);
        Ok(true)
    }

    /// Opens the object of a file of the table; gives its size too.
    fn file(&self, number: u64) -> Result<(File, u64)> {
        let id = usize::try_from(number)
            .ok()
            .and_then(|number| self.recipe.files().get(number))
            .ok_or_else(|| {
                self.recipe
                    .malformed("it has a file that is not in its table")
            })?;
        if let Some(staged) = self.staged
            && let Some(file) = staged.open(id)?
        {
            return Ok(file);
        }
        match self.repo.open_file(id) {
            Ok(content) => match content.kind {
                ContentKind::Regular { file, size } => Ok((file.into_seekable(size)?, size)),
                ContentKind::Symlink { .. } => {
                    Err(self.recipe.malformed("a file of it is a symbolic link"))
                }
            },
            Err(Error::NotFound { .. }) => Err(missing(self.recipe.diff_id(), id)),
            Err(error) => Err(Error::Read {
                what: format!("layer {}", self.recipe.diff_id()),
                source: std::io::Error::other(error),
            }),
        }
    }
}

impl Read for Replay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.read_some(buffer).map_err(std::io::Error::other)
    }
}
