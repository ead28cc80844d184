//! PAX extended headers: records of `length key=value\n`, whose values may hold any byte.

use crate::tar_stream::TarError;
use crate::txn::Mtime;

/// The most extended attributes of one entry; an object has no room for a tenth of that.
const XATTRS_MAX: usize = 1024;

/// PAX records that matter here.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Mtime>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// `GNU.sparse.` records, in their order.
    pub(crate) sparse: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Reads all records; of a key that comes twice the last counts.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self, TarError> {
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let wrong = || TarError::from("a PAX record is malformed");
            let blank = bytes
                .iter()
                .take(20)
                .position(|byte| *byte == b' ')
                .ok_or_else(wrong)?;
            let length = std::str::from_utf8(&bytes[..blank])
                .ok()
                .and_then(|text| text.parse::<usize>().ok());
            let length = length
                .filter(|length| *length > blank + 1 && *length <= bytes.len())
                .ok_or_else(wrong)?;
            let (record, rest) = bytes.split_at(length);
            bytes = rest;
            let record = record[blank + 1..].strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(wrong)?;
            pax.take(&record[..equals], &record[equals + 1..])?;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarError> {
        let text =
            || std::str::from_utf8(value).map_err(|_| TarError::from("a PAX number is malformed"));
        let number = || {
            text()?
                .parse::<u64>()
                .map_err(|_| TarError::from("a PAX number is malformed"))
        };
        match key {
            // An empty value takes the record back (POSIX), so the header's own counts.
            b"path" => self.path = (!value.is_empty()).then(|| value.to_vec()),
            b"linkpath" => self.link = (!value.is_empty()).then(|| value.to_vec()),
            b"path\0" | b"linkpath\0" => return Err("a PAX record is malformed".into()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(parse_mtime(text()?).ok_or("a PAX time is malformed")?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    // The other form, if there is one, has the value as it is.
                    let name = unescape_percent(name);
                    if !self.xattrs.iter().any(|(have, _)| *have == name) {
                        let value =
                            decode_base64(value).ok_or("a LIBARCHIVE.xattr value is not base64")?;
                        self.xattrs.push((name, value));
                    }
                } else if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        match self.xattrs.len() > XATTRS_MAX {
            true => Err(TarError::Broken(format!(
                "an extended header has over {XATTRS_MAX} extended attributes"
            ))),
            false => Ok(()),
        }
    }
}

fn decode_base64(value: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let value: Vec<u8> = value
        .iter()
        .copied()
        .filter(|byte| *byte != b'=' && *byte != b'\n')
        .collect();
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(value)
        .ok()
}

/// libarchive percent-encodes what is not plain in xattr names.
fn unescape_percent(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut at = 0;
    while let Some(byte) = name.get(at) {
        let code = name
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(code) if *byte == b'%' => {
                plain.push(code);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

/// Decimal seconds with an optional sign and fraction.
fn parse_mtime(text: &str) -> Option<Mtime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let secs: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain(std::iter::repeat('0'))
        .take(9)
        .collect();
    let nanos: u32 = digits.parse().ok()?;
    Some(if negative && nanos > 0 {
        Mtime {
            secs: secs.checked_sub(1)?,
            nanos: 1_000_000_000 - nanos,
        }
    } else {
        Mtime { secs, nanos }
    })
}
