//! Writing a bundle: only what the other side lacks, in one pass, every file checked against its id on the way.

use std::io::{Read as _, Write};
use std::os::unix::fs::MetadataExt as _;

use sha2::Digest as _;

use crate::bundle_delta::{Piece, pieces};
use crate::bundle_format::{
    Coming, END_MAGIC, WINDOW_LOG, copy_piece, head, literal_head, object_head,
};
use crate::bundle_plan::plan;
use crate::content::{Content, ContentKind, Payload};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::image::Image;
use crate::object::{Meta, file_header};
use crate::repo::Repo;
use crate::txn::Mtime;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 128 << 10;
/// The largest file that is compared with its base, and the largest base, in bytes: both are read into memory.
const COMPARED_BYTES_MAX: u64 = 16 << 20;

/// How to write a bundle.
#[derive(Debug, Clone)]
pub struct BundleOptions {
    /// The level of the zstd frame, 1 to 19.
    pub level: i32,
}

/// What a bundle holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BundleReport {
    /// Its size in bytes.
    pub bytes: u64,
    /// Layers in it.
    pub layers: u64,
    /// Layers of its images that the other side has.
    pub layers_had: u64,
    /// Files in it, recipes not counted.
    pub files: u64,
    /// The bytes of these files, before anything was left out or compressed.
    pub file_bytes: u64,
}

/// Counts and hashes what is written.
struct Hashed<'o> {
    out: &'o mut dyn Write,
    hash: sha2::Sha256,
    bytes: u64,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

type Frame<'o> = zstd::stream::write::Encoder<'static, Hashed<'o>>;

fn broken(source: std::io::Error) -> Error {
    Error::Write {
        what: "the bundle".into(),
        source,
    }
}

/// Writes a bundle of `images` for a store that has all of `since`, whatever their names are there. With no `since` it
/// holds everything.
///
/// Fails on a layer that was stored before recipes were kept, and on anything damaged; `out` then got a part of a bundle,
/// which no reader takes. Hold the repository's lock from before the images were found.
pub fn write_bundle(
    repo: &Repo,
    images: &[Image],
    since: &[Image],
    options: &BundleOptions,
    out: &mut dyn Write,
) -> Result<BundleReport> {
    let contents = plan(repo, images, since)?;
    let mut out = Hashed {
        out,
        hash: sha2::Sha256::new(),
        bytes: 0,
    };
    out.write_all(&head(repo.mode().hash())).map_err(broken)?;
    let mut frame = Frame::new(out, options.level).map_err(broken)?;
    frame.window_log(WINDOW_LOG).map_err(broken)?;
    frame.long_distance_matching(true).map_err(broken)?;
    frame.write_all(&contents.encode()).map_err(broken)?;
    for layer in &contents.layers {
        write_object(repo, &layer.recipe, &mut frame)?;
    }
    let mut file_bytes = 0;
    for file in &contents.files {
        file_bytes += write_object(repo, file, &mut frame)?;
    }
    let mut out = frame.finish().map_err(broken)?;
    let digest = out.hash.clone().finalize();
    out.write_all(&digest).map_err(broken)?;
    out.write_all(END_MAGIC).map_err(broken)?;
    out.flush().map_err(broken)?;
    Ok(BundleReport {
        bytes: out.bytes,
        layers: contents.layers.len() as u64,
        layers_had: contents.had.len() as u64,
        files: contents.files.len() as u64,
        file_bytes,
    })
}

/// A regular file object: its metadata, time, payload and size.
fn open(repo: &Repo, id: &ObjectId) -> Result<(Meta, Mtime, Payload, u64)> {
    let Content { meta, kind } = repo.open_file(id)?;
    let ContentKind::Regular { file, size } = kind else {
        return Err(Error::malformed(
            format!("file {id}"),
            "it is a symbolic link, and a recipe takes bytes from it",
        ));
    };
    let stat = match file.as_file() {
        Some(file) => Some(file.metadata().map_err(|source| broken_file(id, source))?),
        None => None,
    };
    let mtime = stat.map_or_else(Mtime::default, |stat| Mtime {
        secs: stat.mtime(),
        nanos: stat.mtime_nsec() as u32,
    });
    Ok((meta, mtime, file, size))
}

fn broken_file(id: &ObjectId, source: std::io::Error) -> Error {
    Error::Read {
        what: format!("file {id}"),
        source,
    }
}

/// Writes one file; gives its size.
fn write_object(repo: &Repo, file: &Coming, frame: &mut Frame<'_>) -> Result<u64> {
    let (meta, mtime, mut payload, size) = open(repo, &file.id)?;
    let head = object_head(mtime, &meta.encode(), size);
    frame.write_all(&head).map_err(broken)?;
    let mut hash = repo.mode().hash().hasher();
    hash.update(&file_header(&meta, ""));
    let mut written = 0;
    if let Some(base) = read_base(repo, file, size)? {
        let bytes = read_whole(&file.id, payload, size)?;
        hash.update(&bytes);
        written = bytes.len() as u64;
        write_pieces(&pieces(&bytes, &base), frame)?;
    } else if size > 0 {
        frame.write_all(&literal_head(size)).map_err(broken)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = payload.read(&mut buffer);
            let n = read.map_err(|source| broken_file(&file.id, source))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            frame.write_all(&buffer[..n]).map_err(broken)?;
            written += n as u64;
        }
    }
    let found = hash.finish();
    if found != file.id || written != size {
        return Err(Error::Corrupt {
            what: format!("file {}", file.id),
            expected: file.id.hex(),
            found: found.hex(),
        });
    }
    Ok(size)
}

/// What a file may copy from, if both are small enough to compare.
fn read_base(repo: &Repo, file: &Coming, size: u64) -> Result<Option<Vec<u8>>> {
    let Some(base) = file.base.filter(|_| size <= COMPARED_BYTES_MAX) else {
        return Ok(None);
    };
    match repo.open_file(&base)?.kind {
        ContentKind::Regular { file, size } if size <= COMPARED_BYTES_MAX => {
            read_whole(&base, file, size).map(Some)
        }
        _ => Ok(None),
    }
}

fn read_whole(id: &ObjectId, payload: Payload, size: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = payload.take(size).read_to_end(&mut bytes);
    read.map_err(|source| broken_file(id, source))?;
    Ok(bytes)
}

fn write_pieces(pieces: &[Piece<'_>], frame: &mut Frame<'_>) -> Result<()> {
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => {
                frame
                    .write_all(&literal_head(bytes.len() as u64))
                    .map_err(broken)?;
                frame.write_all(bytes).map_err(broken)?;
            }
            Piece::Copy { offset, length } => {
                frame
                    .write_all(&copy_piece(*length as u64, *offset as u64))
                    .map_err(broken)?;
            }
        }
    }
    Ok(())
}
