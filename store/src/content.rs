//! Reading a file object, however the repository keeps it.
//!
//! What comes out is the same in every mode: owner, mode and xattrs as they are in the tree, and a payload that is read
//! from its start. Nothing here checks the id; fsck does.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::gvariant::{self, Member, Why};
use crate::id::ObjectId;
use crate::mode::Storage;
use crate::object::{Meta, ObjectKind, S_IFLNK, S_IFMT, S_IFREG, Xattrs, be32, is_file_mode};
use crate::real_xattrs::xattrs_of;
use crate::repo::Repo;

/// The xattr that holds owner, mode and xattrs of a file object in `bare-user`.
pub(crate) const OSTREEMETA: &str = "user.ostreemeta";
/// The longest target of a symbolic link, in bytes (`PATH_MAX`).
pub(crate) const SYMLINK_BYTES_MAX: u64 = 4096;
/// The largest `user.ostreemeta` that is read, in bytes (`XATTR_SIZE_MAX`).
pub(crate) const OSTREEMETA_BYTES_MAX: usize = 64 << 10;
/// Room for the `user.ostreemeta` of nearly every file; longer ones are read again.
const OSTREEMETA_BYTES_USUAL: usize = 512;
/// The largest header of a file in an `archive`, in bytes: xattrs and a target.
const ARCHIVE_HEADER_BYTES_MAX: u32 = 1 << 20;

/// A file object.
#[derive(Debug)]
pub struct Content {
    /// Owner, mode and xattrs.
    pub meta: Meta,
    /// What it is.
    pub kind: ContentKind,
}

/// The payload of a file object.
#[derive(Debug)]
pub enum ContentKind {
    /// A regular file, positioned at its start.
    Regular {
        /// Its payload.
        file: Payload,
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: String,
    },
}

/// The bytes of a regular file.
#[derive(Debug)]
pub struct Payload(Form);

#[derive(Debug)]
enum Form {
    Plain(File),
    Deflated(Box<flate2::bufread::DeflateDecoder<BufReader<File>>>),
}

impl Payload {
    /// The file that holds just these bytes; `None` where they are compressed.
    pub fn as_file(&self) -> Option<&File> {
        match &self.0 {
            Form::Plain(file) => Some(file),
            Form::Deflated(_) => None,
        }
    }

    /// A file with just these bytes that can be read from anywhere; compressed ones are copied into memory, `size` bytes
    /// at most.
    pub(crate) fn into_seekable(self, size: u64) -> Result<File> {
        match self.0 {
            Form::Plain(file) => Ok(file),
            Form::Deflated(packed) => {
                let what = || Path::new("a file in memory");
                let flags = rustix::fs::MemfdFlags::CLOEXEC;
                let memory = rustix::fs::memfd_create("berth-object", flags);
                let mut file = File::from(memory.map_err(Error::io("create", what()))?);
                std::io::copy(&mut packed.take(size), &mut file)
                    .map_err(Error::io("write", what()))?;
                Ok(file)
            }
        }
    }
}

impl Read for Payload {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.0 {
            Form::Plain(file) => file.read(buffer),
            Form::Deflated(file) => file.read(buffer),
        }
    }
}

fn what(id: &ObjectId) -> String {
    format!("file {id}")
}

fn wrong_mode(id: &ObjectId, mode: u32) -> Error {
    Error::malformed(what(id), format!("mode {mode:o} is not a file's"))
}

impl Repo {
    /// Opens a file object.
    pub fn open_file(&self, id: &ObjectId) -> Result<Content> {
        match self.mode().storage() {
            Storage::BareUser => self.open_bare_user(id),
            Storage::Bare => self.open_bare(id, xattrs_of),
            Storage::BareUserOnly => {
                let mut content = self.open_bare(id, |_| Ok(Xattrs::default()))?;
                (content.meta.uid, content.meta.gid) = (0, 0);
                Ok(content)
            }
            Storage::Archive => self.open_archived(id),
        }
    }

    /// The metadata of a file object alone: in `bare-user` with one system call, and without opening it.
    pub(crate) fn file_meta(&self, id: &ObjectId) -> Result<Meta> {
        if self.mode().storage() != Storage::BareUser {
            return Ok(self.open_file(id)?.meta);
        }
        let path = self.objects.path().join(self.loose(ObjectKind::File, id));
        let mut value = [0; OSTREEMETA_BYTES_USUAL];
        match rustix::fs::lgetxattr(&path, OSTREEMETA, &mut value) {
            Ok(size) => Meta::decode(value.get(..size).unwrap_or_default(), &what(id)),
            Err(Errno::RANGE) => Ok(self.open_file(id)?.meta),
            Err(Errno::NOENT) => Err(Self::missing(ObjectKind::File, id)),
            Err(Errno::NODATA) => Err(Error::malformed(what(id), "it has no user.ostreemeta")),
            Err(error) => Err(Error::io("read the metadata of", path)(error)),
        }
    }

    fn open_object(&self, id: &ObjectId, path: &Path) -> Result<(File, std::fs::Metadata)> {
        let file = self
            .objects
            .try_file(path)?
            .ok_or_else(|| Self::missing(ObjectKind::File, id))?;
        let stat = file
            .metadata()
            .map_err(Error::io("stat", self.objects.path().join(path)))?;
        if !stat.is_file() {
            return Err(Error::malformed(what(id), "it is not a regular file"));
        }
        Ok((file, stat))
    }

    fn open_bare_user(&self, id: &ObjectId) -> Result<Content> {
        let path = self.loose(ObjectKind::File, id);
        let (mut file, stat) = self.open_object(id, &path)?;
        let shown = || self.objects.path().join(&path);
        let mut value = vec![0; OSTREEMETA_BYTES_MAX];
        let size =
            rustix::fs::fgetxattr(&file, OSTREEMETA, &mut value).map_err(|error| match error {
                Errno::NODATA => Error::malformed(what(id), "it has no user.ostreemeta"),
                error => Error::io("read the metadata of", shown())(error),
            })?;
        let meta = Meta::decode(&value[..size], &what(id))?;
        if !is_file_mode(meta.mode) {
            return Err(wrong_mode(id, meta.mode));
        }
        let kind = match meta.mode & S_IFMT {
            S_IFREG => ContentKind::Regular {
                file: Payload(Form::Plain(file)),
                size: stat.len(),
            },
            _ => {
                if stat.len() > SYMLINK_BYTES_MAX + 1 {
                    return Err(too_long(id));
                }
                let mut target = Vec::new();
                file.read_to_end(&mut target)
                    .map_err(Error::io("read", shown()))?;
                if target.last() == Some(&0) {
                    target.pop();
                }
                symlink(id, target)?
            }
        };
        Ok(Content { meta, kind })
    }

    /// A file whose metadata are its own.
    fn open_bare(
        &self,
        id: &ObjectId,
        xattrs: impl Fn(&Path) -> Result<Xattrs>,
    ) -> Result<Content> {
        let path = self.loose(ObjectKind::File, id);
        let shown = self.objects.path().join(&path);
        let stat = self
            .objects
            .stat(&path)?
            .ok_or_else(|| Self::missing(ObjectKind::File, id))?;
        let meta = |uid, gid, mode| -> Result<Meta> {
            Ok(Meta {
                uid,
                gid,
                mode,
                xattrs: xattrs(&shown)?,
            })
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Ok(Content {
                meta: meta(stat.st_uid, stat.st_gid, S_IFLNK | 0o777)?,
                kind: symlink(id, self.objects.read_link(&path)?)?,
            }),
            FileType::RegularFile => {
                let (file, stat) = self.open_object(id, &path)?;
                Ok(Content {
                    meta: meta(stat.uid(), stat.gid(), stat.mode())?,
                    kind: ContentKind::Regular {
                        file: Payload(Form::Plain(file)),
                        size: stat.len(),
                    },
                })
            }
            _ => Err(wrong_mode(id, stat.st_mode)),
        }
    }

    fn open_archived(&self, id: &ObjectId) -> Result<Content> {
        let path = self.loose(ObjectKind::File, id);
        let (file, _) = self.open_object(id, &path)?;
        let shown = || self.objects.path().join(&path);
        let mut file = BufReader::new(file);
        let mut framing = [0; 8];
        file.read_exact(&mut framing)
            .map_err(Error::io("read", shown()))?;
        let [a, b, c, d, ..] = framing;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length > ARCHIVE_HEADER_BYTES_MAX {
            return Err(Error::TooLarge {
                what: format!("the header of {}", what(id)),
                limit: format!("{ARCHIVE_HEADER_BYTES_MAX} bytes"),
            });
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)
            .map_err(Error::io("read", shown()))?;
        let (size, meta, target) =
            archive_header(&header).map_err(|why| Error::malformed(what(id), why))?;
        if !is_file_mode(meta.mode) {
            return Err(wrong_mode(id, meta.mode));
        }
        let kind = match meta.is_symlink() {
            true => symlink(id, target.into_bytes())?,
            false => ContentKind::Regular {
                file: Payload(Form::Deflated(Box::new(
                    flate2::bufread::DeflateDecoder::new(file),
                ))),
                size,
            },
        };
        Ok(Content { meta, kind })
    }
}

/// `(tuuuusa(ayay))`: size, uid, gid, mode, rdev, target, xattrs; integers big-endian.
fn archive_header(bytes: &[u8]) -> Result<(u64, Meta, String), Why> {
    let (four, any) = (Member::Fixed(4, 4), Member::Variable(1));
    let [size, uid, gid, mode, _, target, xattrs] = gvariant::split_tuple(
        bytes,
        [Member::Fixed(8, 8), four, four, four, four, any, any],
    )?;
    let size = size.try_into().map(u64::from_be_bytes);
    let meta = Meta {
        uid: be32(uid)?,
        gid: be32(gid)?,
        mode: be32(mode)?,
        xattrs: Xattrs::decode(xattrs)?,
    };
    let target = gvariant::to_str(target)?.to_owned();
    Ok((size.map_err(|_| "its size is cut short")?, meta, target))
}

fn symlink(id: &ObjectId, target: Vec<u8>) -> Result<ContentKind> {
    if target.len() as u64 > SYMLINK_BYTES_MAX {
        return Err(too_long(id));
    }
    let target = String::from_utf8(target)
        .map_err(|_| Error::malformed(what(id), "its target is not UTF-8"))?;
    Ok(ContentKind::Symlink { target })
}

fn too_long(id: &ObjectId) -> Error {
    Error::malformed(what(id), "its target is longer than 4096 bytes")
}
