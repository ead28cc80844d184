//! What a pulled image is called: pure.
//!
//! An image of a registry, and any name that reads as one (`docker save` writes those), is kept under its canonical
//! name with the familiar one as an alias. A bare word in a layout is kept as it is; `latest` is none, since nearly every
//! layout says it. An image that its source has no name for is called after the file, on standard input `stdin`.

use std::path::Path;

use store::{Digest, ImageName, Reference};

use crate::error::Result;
use crate::limits::{CHOICE_CHARS_MAX, CHOICES_NAMED_MAX};
use crate::source::Source;

/// A name and its alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The name under which the image is kept.
    pub name: ImageName,
    /// The familiar spelling, where it differs.
    pub alias: Option<ImageName>,
}

impl Names {
    /// Names the image of `source` that is itself called `found` there.
    pub fn of(source: &Source, found: Option<&str>) -> Result<Self> {
        let path = match source {
            Source::Registry(reference) => return Ok(Self::canonical(reference)),
            Source::Ostree(ostree) => return Self::verbatim(&ostree.name),
            Source::DockerDaemon(name) => return Self::of_daemon(name, found),
            Source::Directory(path)
            | Source::RootfsTar(path)
            | Source::DockerArchive { path, .. }
            | Source::OciArchive { path, .. }
            | Source::OciLayout { path, .. } => path,
        };
        if let Some(found) = found.filter(|found| *found != "latest") {
            let is_bare_word =
                !found.contains([':', '/']) && !matches!(source, Source::DockerArchive { .. });
            return match found.parse::<Reference>() {
                Ok(reference) if !is_bare_word => Ok(Self::canonical(&reference)),
                _ => Self::verbatim(found),
            };
        }
        Self::verbatim(&file_name(path))
    }

    /// Names an image of docker's daemon: as it was asked for, unless by a digest; the daemon's manifests have none.
    fn of_daemon(asked: &str, found: Option<&str>) -> Result<Self> {
        let by_tag = |text: &str| {
            let reference = text.parse::<Reference>().ok();
            reference.filter(|reference| reference.digest.is_none())
        };
        let asked_by_id = asked.parse::<Digest>().is_ok();
        let names = [(!asked_by_id).then_some(asked), found];
        match names.into_iter().flatten().find_map(by_tag) {
            Some(reference) => Ok(Self::canonical(&reference)),
            None => Self::verbatim(asked),
        }
    }

    /// A name that was asked for.
    pub fn verbatim(name: &str) -> Result<Self> {
        Ok(Self {
            name: ImageName::new(name)?,
            alias: None,
        })
    }

    fn canonical(reference: &Reference) -> Self {
        let (name, familiar) = (reference.canonical(), reference.familiar());
        let alias = (familiar != name).then_some(familiar);
        Self { name, alias }
    }
}

fn file_name(path: &Path) -> String {
    if path == Path::new("-") {
        return "stdin".into();
    }
    let resolved = path.file_name().map(Path::new).unwrap_or(path);
    resolved.to_string_lossy().into_owned()
}

/// The images that a source with several holds, as its references choose them: by name, else by position.
pub(crate) fn choices<'n>(images: impl Iterator<Item = (usize, Option<&'n str>)>) -> String {
    let shown = |(at, name): (usize, Option<&str>)| match name {
        Some(name) => name.to_owned(),
        None => format!("@{at}"),
    };
    listed(images.map(shown))
}

/// Names from outside in a row, fit for a message: not too many, none too long, nothing that drives a terminal.
pub(crate) fn listed(mut names: impl Iterator<Item = String>) -> String {
    let shown = |name: String| -> String {
        let plain = name.chars().filter(|c| !c.is_control());
        plain.take(CHOICE_CHARS_MAX).collect()
    };
    let first: Vec<String> = names.by_ref().take(CHOICES_NAMED_MAX).map(shown).collect();
    match names.next() {
        Some(_) => format!("{}, …", first.join(", ")),
        None => first.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_an_end() {
        let of = |count, size| listed((0..count).map(|_| "x".repeat(size)));
        assert_eq!(of(2, 3), "xxx, xxx");
        let longest = of(CHOICES_NAMED_MAX, CHOICE_CHARS_MAX);
        assert_eq!(of(CHOICES_NAMED_MAX, CHOICE_CHARS_MAX + 1), longest);
        assert_eq!(
            of(CHOICES_NAMED_MAX + 1, CHOICE_CHARS_MAX),
            format!("{longest}, …")
        );
        assert_eq!(listed(["a\u{1b}[m".to_owned()].into_iter()), "a[m");
    }

    #[test]
    fn images_are_named() {
        let id = format!("sha256:{:064}", 1);
        let table = [
            (
                "redis",
                None,
                "docker.io/library/redis:latest",
                Some("redis:latest"),
            ),
            ("localhost:5000/a:1", None, "localhost:5000/a:1", None),
            ("oci:/srv/busybox", None, "busybox", None),
            ("oci:/srv/busybox:latest", Some("latest"), "busybox", None),
            ("oci:/srv/images:redis", Some("redis"), "redis", None),
            (
                "oci:/srv/images",
                Some("redis:7"),
                "docker.io/library/redis:7",
                Some("redis:7"),
            ),
            (
                "oci-archive:x.tar",
                Some("Not A Reference"),
                "Not A Reference",
                None,
            ),
            (
                "docker-archive:x.tar",
                Some("redis"),
                "docker.io/library/redis:latest",
                Some("redis:latest"),
            ),
            ("docker-archive:d/x.tar", None, "x.tar", None),
            ("rootfs-tar:d/x.tar.gz", None, "x.tar.gz", None),
            ("rootfs-tar:-", None, "stdin", None),
            ("dir:/srv/busybox/", None, "busybox", None),
            (
                "docker-daemon:busybox",
                Some("other:1"),
                "docker.io/library/busybox:latest",
                Some("busybox:latest"),
            ),
            (
                &format!("docker-daemon:{id}"),
                Some("other:1"),
                "docker.io/library/other:1",
                Some("other:1"),
            ),
            (&format!("docker-daemon:{id}"), None, &id, None),
        ];
        for (source, found, name, alias) in table {
            let names = Names::of(&source.parse().expect(source), found).expect(source);
            assert_eq!(names.name.as_str(), name);
            assert_eq!(names.alias.as_ref().map(ImageName::as_str), alias);
        }
    }
}
