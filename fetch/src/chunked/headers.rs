//! Tar headers made from a table of contents, where the tar's own are not to be had without the payload before them.
//!
//! The first headers of a layer are always fetched. They show how its writer fills the fields that a table does not
//! tell; only a table that gives just these bytes is trusted with the others, and what it gives in the end is proved by
//! the diff id like everything else. Only plain headers are made: whatever needs an extension is fetched.

use super::plan::Tail;
use super::toc::{Entry, Kind};

/// The size of a header, in bytes.
const BLOCK: usize = 512;
/// The largest number that seven octal digits hold.
const OCTAL_7_MAX: u64 = 0o7_777_777;
/// The largest number that eleven octal digits hold.
const OCTAL_11_MAX: u64 = 0o77_777_777_777;

/// How the headers of a tar look.
#[derive(Debug, Clone)]
pub(crate) struct Headers {
    /// A header with nothing in the fields that a table tells.
    template: [u8; BLOCK],
}

/// A field: where it begins, and its size.
type Field = (usize, usize);
const NAME: Field = (0, 100);
const MODE: Field = (100, 8);
const UID: Field = (108, 8);
const GID: Field = (116, 8);
const SIZE: Field = (124, 12);
const MTIME: Field = (136, 12);
const CHECKSUM: Field = (148, 8);
const KIND: Field = (156, 1);
const LINK: Field = (157, 100);
const USER: Field = (265, 32);
const GROUP: Field = (297, 32);
/// What a table tells.
const TOLD: [Field; 11] = [
    NAME, MODE, UID, GID, SIZE, MTIME, CHECKSUM, KIND, LINK, USER, GROUP,
];

impl Headers {
    /// Learns from the headers of the first entries; `None` when these cannot be made.
    pub(crate) fn learn(bytes: &[u8], entries: &[Entry]) -> Option<Self> {
        let mut template = *bytes.first_chunk::<BLOCK>()?;
        for (at, size) in TOLD {
            template.get_mut(at..at + size)?.fill(0);
        }
        let headers = Self { template };
        (headers.made(entries)? == bytes).then_some(headers)
    }

    /// What stands behind a payload; `None` where that cannot be made.
    pub(crate) fn tail(&self, entries: &[Entry], tail: &Tail) -> Option<Vec<u8>> {
        let block = BLOCK as u64;
        let padding = tail.size.checked_next_multiple_of(block)? - tail.size;
        let padding = usize::try_from(padding).ok()?;
        let headers = self.made(entries.get(tail.entries.clone())?)?;
        Some([vec![0; padding], headers].concat())
    }

    fn made(&self, entries: &[Entry]) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(entries.len() * BLOCK);
        for entry in entries.iter().filter(|entry| entry.kind != Kind::Chunk) {
            bytes.extend(self.header(entry)?);
        }
        Some(bytes)
    }

    fn header(&self, entry: &Entry) -> Option<[u8; BLOCK]> {
        let kind = match entry.kind {
            Kind::Reg => b'0',
            Kind::Hardlink => b'1',
            Kind::Symlink => b'2',
            Kind::Dir => b'5',
            Kind::Chunk | Kind::Char | Kind::Block | Kind::Fifo => return None,
        };
        if entry.xattrs.is_some() {
            return None;
        }
        let size = if kind == b'0' { entry.size } else { 0 };
        let mtime = match entry.modtime.as_str() {
            "" => 0,
            text => store::unix_seconds(Some(text)),
        };
        let mut block = self.template;
        put(&mut block, NAME, text(&entry.name, NAME)?)?;
        put(&mut block, MODE, &octal_7(entry.mode)?)?;
        put(&mut block, UID, &octal_7(entry.uid)?)?;
        put(&mut block, GID, &octal_7(entry.gid)?)?;
        put(&mut block, SIZE, &octal_11(size)?)?;
        put(&mut block, MTIME, &octal_11(mtime)?)?;
        put(&mut block, KIND, &[kind])?;
        put(&mut block, LINK, text(&entry.link_name, LINK)?)?;
        put(&mut block, USER, text(&entry.user_name, USER)?)?;
        put(&mut block, GROUP, text(&entry.group_name, GROUP)?)?;
        put(&mut block, CHECKSUM, b"        ")?;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        put(&mut block, CHECKSUM, format!("{sum:06o}\0 ").as_bytes())?;
        Some(block)
    }
}

/// Writes to the beginning of a field.
fn put(block: &mut [u8; BLOCK], (at, _): Field, bytes: &[u8]) -> Option<()> {
    block.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    Some(())
}

/// Text that every writer puts into a field of this size as it is.
fn text(text: &str, (_, size): Field) -> Option<&[u8]> {
    (text.is_ascii() && text.len() < size).then_some(text.as_bytes())
}

fn octal_7(number: u64) -> Option<Vec<u8>> {
    (number <= OCTAL_7_MAX).then(|| format!("{number:07o}\0").into_bytes())
}

fn octal_11(number: u64) -> Option<Vec<u8>> {
    (number <= OCTAL_11_MAX).then(|| format!("{number:011o}\0").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: serde_json::Value) -> Entry {
        serde_json::from_value(json).expect("entry")
    }

    fn entries() -> Vec<Entry> {
        let list = [
            serde_json::json!({"type": "dir", "name": "etc/", "mode": 0o755, "uid": 7, "userName": "root"}),
            serde_json::json!({"type": "symlink", "name": "etc/link", "mode": 0o777, "linkName": "there"}),
            serde_json::json!({"type": "reg", "name": "etc/file", "mode": 0o644, "size": 700,
                "modtime": "2026-01-01T00:00:00Z"}),
            serde_json::json!({"type": "hardlink", "name": "etc/hard", "linkName": "etc/file", "mode": 0o644}),
        ];
        list.into_iter().map(entry).collect()
    }

    /// The headers as the tar crate writes them.
    fn written(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            let mut header = tar::Header::new_ustar();
            header.set_path(&entry.name).expect("name");
            header.set_mode(entry.mode as u32);
            header.set_uid(entry.uid);
            header.set_gid(entry.gid);
            header.set_size(entry.size);
            header.set_mtime(store::unix_seconds(Some(&entry.modtime)));
            header.set_username(&entry.user_name).expect("name");
            if !entry.link_name.is_empty() {
                header.set_link_name(&entry.link_name).expect("target");
            }
            header.set_entry_type(match entry.kind {
                Kind::Dir => tar::EntryType::Directory,
                Kind::Symlink => tar::EntryType::Symlink,
                Kind::Hardlink => tar::EntryType::Link,
                _ => tar::EntryType::Regular,
            });
            header.set_device_major(0).expect("ustar");
            header.set_device_minor(0).expect("ustar");
            header.set_cksum();
            // the crate ends the sum as other numbers; POSIX and everybody else do not
            let mut block = *header.as_bytes();
            let sum = header.cksum().expect("sum");
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            bytes.extend(block);
        }
        bytes
    }

    #[test]
    fn headers_are_those_of_the_writer() {
        let entries = entries();
        let bytes = written(&entries);
        let headers = Headers::learn(&bytes[..2 * BLOCK], &entries[..2]).expect("plain");
        let tail = Tail {
            size: 700,
            entries: 2..4,
        };
        let made = headers.tail(&entries, &tail).expect("plain");
        assert_eq!(made[..324], [0; 324], "padding");
        assert_eq!(made[324..], bytes[2 * BLOCK..]);
    }

    #[test]
    fn what_a_table_does_not_tell_is_not_made() {
        let entries = entries();
        let bytes = written(&entries);
        let mut other = bytes.clone();
        other[BLOCK + 500] = 1;
        assert!(Headers::learn(&other[..2 * BLOCK], &entries[..2]).is_none());
        assert!(Headers::learn(&bytes[..BLOCK], &entries[..2]).is_none());
        let headers = Headers::learn(&bytes[..BLOCK], &entries[..1]).expect("plain");
        for odd in [
            serde_json::json!({"type": "reg", "name": "n".repeat(100)}),
            serde_json::json!({"type": "reg", "name": "\u{e4}"}),
            serde_json::json!({"type": "reg", "uid": 0o10_000_000}),
            serde_json::json!({"type": "reg", "xattrs": {}}),
            serde_json::json!({"type": "char", "name": "null"}),
        ] {
            let tail = Tail {
                size: 1,
                entries: 0..1,
            };
            let made = headers.tail(&[entry(odd.clone())], &tail);
            assert!(made.is_none(), "{odd}");
        }
        let tail = Tail {
            size: u64::MAX,
            entries: 0..1,
        };
        assert!(headers.tail(&entries, &tail).is_none(), "no padding");
    }
}
