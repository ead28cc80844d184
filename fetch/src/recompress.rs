//! A layer's blob made anew from its tar, where the one it came in is not to be had.
//!
//! The compressors are the ones of this program, so a blob that it made before comes out the same again. Its zstd works
//! as the `zstd` command does unless told otherwise, so what that made of a file comes out the same too, if it was of
//! the same version. gzip has too many makers for that.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use store::oci::{Descriptor, media};
use store::{DiffId, Digest, LayerLimits};

use crate::archive::EntryReader;
use crate::error::{Error, Result};
use crate::rewrite::bare;
use crate::sink::scratch_file;

/// How much is compressed at once, in bytes. It is always just so much: what a compressor makes of the same bytes may
/// depend on the pieces that they come in.
const PIECE_BYTES: usize = 128 << 10;
/// The level of gzip: its own default.
const GZIP_LEVEL: u32 = 6;
/// The level of zstd: its own default.
const ZSTD_LEVEL: i32 = 3;
/// The threads of zstd. Any number above none gives the same bytes.
const ZSTD_WORKERS: u32 = 2;

/// A blob in a file without a name.
#[derive(Debug)]
pub(crate) struct Remade {
    file: File,
    /// What it is.
    pub(crate) blob: Descriptor,
}

impl Remade {
    /// Opens it from an offset on.
    pub(crate) fn open(&self, offset: u64) -> Result<Box<dyn Read + Send + '_>> {
        let left = self.blob.size.saturating_sub(offset);
        Ok(Box::new(EntryReader::new(&self.file, offset, left)))
    }
}

/// Compresses a layer again, with what `old` was compressed with.
pub(crate) fn recompress(
    (tar, size): (&mut dyn Read, u64),
    diff_id: &DiffId,
    old: &Descriptor,
    scratch: &Path,
) -> Result<Remade> {
    let limit = LayerLimits::default().tar_bytes_max;
    if size > limit {
        let what = format!("layer {diff_id}");
        return Err(Error::too_large(what, format!("{limit} bytes")));
    }
    // One byte more is enough for another diff id.
    let tar = &mut tar.take(size + 1);
    let (packer, media_type) = match old.media_type.contains("zstd") {
        true => (Packer::Zstd { size }, old.media_type.clone()),
        false => (Packer::Gzip, gzip_type(&old.media_type)),
    };
    remake(tar, diff_id, packer, media_type, scratch)
}

/// Takes a layer's tar as it is.
pub(crate) fn unpack(tar: &mut dyn Read, diff_id: &DiffId, scratch: &Path) -> Result<Remade> {
    let media_type = media::DOCKER_LAYER.to_owned();
    remake(tar, diff_id, Packer::None, media_type, scratch)
}

/// What a tar is compressed with.
enum Packer {
    None,
    Gzip,
    /// With the size of the tar, in bytes, which it writes down.
    Zstd {
        size: u64,
    },
}

/// The media type of a layer that is compressed with gzip.
fn gzip_type(old: &str) -> String {
    let (docker, oci) = (media::DOCKER_LAYER, media::OCI_LAYER);
    match old {
        _ if old.ends_with("gzip") => old.to_owned(),
        _ if old.starts_with(docker) => format!("{docker}.gzip"),
        _ => format!("{oci}+gzip"),
    }
}

fn remake(
    tar: &mut dyn Read,
    diff_id: &DiffId,
    packer: Packer,
    media_type: String,
    scratch: &Path,
) -> Result<Remade> {
    let broken = |source| Error::io("write to", scratch)(source);
    let out = Hashing {
        file: scratch_file(scratch)?,
        hash: Sha256::new(),
        size: 0,
    };
    let Hashing { file, hash, size } = match packer {
        Packer::Zstd { size } => {
            let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL).map_err(broken)?;
            encoder.include_checksum(true).map_err(broken)?;
            encoder.set_pledged_src_size(Some(size)).map_err(broken)?;
            encoder.multithread(ZSTD_WORKERS).map_err(broken)?;
            pass(tar, diff_id, &mut encoder, scratch)?;
            encoder.finish().map_err(broken)?
        }
        Packer::None => {
            let mut out = out;
            pass(tar, diff_id, &mut out, scratch)?;
            out
        }
        Packer::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            pass(tar, diff_id, &mut encoder, scratch)?;
            encoder.finish().map_err(broken)?
        }
    };
    let blob = Descriptor {
        media_type,
        digest: Digest::new(hash.finalize().into()),
        size,
        ..bare()
    };
    Ok(Remade { file, blob })
}

/// Hands the tar on, and holds it to its diff id.
fn pass(tar: &mut dyn Read, diff_id: &DiffId, out: &mut dyn Write, scratch: &Path) -> Result<()> {
    let what = || format!("layer {diff_id}");
    let mut hash = Sha256::new();
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        let mut next = Read::take(&mut *tar, PIECE_BYTES as u64);
        next.read_to_end(&mut piece)
            .map_err(|source| Error::from_read(&what(), source))?;
        if piece.is_empty() {
            break;
        }
        hash.update(&piece);
        out.write_all(&piece)
            .map_err(Error::io("write to", scratch))?;
    }
    let found = DiffId::new(hash.finalize().into());
    match found == *diff_id {
        true => Ok(()),
        false => Err(Error::mismatch(
            format!("diff id of {}", what()),
            diff_id,
            found,
        )),
    }
}

/// The file, with the digest of what is written to it.
struct Hashing {
    file: File,
    hash: Sha256,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_what_the_media_type_says() {
        let oci = "application/vnd.oci.image.layer.v1.tar+gzip";
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        for (old, new) in [
            (oci, oci),
            (docker, docker),
            (media::OCI_LAYER, oci),
            (media::DOCKER_LAYER, docker),
            ("", oci),
        ] {
            assert_eq!(gzip_type(old), new, "{old}");
        }
    }

    /// Gives so many bytes at a time.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(buffer.get_mut(..count).unwrap_or_default())
        }
    }

    #[test]
    fn a_blob_does_not_depend_on_how_the_tar_comes() {
        let directory = tempfile::tempdir().expect("tempdir");
        let mut state = 1_u32;
        let tar: Vec<u8> = (0..300_000)
            .map(|_| {
                state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
                b"abcdefgh"[(state >> 29) as usize]
            })
            .collect();
        let diff_id = DiffId::new(*Digest::of(&tar).as_bytes());
        for kind in ["gzip", "zstd"] {
            let old = Descriptor {
                media_type: format!("{}+{kind}", media::OCI_LAYER),
                ..bare()
            };
            let blobs = [1000, 5000, usize::MAX].map(|count| {
                let mut from = Dripping(&tar, count);
                let from: (&mut dyn Read, u64) = (&mut from, tar.len() as u64);
                let remade = recompress(from, &diff_id, &old, directory.path());
                remade.expect("right").blob
            });
            assert_eq!(blobs[0], blobs[1], "{kind}");
            assert_eq!(blobs[1], blobs[2], "{kind}");
        }
    }

    #[test]
    fn a_tar_that_is_not_the_layers_is_refused() {
        let directory = tempfile::tempdir().expect("tempdir");
        let diff_id = DiffId::new(*Digest::of(b"tar").as_bytes());
        let error = unpack(&mut &b"rat"[..], &diff_id, directory.path()).expect_err("wrong");
        let found = DiffId::new(*Digest::of(b"rat").as_bytes());
        assert_eq!(
            error.to_string(),
            format!("diff id of layer {diff_id} does not match: expected {diff_id}, found {found}")
        );
        let remade = unpack(&mut &b"tar"[..], &diff_id, directory.path()).expect("right");
        let mut rest = String::new();
        remade
            .open(1)
            .and_then(|mut from| from.read_to_string(&mut rest).map_err(|_| Error::Stopped))
            .expect("read");
        assert_eq!((rest.as_str(), remade.blob.size), ("ar", 3));
    }
    #[test]
    fn no_more_is_compressed_than_the_tar_is_long() {
        let directory = tempfile::tempdir().expect("tempdir");
        let diff_id = DiffId::new(*Digest::of(b"tar").as_bytes());
        let try_with = |size: u64| {
            let mut endless = io::repeat(0).take(1 << 30);
            let error = recompress((&mut endless, size), &diff_id, &bare(), directory.path());
            let read = (1 << 30) - endless.limit();
            (error.expect_err("not this one").to_string(), read)
        };
        let (error, read) = try_with(1000);
        assert!(error.starts_with("diff id of layer "), "{error}");
        assert_eq!(read, 1001);
        let limit = LayerLimits::default().tar_bytes_max;
        assert_eq!(
            try_with(limit + 1),
            (
                format!("layer {diff_id} is too large: the limit is {limit} bytes"),
                0
            )
        );
    }
}
