//! zstd:chunked: each payload in frames of its own, the table of contents and the tar-split data in skippable frames
//! behind them, their places and the table's digest in annotations.
//!
//! Facts: containers/storage `pkg/chunked/internal/minimal` and `compressor`. Writers before 2022 used another prefix
//! for the annotations, and those before 2024 wrote no tar-split data.

use std::collections::HashMap;
use std::ops::Range;

use store::oci::Descriptor;
use store::{Digest, ObjectId};

use super::plan::{Item, Local, Row};
use super::toc::Toc;
use crate::limits::{
    TAR_SPLIT_COMPRESSED_BYTES_MAX, TOC_COMPRESSED_BYTES_MAX, ZSTD_WINDOW_LOG_MAX,
};

/// What the annotations begin with, now and before.
const PREFIXES: [&str; 2] = [
    "io.github.containers.zstd-chunked.",
    "io.containers.zstd-chunked.",
];
/// The only type of table there is.
const TYPE: u64 = 1;
/// The size of the head of a skippable frame, in bytes.
const SKIPPABLE_HEAD_BYTES: u64 = 8;

/// Where in a layer its tables are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    /// The compressed table of contents.
    pub(crate) toc: Range<u64>,
    /// Its digest, compressed.
    digest: Digest,
    /// The compressed tar-split data.
    tar_split: Option<Range<u64>>,
}

/// What was read.
pub(crate) struct Read {
    /// The table of contents.
    pub(crate) toc: Toc,
    /// The compressed tar-split data, checked.
    pub(crate) tar_split: Option<Vec<u8>>,
}

impl Tables {
    /// Reads the annotations of a layer; `None` when it has none of them.
    pub(crate) fn of(blob: &Descriptor) -> Option<Result<Self, String>> {
        PREFIXES.iter().find_map(|prefix| {
            let get = |name: &str| blob.annotations.get(&format!("{prefix}{name}"));
            let (checksum, place) = (get("manifest-checksum")?, get("manifest-position")?);
            Some(Self::parse(blob, checksum, place, get("tarsplit-position")))
        })
    }

    fn parse(
        blob: &Descriptor,
        checksum: &str,
        place: &str,
        tar_split: Option<&String>,
    ) -> Result<Self, String> {
        let wrong =
            || "the annotation with the place of its table of contents is malformed".to_owned();
        let digest = checksum
            .parse()
            .map_err(|error: store::Error| error.to_string())?;
        let place = numbers(place).ok_or_else(wrong)?;
        let [offset, length, _, TYPE] = place[..] else {
            return Err(wrong());
        };
        let toc = range(blob, offset, length).ok_or_else(wrong)?;
        if length > TOC_COMPRESSED_BYTES_MAX {
            return Err(format!(
                "its table of contents exceeds {TOC_COMPRESSED_BYTES_MAX} bytes"
            ));
        }
        // Only where it can come with the table, and only if it is worth it.
        let tar_split = tar_split
            .and_then(|place| match numbers(place)?[..] {
                [offset, length, _] => range(blob, offset, length),
                _ => None,
            })
            .filter(|split| split.start == toc.end + SKIPPABLE_HEAD_BYTES)
            .filter(|split| split.end - split.start <= TAR_SPLIT_COMPRESSED_BYTES_MAX);
        Ok(Self {
            toc,
            digest,
            tar_split,
        })
    }

    /// The range that holds them all.
    pub(crate) fn range(&self) -> Range<u64> {
        let end = self.tar_split.as_ref().unwrap_or(&self.toc).end;
        self.toc.start..end
    }

    /// Where the frames of the tar end.
    pub(crate) fn data_end(&self) -> u64 {
        self.toc.start - SKIPPABLE_HEAD_BYTES
    }

    /// Checks and reads the bytes of [`Tables::range`].
    pub(crate) fn read(&self, mut bytes: Vec<u8>) -> Result<Read, String> {
        let at = |place: u64| usize::try_from(place - self.toc.start).unwrap_or(usize::MAX);
        let rest = match &self.tar_split {
            Some(split) if at(split.start) <= bytes.len() => {
                let mut rest = bytes.split_off(at(self.toc.end));
                Some(rest.split_off(at(split.start) - at(self.toc.end)))
            }
            _ => None,
        };
        let found = Digest::of(&bytes);
        if found != self.digest {
            return Err(format!(
                "digest of its table of contents does not match: expected {}, found {found}",
                self.digest
            ));
        }
        let broken = |error: std::io::Error| format!("its table of contents is corrupt: {error}");
        let mut json = zstd::Decoder::with_buffer(&bytes[..]).map_err(broken)?;
        json.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
        let toc = Toc::read(json)?;
        let tar_split = rest.filter(|split| toc.tar_split_digest == Some(Digest::of(split)));
        Ok(Read { toc, tar_split })
    }
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split(':').map(|number| number.parse().ok()).collect()
}

/// A range that has a skippable frame's head before it, within the blob.
fn range(blob: &Descriptor, offset: u64, length: u64) -> Option<Range<u64>> {
    let end = offset.checked_add(length)?;
    (offset >= SKIPPABLE_HEAD_BYTES && length > 0 && end <= blob.size).then_some(offset..end)
}

/// The row of a layer whose payloads have frames of their own: headers, payload, headers, payload …
pub(crate) fn row(
    toc: &Toc,
    data_end: u64,
    has_tar_split: bool,
    held: &HashMap<Digest, ObjectId>,
) -> Result<Vec<Item>, &'static str> {
    let between = || has_tar_split.then_some(Local::Between);
    let mut row = Row::new(data_end);
    for file in toc.entries.iter().filter(|entry| entry.has_payload()) {
        if file.end_offset <= file.offset {
            return Err("its table of contents has a file without a place");
        }
        row.add(file.offset, between())?;
        let id = file.digest.and_then(|digest| held.get(&digest));
        let payload = id.map(|id| Local::Payload {
            id: *id,
            bytes: 0..file.size,
            tail: None,
        });
        row.add(file.end_offset, payload)?;
    }
    row.add(data_end, between())?;
    row.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(place: &str, split: Option<&str>) -> Option<Result<Tables, String>> {
        let prefix = PREFIXES[0];
        let mut annotations = std::collections::BTreeMap::from([
            (
                format!("{prefix}manifest-checksum"),
                Digest::of(b"toc").to_string(),
            ),
            (format!("{prefix}manifest-position"), place.to_owned()),
        ]);
        if let Some(split) = split {
            annotations.insert(format!("{prefix}tarsplit-position"), split.to_owned());
        }
        Tables::of(&Descriptor {
            media_type: String::new(),
            digest: Digest::of(b""),
            size: 1 << 30,
            platform: None,
            annotations,
            data: None,
            artifact_type: None,
        })
    }

    #[test]
    fn annotations_say_where_tables_are() {
        let read = |place, split| tables(place, split).expect("annotations").expect("valid");
        let both = read("100:20:300:1", Some("128:30:400"));
        assert_eq!((both.range(), both.data_end()), (100..158, 92));
        // elsewhere than just behind the table
        let one = read("100:20:300:1", Some("129:30:400"));
        assert_eq!((one.range(), one.tar_split), (100..120, None));
        let most = format!("100:{TOC_COMPRESSED_BYTES_MAX}:1:1");
        assert!(tables(&most, None).is_some_and(|it| it.is_ok()));
        let more = format!("100:{}:1:1", TOC_COMPRESSED_BYTES_MAX + 1);
        for wrong in [
            "",
            "1",
            "100:20:300",
            "100:20:300:2",
            "7:20:300:1",
            "100:0:300:1",
            "-1:20:300:1",
            "18446744073709551615:20:300:1",
            "1073741800:25:1:1",
            &more,
        ] {
            let read = tables(wrong, None).expect("annotations");
            assert!(read.is_err(), "{wrong}");
        }
    }
}
