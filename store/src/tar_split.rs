//! tar-split: what a tar holds besides the payloads of its files, as skopeo's `ostree:` transport kept it in a layer's
//! commit (`tarsplit.output`: base64 of gzip of this).
//!
//! A line of JSON each, in the order of the tar: a segment (`type` 2) with raw bytes in base64, or a file (`type` 1) with
//! its name as the tar spells it, its size and the CRC-64 of its payload, which stands at that path of the layer's tree.
//! Segments and payloads one after the other are the tar. Every entry has a file line, those without payload too, and no
//! name may come twice: readers and writers of the format refuse that
//! ([vbatts/tar-split](https://github.com/vbatts/tar-split)).
//!
//! What has no place in the tree, the segments of sparse files and payloads under names that are not UTF-8, is written as
//! segments here, which every reader takes.

use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::crc64::Crc64;
use crate::error::{Error, Result};

/// The type of a file's line.
pub(crate) const FILE: u8 = 1;
/// The type of a segment's line.
pub(crate) const SEGMENT: u8 = 2;
/// Bytes of a segment after which another one begins.
const SEGMENT_BYTES: usize = 1 << 20;
/// The most bytes that are kept, compressed: base64 must fit a commit, which must fit stock's limit of metadata.
const PACKED_BYTES_MAX: usize = 64 << 20;

/// A line.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    #[serde(rename = "type")]
    pub(crate) kind: u8,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// Base64 of a name that is not UTF-8.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name_raw: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) size: u64,
    /// Base64 of a segment's bytes or of a file's CRC-64, highest byte first.
    pub(crate) payload: Option<String>,
    pub(crate) position: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(size: &u64) -> bool {
    *size == 0
}

/// An entry whose payload is being read.
#[derive(Debug)]
struct Pending {
    name: Vec<u8>,
    size: u64,
    sum: Crc64,
    /// Its payload goes into segments.
    inline: bool,
}

/// Notes a tar as tar-split while it is read.
#[derive(Debug)]
pub(crate) struct Packer {
    packed: GzEncoder<Vec<u8>>,
    segment: Vec<u8>,
    pending: Option<Pending>,
    position: u64,
    /// The names so far, as tar-split compares them, and whether they had payload.
    seen: HashMap<Vec<u8>, bool>,
    /// The first thing that went wrong. Nothing is noted after it.
    failed: Option<Error>,
}

impl Packer {
    pub(crate) fn new() -> Self {
        Self {
            packed: GzEncoder::new(Vec::new(), Compression::default()),
            segment: Vec::new(),
            pending: None,
            position: 0,
            seen: HashMap::new(),
            failed: None,
        }
    }

    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> Result<()>) {
        if self.failed.is_none()
            && let Err(error) = step(self)
        {
            self.failed = Some(error);
        }
    }

    /// Announces an entry whose header has been read.
    pub(crate) fn begin_entry(&mut self, name: &[u8], sparse: bool) {
        self.attempt(|packer| {
            packer.end_entry()?;
            packer.end_segment()?;
            packer.pending = Some(Pending {
                name: name.to_vec(),
                size: 0,
                sum: Crc64::default(),
                inline: sparse || std::str::from_utf8(name).is_err(),
            });
            Ok(())
        });
    }

    /// Bytes that are nobody's payload.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.attempt(|packer| {
            packer.end_entry()?;
            packer.segment.extend_from_slice(bytes);
            match packer.segment.len() >= SEGMENT_BYTES {
                true => packer.end_segment(),
                false => Ok(()),
            }
        });
    }

    /// Payload of the current entry.
    pub(crate) fn payload(&mut self, bytes: &[u8]) {
        match &mut self.pending {
            Some(pending) if !pending.inline => {
                pending.size += bytes.len() as u64;
                pending.sum.update(bytes);
            }
            _ => self.bytes(bytes),
        }
    }

    fn end_entry(&mut self) -> Result<()> {
        let Some(entry) = self.pending.take() else {
            return Ok(());
        };
        let has_payload = entry.size > 0;
        match self.seen.insert(clean(&entry.name), has_payload) {
            // Lines without payload say nothing: the second one is left out.
            Some(false) if !has_payload => return Ok(()),
            Some(_) => {
                let name = String::from_utf8_lossy(&entry.name);
                let name: String = name.chars().take(200).collect();
                return Err(Error::malformed(
                    "layer",
                    format!("tar-split cannot hold it: {name:?} stands twice in its tar"),
                ));
            }
            None => {}
        }
        let mut line = Line {
            kind: FILE,
            size: entry.size,
            payload: has_payload.then(|| STANDARD.encode(entry.sum.finish())),
            ..Line::default()
        };
        match String::from_utf8(entry.name) {
            Ok(name) => line.name = name,
            Err(error) => line.name_raw = STANDARD.encode(error.as_bytes()),
        }
        self.write(line)
    }

    fn end_segment(&mut self) -> Result<()> {
        if self.segment.is_empty() {
            return Ok(());
        }
        let line = Line {
            kind: SEGMENT,
            payload: Some(STANDARD.encode(&self.segment)),
            ..Line::default()
        };
        self.segment.clear();
        self.write(line)
    }

    fn write(&mut self, mut line: Line) -> Result<()> {
        line.position = self.position;
        self.position += 1;
        let mut text = serde_json::to_vec(&line).map_err(|error| broken(error.into()))?;
        text.push(b'\n');
        self.packed.write_all(&text).map_err(broken)?;
        if self.packed.get_ref().len() > PACKED_BYTES_MAX {
            return Err(too_large());
        }
        Ok(())
    }

    /// Ends the tar; gives what `tarsplit.output` is to hold.
    pub(crate) fn finish(mut self) -> Result<String> {
        self.attempt(Self::end_entry);
        self.attempt(Self::end_segment);
        if let Some(error) = self.failed {
            return Err(error);
        }
        let packed = self.packed.finish().map_err(broken)?;
        if packed.len() > PACKED_BYTES_MAX {
            return Err(too_large());
        }
        Ok(STANDARD.encode(packed))
    }
}

fn broken(source: std::io::Error) -> Error {
    Error::Write {
        what: "tar-split".into(),
        source,
    }
}

fn too_large() -> Error {
    Error::TooLarge {
        what: "tar-split of the layer".into(),
        limit: format!("{PACKED_BYTES_MAX} bytes"),
    }
}

/// A path as Go's `filepath.Clean` leaves it.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn lines(text: &str) -> Vec<Line> {
        let packed = STANDARD.decode(text).expect("base64");
        let mut lines = String::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut lines)
            .expect("gzip");
        let line = |line| serde_json::from_str(line).expect("JSON");
        lines.lines().map(line).collect()
    }

    #[test]
    fn entries_become_lines() {
        let mut packer = Packer::new();
        packer.bytes(b"head of d");
        packer.begin_entry(b"./d/", false);
        packer.bytes(b"head of f");
        packer.begin_entry(b"./d/f", false);
        packer.payload(b"1234");
        packer.payload(b"56789");
        packer.bytes(b"padding, head of s");
        packer.begin_entry(b"s", true);
        packer.payload(b"sparse");
        packer.bytes(b"end");
        let file = |name: &str, size, payload: Option<[u8; 8]>, position| Line {
            kind: FILE,
            name: name.into(),
            size,
            payload: payload.map(|sum| STANDARD.encode(sum)),
            position,
            ..Line::default()
        };
        let segment = |bytes: &[u8], position| Line {
            kind: SEGMENT,
            payload: Some(STANDARD.encode(bytes)),
            position,
            ..Line::default()
        };
        let sum = 0xb909_56c7_75a4_1001_u64.to_be_bytes();
        let expected = vec![
            segment(b"head of d", 0),
            file("./d/", 0, None, 1),
            segment(b"head of f", 2),
            file("./d/f", 9, Some(sum), 3),
            segment(b"padding, head of s", 4),
            file("s", 0, None, 5),
            segment(b"sparseend", 6),
        ];
        assert_eq!(lines(&packer.finish().expect("packed")), expected);
    }

    #[test]
    fn a_file_under_one_name_twice_is_refused() {
        let twice = |first: &[u8], second: &[u8]| {
            let mut packer = Packer::new();
            for payload in [first, second] {
                packer.bytes(b"head");
                packer.begin_entry(if payload == first { b"a/../f" } else { b"./f" }, false);
                packer.payload(payload);
            }
            packer.finish().map(|text| lines(&text).len())
        };
        let refused =
            "layer is malformed: tar-split cannot hold it: \"./f\" stands twice in its tar";
        let error = |a, b| twice(a, b).expect_err("twice").to_string();
        assert_eq!(error(b"1", b"2"), refused);
        assert_eq!(error(b"1", b""), refused);
        assert_eq!(twice(b"", b"").expect("directories"), 3);
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("./a//b/.", "a/b"),
            ("./", "."),
            ("", "."),
            ("/../a", "/a"),
            ("../a/../..", "../.."),
            ("/", "/"),
        ] {
            assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
        }
    }
}
