//! A writer of layers that can be fetched in parts, zstd:chunked and eStargz, as their own writers make them
//! (containers/storage `pkg/chunked/compressor`, stargz-snapshotter `estargz.Writer`).

use std::io::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::digest;

const BLOCK: usize = 512;
/// Larger payloads are cut.
const CHUNK: usize = 1 << 20;

/// A layer and what its descriptor says of it.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The tar: an eStargz has its table in it.
    pub tar: Vec<u8>,
    pub blob: Vec<u8>,
    pub annotations: Value,
    pub media_type: &'static str,
}

/// What may be changed before a table is written.
pub type Lie<'a> = &'a dyn Fn(&mut Vec<Value>);

/// No lie.
pub fn honest(_: &mut Vec<Value>) {}

/// An entry of a tar: what a table says of it, and where its payload is.
fn entries(tar: &[u8]) -> Vec<(Value, Range<usize>)> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|&byte| byte == 0);
        String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
    };
    let octal = |field: &[u8]| {
        let digits = text(field);
        u64::from_str_radix(digits.trim(), 8).unwrap_or(0)
    };
    let (mut entries, mut at) = (Vec::new(), 0);
    let (mut name, mut link, mut xattrs) = (None, None, false);
    while let Some(head) = tar.get(at..at + BLOCK).filter(|head| head[0] != 0) {
        let size = usize::try_from(octal(&head[124..136])).unwrap();
        let payload = at + BLOCK..at + BLOCK + size;
        at = payload.end.next_multiple_of(BLOCK);
        let kind = match head[156] {
            b'x' => {
                for record in String::from_utf8_lossy(&tar[payload]).lines() {
                    let (_, record) = record.split_once(' ').unwrap_or_default();
                    match record.split_once('=') {
                        Some(("path", value)) => name = Some(value.to_owned()),
                        Some(("linkpath", value)) => link = Some(value.to_owned()),
                        _ => xattrs = true,
                    }
                }
                continue;
            }
            b'1' => "hardlink",
            b'2' => "symlink",
            b'3' => "char",
            b'4' => "block",
            b'5' => "dir",
            b'6' => "fifo",
            b'0' | 0 => "reg",
            other => panic!("entry of type {other}"),
        };
        let mtime = i64::try_from(octal(&head[136..148])).unwrap();
        let time = jiff::Timestamp::from_second(mtime).unwrap().to_string();
        let mut entry = json!({
            "type": kind,
            "name": name.take().unwrap_or_else(|| text(&head[..100])),
            "mode": octal(&head[100..108]),
            "uid": octal(&head[108..116]),
            "gid": octal(&head[116..124]),
            "modtime": time,
            "userName": text(&head[265..297]),
            "groupName": text(&head[297..329]),
        });
        if let Some(target) = link
            .take()
            .or(Some(text(&head[157..257])))
            .filter(|it| !it.is_empty())
        {
            entry["linkName"] = target.into();
        }
        if std::mem::take(&mut xattrs) {
            entry["xattrs"] = json!({"user.some": ""});
        }
        if size > 0 {
            entry["size"] = size.into();
            entry["digest"] = digest(&tar[payload.clone()]).into();
        }
        entries.push((entry, payload));
    }
    entries
}

/// Both ways of cutting a payload: the first chunk is the file's own entry.
fn chunks(entry: &Value, payload: &Range<usize>) -> Vec<(Value, Range<usize>)> {
    let starts = (payload.start..payload.end).step_by(CHUNK);
    let chunk = |start: usize| {
        let bytes = start..payload.end.min(start + CHUNK);
        let mut value = match start == payload.start {
            true => entry.clone(),
            false => json!({"type": "chunk", "name": entry["name"]}),
        };
        if payload.len() > CHUNK {
            value["chunkOffset"] = (start - payload.start).into();
            value["chunkSize"] = bytes.len().into();
        }
        (value, bytes)
    };
    starts.map(chunk).collect()
}

/// zstd:chunked, with tar-split data or, as writers before 2024, without.
pub fn zstd_chunked(tar: &[u8], with_tar_split: bool, lie: Lie<'_>) -> Parts {
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let (mut blob, mut toc, mut split, mut at) = (Vec::new(), Vec::new(), String::new(), 0);
    let segment = |bytes: &[u8]| format!("{}\n", json!({"type": 2, "payload": base64(bytes)}));
    for (entry, payload) in entries(tar) {
        if payload.is_empty() {
            toc.push(entry);
            continue;
        }
        blob.extend(frame(&tar[at..payload.start]));
        split.push_str(&segment(&tar[at..payload.start]));
        let file = json!({"type": 1, "name": entry["name"], "size": payload.len(), "payload": ""});
        split.push_str(&format!("{file}\n"));
        let first = toc.len();
        for (mut chunk, bytes) in chunks(&entry, &payload) {
            chunk["offset"] = blob.len().into();
            blob.extend(frame(&tar[bytes]));
            toc.push(chunk);
        }
        toc[first]["endOffset"] = blob.len().into();
        at = payload.end;
    }
    blob.extend(frame(&tar[at..]));
    split.push_str(&segment(&tar[at..]));
    lie(&mut toc);
    let mut toc = json!({"version": 1, "entries": toc});
    let split = frame(split.as_bytes());
    let prefix = match with_tar_split {
        true => "io.github.containers.zstd-chunked.",
        false => "io.containers.zstd-chunked.",
    };
    if with_tar_split {
        toc["tarSplitDigest"] = digest(&split).into();
    }
    let json = serde_json::to_vec(&toc).unwrap();
    let packed = frame(&json);
    let offset = skippable(&mut blob, &packed);
    let mut annotations = json!({
        format!("{prefix}manifest-checksum"): digest(&packed),
        format!("{prefix}manifest-position"): format!("{offset}:{}:{}:1", packed.len(), json.len()),
    });
    if with_tar_split {
        let offset = skippable(&mut blob, &split);
        annotations[format!("{prefix}tarsplit-position")] =
            format!("{offset}:{}:{}", split.len(), split.len()).into();
    }
    skippable(&mut blob, &[0; 64]);
    Parts {
        tar: tar.to_owned(),
        blob,
        annotations,
        media_type: "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

/// Appends a skippable frame; returns where its data begin.
fn skippable(blob: &mut Vec<u8>, data: &[u8]) -> usize {
    blob.extend([0x50, 0x2a, 0x4d, 0x18]);
    blob.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    let at = blob.len();
    blob.extend(data);
    at
}

/// A blob cut before each chunk, as eStargz is: what a chunk begins goes on with the headers behind it. Returns the tar,
/// which ends with its last entry, the blob, and the entries of the table, whose names stand where they change.
fn cut(tar: &[u8], pack: &dyn Fn(&[u8]) -> Vec<u8>) -> (Vec<u8>, Vec<u8>, Vec<Value>) {
    let mut made = tar.to_vec();
    let all = entries(tar);
    let end = all
        .last()
        .map_or(0, |(_, payload)| payload.end.next_multiple_of(BLOCK));
    made.truncate(end);
    let (mut blob, mut toc, mut at) = (Vec::new(), Vec::new(), 0);
    let mut names = (Value::Null, Value::Null);
    for (mut entry, payload) in all {
        let owner = (entry["uid"].clone(), entry["userName"].clone());
        if owner == names {
            entry.as_object_mut().unwrap().remove("userName");
        }
        names = owner;
        if payload.is_empty() {
            toc.push(entry.clone());
        }
        for (mut chunk, bytes) in chunks(&entry, &payload) {
            blob.extend(pack(&made[at..bytes.start]));
            at = bytes.start;
            chunk["offset"] = blob.len().into();
            toc.push(chunk);
        }
    }
    blob.extend(pack(&made[at..]));
    (made, blob, toc)
}

/// eStargz.
pub fn estargz(tar: &[u8], lie: Lie<'_>) -> Parts {
    let (mut made, mut blob, mut toc) = cut(tar, &member);
    lie(&mut toc);
    let json = serde_json::to_vec_pretty(&json!({"version": 1, "entries": toc})).unwrap();
    let table = super::image::Tar::new()
        .file("stargz.index.json", &json)
        .finish();
    let offset = blob.len();
    blob.extend(member(&table));
    blob.extend([
        0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 26, 0, b'S', b'G', 22, 0,
    ]);
    blob.extend(format!("{offset:016x}STARGZ").into_bytes());
    blob.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
    made.extend(table);
    Parts {
        tar: made,
        blob,
        annotations: json!({"containerd.io/snapshot/stargz/toc.digest": digest(&json)}),
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip",
    }
}

/// zstd:chunked as the writer of eStargz makes it.
pub fn zstd_estargz(tar: &[u8]) -> Parts {
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let (tar, mut blob, toc) = cut(tar, &frame);
    let json = serde_json::to_vec_pretty(&json!({"version": 1, "entries": toc})).unwrap();
    let packed = frame(&json);
    let offset = skippable(&mut blob, &packed);
    skippable(&mut blob, &[0; 40]);
    let place = format!("{offset}:{}:{}:1", packed.len(), json.len());
    Parts {
        tar,
        blob,
        annotations: json!({
            "io.containers.zstd-chunked.manifest-checksum": digest(&packed),
            "io.containers.zstd-chunked.manifest-position": place,
        }),
        media_type: "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0;
        for place in 0..3 {
            bits = bits << 8 | u32::from(three.get(place).copied().unwrap_or(0));
        }
        for place in 0..4 {
            text.push(match place > three.len() {
                true => '=',
                false => char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]),
            });
        }
    }
    text
}
