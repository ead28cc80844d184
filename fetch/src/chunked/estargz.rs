//! eStargz: each payload, or chunk of it, begins a gzip member, which also has the padding and the headers behind it;
//! the table of contents is the tar's last file, and a footer tells where its member begins.
//!
//! Facts: containerd/stargz-snapshotter `estargz/gzip.go`, `estargz.go` and `docs/estargz.md`. The same writer makes a
//! zstd:chunked form, whose frames are cut in the same way.

use std::collections::HashMap;
use std::io::Read as _;
use std::ops::Range;

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use store::oci::Descriptor;
use store::{Digest, ObjectId};

use super::headers::Headers;
use super::plan::{Item, Local, Row, Tail};
use super::toc::{Entry, Kind, Toc};
use crate::limits::{TOC_BYTES_MAX, TOC_COMPRESSED_BYTES_MAX};

/// The annotation that has the digest of the table's JSON.
const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The name of the table in the tar.
const TOC_NAME: &str = "stargz.index.json";
/// The most that stands before the table in its tar, in bytes.
const TOC_HEAD_BYTES_MAX: u64 = 1 << 20;
/// The size of the footer, in bytes.
const FOOTER_BYTES: usize = 51;
/// An empty gzip member with an extra field, up to the offset: ten bytes of head, the field's length, `SG`, and the
/// length of what follows, `%016xSTARGZ`.
const FOOTER_HEAD: [u8; 16] = [
    0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, b'S', b'G', 22, 0,
];

/// The digest that the annotations of a layer give its table of contents; `None` when there is none.
pub(crate) fn toc_digest(blob: &Descriptor) -> Option<Result<Digest, String>> {
    let text = blob.annotations.get(TOC_DIGEST)?;
    Some(
        text.parse()
            .map_err(|error: store::Error| error.to_string()),
    )
}

/// Where the footer is.
pub(crate) fn footer(blob: &Descriptor) -> Option<Range<u64>> {
    let start = blob.size.checked_sub(FOOTER_BYTES as u64)?;
    Some(start..blob.size)
}

/// Where the member of the table is.
pub(crate) fn toc_range(blob: &Descriptor, footer: &[u8]) -> Result<Range<u64>, String> {
    let hex = (footer.len() == FOOTER_BYTES)
        .then(|| footer.strip_prefix(&FOOTER_HEAD))
        .flatten()
        .and_then(|rest| rest.split_at_checked(16))
        .filter(|(_, rest)| rest.starts_with(b"STARGZ"))
        .and_then(|(hex, _)| std::str::from_utf8(hex).ok())
        .and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let start = hex.ok_or("it has no footer of eStargz")?;
    let end = blob.size - FOOTER_BYTES as u64;
    if start >= end {
        return Err("its footer leads out of it".into());
    }
    match end - start <= TOC_COMPRESSED_BYTES_MAX {
        true => Ok(start..end),
        false => Err(format!(
            "its table of contents exceeds {TOC_COMPRESSED_BYTES_MAX} bytes"
        )),
    }
}

/// Reads the table from its member, and holds it to its digest.
pub(crate) fn read(member: &[u8], expected: Digest) -> Result<Toc, String> {
    let broken = |error: std::io::Error| format!("its table of contents is corrupt: {error}");
    let limited = GzDecoder::new(member).take(TOC_BYTES_MAX + TOC_HEAD_BYTES_MAX);
    let mut tar = tar::Archive::new(limited);
    let mut entries = tar.entries().map_err(broken)?;
    let file = entries.next().ok_or("it has no table of contents")?;
    let file = file.map_err(broken)?;
    if *file.path_bytes() != *TOC_NAME.as_bytes() {
        return Err("it has no table of contents".into());
    }
    let mut json = Hashed {
        inner: file,
        hash: Sha256::new(),
    };
    let mut toc = Toc::read(&mut json)?;
    let found = Digest::new(json.hash.finalize().into());
    if found != expected {
        return Err(format!(
            "digest of its table of contents does not match: expected {expected}, found {found}"
        ));
    }
    toc.complete_names()?;
    Ok(toc)
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: std::io::Read> std::io::Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

/// One chunk of a payload, which begins a member.
struct Chunk<'t> {
    /// The file it is of.
    file: &'t Entry,
    /// Its bytes of the payload.
    bytes: Range<u64>,
    /// Where its member begins.
    offset: u64,
    /// What follows in the member.
    next: Next,
}

/// What follows a chunk in its member.
enum Next {
    /// Nothing: the next member has more of the same file.
    Chunk,
    /// Padding, and the headers of these entries.
    Headers(Range<usize>),
    /// Padding, the headers of the last entries, and nobody knows what else.
    End,
}

/// The row of a layer whose members begin with payloads. The last of them ends at `data_end`; behind it the table's
/// member may follow, up to `table_end`.
pub(crate) fn row(
    toc: &Toc,
    data_end: u64,
    table_end: Option<u64>,
    held: &HashMap<Digest, ObjectId>,
    headers: Option<&Headers>,
) -> Result<Vec<Item>, &'static str> {
    let chunks = chunks(toc)?;
    let mut row = Row::new(table_end.unwrap_or(data_end));
    row.add(chunks.first().map_or(data_end, |chunk| chunk.offset), None)?;
    let ends = chunks.iter().skip(1).map(|chunk| chunk.offset);
    for (chunk, end) in chunks.iter().zip(ends.chain([data_end])) {
        if end <= chunk.offset {
            return Err("its table of contents has chunks out of order");
        }
        let id = chunk.file.digest.and_then(|digest| held.get(&digest));
        let local = id.and_then(|id| {
            let tail = match &chunk.next {
                Next::Chunk => None,
                Next::End => return None,
                Next::Headers(entries) => {
                    let tail = Tail {
                        size: chunk.file.size,
                        entries: entries.clone(),
                    };
                    // only what can be made is promised
                    headers?.tail(&toc.entries, &tail)?;
                    Some(tail)
                }
            };
            Some(Local::Payload {
                id: *id,
                bytes: chunk.bytes.clone(),
                tail,
            })
        });
        row.add(end, local)?;
    }
    if let Some(end) = table_end {
        row.add(end, Some(Local::Table))?;
    }
    row.finish()
}

/// The entries whose headers stand before the first payload, and where in the blob that begins.
pub(crate) fn first_headers(toc: &Toc) -> Option<(Range<usize>, u64)> {
    let first = toc.entries.iter().position(Entry::has_payload)?;
    Some((0..first + 1, toc.entries.get(first)?.offset))
}

/// The chunks in order.
fn chunks(toc: &Toc) -> Result<Vec<Chunk<'_>>, &'static str> {
    let mut chunks: Vec<Chunk<'_>> = Vec::new();
    // the file whose chunks come, how far they reach, and the entry behind it
    let mut last: Option<(&Entry, u64)> = None;
    let mut behind = 0;
    for (index, entry) in toc.entries.iter().enumerate() {
        let (file, next) = match (entry.kind, last) {
            (Kind::Chunk, Some((file, at))) if at == entry.chunk_offset && at < file.size => {
                (file, Next::Chunk)
            }
            (Kind::Chunk, _) => return Err("its table of contents has a chunk out of place"),
            (_, Some((file, at))) if at < file.size => {
                return Err("its table of contents has a file that lacks chunks");
            }
            _ if !entry.has_payload() => continue,
            _ => (entry, Next::Headers(behind..index + 1)),
        };
        if let Some(chunk) = chunks.last_mut() {
            chunk.next = next;
        }
        if entry.inner_offset != 0 {
            return Err("its table of contents has several payloads in one member");
        }
        let left = file.size - entry.chunk_offset.min(file.size);
        let size = match entry.chunk_size {
            0 => left,
            size if size <= left => size,
            _ => return Err("its table of contents has a chunk that is larger than its file"),
        };
        let end = entry.chunk_offset + size;
        chunks.push(Chunk {
            file,
            bytes: entry.chunk_offset..end,
            offset: entry.offset,
            next: Next::End,
        });
        last = Some((file, end));
        behind = index + 1;
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(size: u64) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(b""),
            size,
            platform: None,
            annotations: Default::default(),
            data: None,
            artifact_type: None,
        }
    }

    fn toc(entries: serde_json::Value) -> Toc {
        let json = serde_json::json!({"version": 1, "entries": entries});
        Toc::read(json.to_string().as_bytes()).expect("toc")
    }

    // The footer in stargz-snapshotter's `docs/estargz.md`: offset 0x100.
    #[test]
    fn the_footer_leads_to_the_table() {
        let mut footer = FOOTER_HEAD.to_vec();
        footer.extend(b"0000000000000100STARGZ");
        footer.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(footer.len(), FOOTER_BYTES);
        assert_eq!(toc_range(&blob(1051), &footer), Ok(0x100..1000));
        assert_eq!(
            toc_range(&blob(0x100 + 51), &footer),
            Err("its footer leads out of it".into())
        );
        let too_large = 0x100 + TOC_COMPRESSED_BYTES_MAX + 51;
        assert!(toc_range(&blob(too_large), &footer).is_ok());
        assert!(toc_range(&blob(too_large + 1), &footer).is_err());
        footer[20] = b'x';
        assert_eq!(
            toc_range(&blob(1051), &footer),
            Err("it has no footer of eStargz".into())
        );
    }

    /// The member of a table, after an extended header of so many bytes.
    fn member(json: &[u8], before: usize) -> Vec<u8> {
        let packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(packed);
        let value = vec![b'x'; before];
        builder
            .append_pax_extensions([("comment", value.as_slice())])
            .expect("append");
        let mut header = tar::Header::new_ustar();
        header.set_size(json.len() as u64);
        builder
            .append_data(&mut header, TOC_NAME, json)
            .expect("append");
        let packed = builder.into_inner().expect("tar");
        packed.finish().expect("gzip")
    }

    #[test]
    fn what_unpacks_to_more_than_a_table_is_not_read() {
        let json = br#"{"version":1,"entries":[]}"#;
        assert!(read(&member(json, 1000), Digest::of(json)).is_ok());
        let large = member(json, (TOC_BYTES_MAX + TOC_HEAD_BYTES_MAX) as usize);
        assert!(large.len() < 1 << 20, "{}", large.len());
        let error = read(&large, Digest::of(json)).expect_err("too large");
        assert!(
            error.starts_with("its table of contents is corrupt: "),
            "{error}"
        );
    }

    #[test]
    fn chunks_of_a_file_need_no_headers() {
        let digest = Digest::of(b"payload");
        let toc = toc(serde_json::json!([
            {"type": "dir", "name": "a/"},
            {"type": "reg", "name": "a/b", "size": 10, "digest": digest, "offset": 40, "chunkSize": 6},
            {"type": "chunk", "name": "a/b", "offset": 60, "chunkOffset": 6},
            {"type": "reg", "name": "a/c", "size": 3, "digest": digest, "offset": 80},
        ]));
        let id = ObjectId::of(b"object");
        let held = HashMap::from([(digest, id)]);
        let items = row(&toc, 100, Some(120), &held, None).expect("row");
        let part = |bytes| Local::Payload {
            id,
            bytes,
            tail: None,
        };
        let item = |blob, local| Item { blob, local };
        assert_eq!(
            items,
            [
                item(0..40, None),
                item(40..60, Some(part(0..6))),
                item(60..80, None),
                item(80..100, None),
                item(100..120, Some(Local::Table)),
            ]
        );
    }

    #[test]
    fn chunks_that_do_not_add_up_are_refused() {
        let file = |more: serde_json::Value| {
            let mut list = vec![serde_json::json!(
                {"type": "reg", "size": 10, "offset": 40, "chunkSize": 6})];
            list.extend(more.as_array().cloned().unwrap_or_default());
            row(&toc(list.into()), 100, None, &HashMap::new(), None)
        };
        for (more, why) in [
            (
                serde_json::json!([{"type": "chunk", "offset": 60, "chunkOffset": 5}]),
                "a chunk out of place",
            ),
            (
                serde_json::json!([{"type": "chunk", "offset": 60, "chunkOffset": 6, "chunkSize": 5}]),
                "larger than its file",
            ),
            (serde_json::json!([{"type": "dir"}]), "lacks chunks"),
            (
                serde_json::json!([{"type": "chunk", "offset": 40, "chunkOffset": 6}]),
                "out of order",
            ),
            (
                serde_json::json!([{"type": "chunk", "offset": 60, "chunkOffset": 6, "innerOffset": 1}]),
                "several payloads",
            ),
        ] {
            let error = file(more.clone()).expect_err("refused");
            assert!(error.contains(why), "{more}: {error}");
        }
    }
}
