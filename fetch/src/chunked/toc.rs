//! The table of contents of a layer that can be fetched in parts: the JSON that zstd:chunked and eStargz share.
//!
//! It comes from outside and says nothing that is believed: its digest stands in the manifest, its numbers are checked
//! by whoever plans with them, and the tar that comes of it is held against its diff id. Facts: `FileMetadata` of
//! containers/storage `pkg/chunked`, `TOCEntry` of stargz-snapshotter `estargz`.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use store::Digest;

use crate::limits::{TOC_BYTES_MAX, TOC_ENTRIES_MAX};

/// The only version there is, in both forms.
const VERSION: u64 = 1;
/// The longest name of an owner or group that is given to further entries, in bytes: a plain header has no room for more.
const OWNER_NAME_BYTES_MAX: usize = 32;

/// A table of contents.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Toc {
    version: u64,
    /// The entries in the order of the tar; the chunks of a file follow it.
    #[serde(deserialize_with = "limited")]
    pub(crate) entries: Vec<Entry>,
    /// The digest of the compressed tar-split data (zstd:chunked).
    #[serde(default)]
    pub(crate) tar_split_digest: Option<Digest>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A regular file, and its first chunk.
    Reg,
    /// A further chunk of the file before it.
    Chunk,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A hard link.
    Hardlink,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A FIFO.
    Fifo,
}

/// One entry. Offsets are in the compressed blob, sizes are of the payload, all in bytes; what is missing is 0.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// What it is.
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// The name as it stands in the tar.
    #[serde(default)]
    pub(crate) name: String,
    /// Where a link points.
    #[serde(default)]
    pub(crate) link_name: String,
    /// The mode as it stands in the tar.
    #[serde(default)]
    pub(crate) mode: u64,
    /// The owner.
    #[serde(default)]
    pub(crate) uid: u64,
    /// The group.
    #[serde(default)]
    pub(crate) gid: u64,
    /// The owner's name, where it is not the one that its id had last (eStargz).
    #[serde(default)]
    pub(crate) user_name: String,
    /// The group's name, likewise.
    #[serde(default)]
    pub(crate) group_name: String,
    /// The modification time, RFC 3339; nothing stands for 1970.
    #[serde(default)]
    pub(crate) modtime: String,
    /// Extended attributes, of which only their presence matters here.
    #[serde(default)]
    pub(crate) xattrs: Option<IgnoredAny>,
    /// The size of the file.
    #[serde(default)]
    pub(crate) size: u64,
    /// The digest of the whole payload; empty files may have none.
    #[serde(default)]
    pub(crate) digest: Option<Digest>,
    /// Where the compressed payload, or this chunk of it, begins.
    #[serde(default)]
    pub(crate) offset: u64,
    /// Where the compressed payload ends (zstd:chunked).
    #[serde(default)]
    pub(crate) end_offset: u64,
    /// Where in the payload this chunk begins.
    #[serde(default)]
    pub(crate) chunk_offset: u64,
    /// The size of this chunk; 0 for all that is left.
    #[serde(default)]
    pub(crate) chunk_size: u64,
    /// Where in the uncompressed data at `offset` this chunk begins (eStargz).
    #[serde(default)]
    pub(crate) inner_offset: u64,
}

impl Entry {
    /// Whether it is a regular file with a payload.
    pub(crate) fn has_payload(&self) -> bool {
        self.kind == Kind::Reg && self.size > 0
    }
}

impl Toc {
    /// Reads a table of contents; the reader is at its end then. Its words on failure are for a warning.
    pub(crate) fn read(json: impl Read) -> Result<Self, String> {
        let mut json = json.take(TOC_BYTES_MAX + 1);
        let toc: Self = serde_json::from_reader(std::io::BufReader::new(&mut json))
            .map_err(|error| format!("its table of contents is malformed: {error}"))?;
        if json.limit() == 0 {
            return Err(format!(
                "its table of contents exceeds {TOC_BYTES_MAX} bytes"
            ));
        }
        match toc.version {
            VERSION => Ok(toc),
            other => Err(format!("its table of contents has version {other}")),
        }
    }

    /// Gives every entry the names of its owner and group: eStargz's writer gives them only where they change.
    pub(crate) fn complete_names(&mut self) -> Result<(), String> {
        let names = self
            .entries
            .iter()
            .flat_map(|it| [&it.user_name, &it.group_name]);
        if names.into_iter().any(|it| it.len() > OWNER_NAME_BYTES_MAX) {
            return Err(format!(
                "its table of contents has an owner's name over {OWNER_NAME_BYTES_MAX} bytes"
            ));
        }
        let (mut users, mut groups) = (HashMap::new(), HashMap::new());
        let complete =
            |names: &mut HashMap<u64, String>, id, name: &mut String| match name.is_empty() {
                true => name.clone_from(names.entry(id).or_default()),
                false => drop(names.insert(id, name.clone())),
            };
        for entry in self.entries.iter_mut().filter(|it| it.kind != Kind::Chunk) {
            complete(&mut users, entry.uid, &mut entry.user_name);
            complete(&mut groups, entry.gid, &mut entry.group_name);
        }
        Ok(())
    }
}

/// The entries, which are no more than [`TOC_ENTRIES_MAX`].
fn limited<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<Entry>, D::Error> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<Entry>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of entries")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = list.next_element()? {
                if entries.len() == TOC_ENTRIES_MAX {
                    return Err(A::Error::custom(format_args!(
                        "it has more than {TOC_ENTRIES_MAX} entries"
                    )));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }

    list.deserialize_seq(Entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Toc, String> {
        Toc::read(text.as_bytes())
    }

    #[test]
    fn both_forms_are_read() {
        let digest = format!("sha256:{:064}", 7);
        let toc = read(&format!(
            r#"{{"version":1,"entries":[
                {{"type":"dir","name":"etc/","mode":493,"modtime":"2026-01-01T00:00:00Z","accesstime":"0001-01-01T00:00:00Z"}},
                {{"type":"reg","name":"etc/a","size":9,"digest":"{digest}","offset":100,"endOffset":120,"xattrs":{{"user.a":"YQ=="}}}},
                {{"type":"chunk","name":"etc/a","offset":110,"chunkOffset":4}}
            ],"tarSplitDigest":"{digest}"}}"#
        ))
        .expect("both");
        assert_eq!(toc.entries.len(), 3);
        let file = &toc.entries[1];
        assert!(file.has_payload() && file.xattrs.is_some());
        assert_eq!((file.offset, file.end_offset), (100, 120));
        assert_eq!(toc.entries[2].kind, Kind::Chunk);
        assert_eq!(toc.tar_split_digest, file.digest);
    }

    #[test]
    fn wrong_tables_are_refused() {
        for (text, why) in [
            (r#"{"version":2,"entries":[]}"#, "has version 2"),
            (
                r#"{"version":1,"entries":[{"type":"reg","size":-1}]}"#,
                "invalid value",
            ),
            (
                r#"{"version":1,"entries":[{"type":"door"}]}"#,
                "unknown variant",
            ),
            (r#"{"version":1,"entries":[]} x"#, "trailing characters"),
            (r#"{"version":1"#, "EOF"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn only_short_names_of_owners_are_given_on() {
        for kind in ["userName", "groupName"] {
            let completed = |size: usize| {
                let name = "n".repeat(size);
                let entries = format!(r#"[{{"type":"dir","{kind}":"{name}"}},{{"type":"dir"}}]"#);
                let mut toc = read(&format!(r#"{{"version":1,"entries":{entries}}}"#))?;
                toc.complete_names()?;
                let last = toc.entries.pop().ok_or("none")?;
                Ok::<usize, String>(last.user_name.len() + last.group_name.len())
            };
            assert_eq!(completed(OWNER_NAME_BYTES_MAX), Ok(OWNER_NAME_BYTES_MAX));
            assert_eq!(
                completed(OWNER_NAME_BYTES_MAX + 1),
                Err("its table of contents has an owner's name over 32 bytes".into())
            );
        }
    }

    #[test]
    fn the_number_of_entries_is_limited() {
        let with = |count: usize| {
            let entries = vec![r#"{"type":"dir"}"#; count].join(",");
            read(&format!(r#"{{"version":1,"entries":[{entries}]}}"#))
        };
        let most = with(TOC_ENTRIES_MAX).expect("just so many");
        assert_eq!(most.entries.len(), TOC_ENTRIES_MAX);
        let error = with(TOC_ENTRIES_MAX + 1).expect_err("one more");
        assert!(error.contains("more than 262144 entries"), "{error}");
    }
}
