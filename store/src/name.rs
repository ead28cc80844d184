//! Names: of images as people type them, of images as they are kept, and of refs. Pure.
//!
//! [`crate::Reference`] is docker's grammar (`redis` means `docker.io/library/redis:latest`), [`ImageName`] the literal name
//! under which an image is kept, [`RefName`] a path below `refs/heads`. An image's ref is its name in the escape that
//! skopeo's `ostree:` transport used, which is a bijection: letters, digits, `.` and `-` stand for themselves, every
//! other byte is `_` and two upper-case hex digits. A name whose escape is longer than a file name may be is kept under
//! `_H` and its SHA-256; its commit then carries the name.

use std::fmt;

use crate::error::{Error, Result};
use crate::id::{DiffId, Digest, ObjectId};

/// The longest name of an image, in bytes (docker allows 255 for the repository alone, and 128 for the tag).
pub(crate) const NAME_BYTES_MAX: usize = 1024;
/// The longest component of a ref, in bytes: what file systems allow, less room for a temporary suffix.
pub(crate) const REF_COMPONENT_BYTES_MAX: usize = 240;
/// The longest ref, in bytes.
pub(crate) const REF_BYTES_MAX: usize = 2048;

/// The name under which an image is kept, as `images` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName(pub(crate) String);

impl ImageName {
    /// Takes any name without control characters, up to 1024 bytes, that is not an id: `ociimage/<id>` are layers and
    /// configs.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let shown = || format!("image name {:?}", text.chars().take(80).collect::<String>());
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Error::malformed(
                shown(),
                "expected a name without control characters",
            ));
        }
        if ObjectId::from_hex(&text).is_ok() {
            return Err(Error::malformed(
                shown(),
                "64 hex digits are an image id, not a name",
            ));
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(Error::TooLarge {
                what: shown(),
                limit: format!("{NAME_BYTES_MAX} bytes"),
            });
        }
        Ok(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a component of a ref.
    pub fn encoded(&self) -> String {
        let escaped = escape(&self.0);
        if escaped.len() <= REF_COMPONENT_BYTES_MAX {
            return escaped;
        }
        format!("_H{}", Digest::of(self.0.as_bytes()).hex())
    }

    /// The reverse of [`ImageName::encoded`]; `None` for a component that is no escape, and for a shortened one.
    pub fn from_encoded(component: &str) -> Option<Self> {
        unescape(component).and_then(|text| Self::new(text).ok())
    }

    /// Repository and tag for a table: split at the last `:` behind the last `/`, or at `@`.
    pub fn split_tag(&self) -> (&str, Option<&str>) {
        if let Some((repository, _)) = self.0.split_once('@') {
            return (repository, None);
        }
        match self.0.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (&self.0, None),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("_{byte:02X}")),
        }
    }
    escaped
}

fn unescape(component: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(component.len());
    let mut rest = component.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => bytes.push(byte),
            b'_' => {
                let digits = [rest.next()?, rest.next()?];
                if digits.iter().any(u8::is_ascii_lowercase) {
                    return None;
                }
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            _ => return None,
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (escape(&text) == component).then_some(text)
}

/// The prefix of image, config and layer refs.
pub(crate) const IMAGES: &str = "ociimage";
/// The prefix of flattened images.
pub(crate) const FLAT: &str = "ocifs";
/// The prefix of layers by diff id.
pub(crate) const LAYERS: &str = "ocilayer";
/// The prefix of recipes, by diff id.
pub(crate) const RECIPES: &str = "ocirecipe";
/// The prefix of blobs that are kept as they came.
pub(crate) const BLOBS: &str = "ociblob";
/// The prefix of what containers and deployments hold.
pub(crate) const USED: &str = "berth/used";

/// A ref: a path below `refs/heads`, of components that match ostree's `[\w\d][-._\w\d]*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(String);

impl RefName {
    /// Checks a ref name by ostree's rules.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let component = |component: &str| {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            component.len() <= 255
                && component.starts_with(word)
                && component.chars().all(|c| word(c) || c == '-' || c == '.')
        };
        if text.len() > REF_BYTES_MAX
            || !text.split('/').all(component)
            || ObjectId::from_hex(&text).is_ok()
        {
            return Err(Error::malformed(
                format!("ref {:?}", text.chars().take(80).collect::<String>()),
                "expected letters, digits, `-`, `.`, `_` and `/`",
            ));
        }
        Ok(Self(text))
    }

    /// The ref of an image's manifest.
    pub fn image(name: &ImageName) -> Self {
        Self::below(IMAGES, &name.encoded())
    }

    /// The ref of an image's flattened tree.
    pub fn flat(name: &ImageName) -> Self {
        Self::below(FLAT, &name.encoded())
    }

    /// The ref of a config, or of a layer by its blob.
    pub fn blob(digest: &Digest) -> Self {
        Self(format!("{IMAGES}/{}", digest.hex()))
    }

    /// The ref of a layer by its diff id.
    pub fn layer(diff_id: &DiffId) -> Self {
        Self(format!("{LAYERS}/{}", diff_id.hex()))
    }

    /// The ref of what a layer's tar is put together from.
    pub fn recipe(diff_id: &DiffId) -> Self {
        Self(format!("{RECIPES}/{}", diff_id.hex()))
    }

    /// The ref of a layer's blob as it came.
    pub fn kept_blob(digest: &Digest) -> Self {
        Self(format!("{BLOBS}/{}", digest.hex()))
    }

    /// What the container or deployment `id` holds: `image` or `fs`.
    pub fn used(id: &str, what: &str) -> Result<Self> {
        Self::new(format!("{USED}/{id}/{what}"))
    }

    // `\w` does not include `-` and `.` at the start; an image name that starts so is given a harmless first byte.
    fn below(prefix: &str, component: &str) -> Self {
        match component.as_bytes().first() {
            Some(b'-' | b'.') => {
                let (first, rest) = component.split_at(1);
                Self(format!("{prefix}/_{:02X}{rest}", first.as_bytes()[0]))
            }
            _ => Self(format!("{prefix}/{component}")),
        }
    }

    /// The name of the image whose manifest or flattened tree this ref names.
    pub fn image_name(&self) -> Option<ImageName> {
        let component = self
            .0
            .strip_prefix("ociimage/")
            .or_else(|| self.0.strip_prefix("ocifs/"))?;
        match component.get(..3) {
            Some("_2D" | "_2E") => {
                let first = if component.starts_with("_2D") {
                    "-"
                } else {
                    "."
                };
                ImageName::from_encoded(&format!("{first}{}", &component[3..]))
            }
            _ if ObjectId::from_hex(component).is_ok() => None,
            _ => ImageName::from_encoded(component),
        }
    }

    /// The ref.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::reference::Reference;

    const HEX: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";

    #[test]
    fn refs_are_skopeos() {
        let name: Reference = "redis".parse().expect("valid");
        assert_eq!(
            RefName::image(&name.canonical()).as_str(),
            "ociimage/docker.io_2Flibrary_2Fredis_3Alatest"
        );
        assert_eq!(
            RefName::image(&name.familiar()).as_str(),
            "ociimage/redis_3Alatest"
        );
        let odd = ImageName::new(".hidden").expect("valid");
        assert_eq!(RefName::flat(&odd).image_name(), Some(odd));
        let long = ImageName::new("é".repeat(100)).expect("valid");
        assert_eq!(long.encoded().len(), 66);
    }

    #[test]
    fn ref_names_are_checked() {
        for good in [
            "a",
            "a/b.c-d_e",
            "ociimage/x_2F",
            &format!("ociimage/{HEX}"),
        ] {
            assert!(RefName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", "-a", "a/../b", ".a", "a b", HEX, "a\n",
        ] {
            assert!(RefName::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn names_round_trip_through_refs(text in "[a-zA-Z0-9._/:@é ~-]{1,60}") {
            let name = ImageName::new(text).expect("no control characters");
            let reference = RefName::image(&name);
            prop_assert!(RefName::new(reference.as_str()).is_ok());
            prop_assert_eq!(reference.image_name(), Some(name));
        }

        #[test]
        fn no_input_panics(text in ".{0,40}") {
            let _ = text.parse::<Reference>();
            let _ = RefName::new(text.clone());
            let _ = ImageName::from_encoded(&text);
        }
    }
}
