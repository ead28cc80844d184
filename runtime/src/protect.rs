//! No volume gives a container a way to write to the store.
//!
//! A checkout's files are hard links to objects, and the user who runs the container owns them. So a volume whose source
//! lies in a protected directory is read-only whatever was asked, and one whose source contains a protected directory gets
//! a read-only mount on top of that part. Pure: canonical paths in, mounts out.

use std::path::{Path, PathBuf};

/// A bind mount: source, destination, whether it is read-only.
pub(crate) type Bind = (PathBuf, PathBuf, bool);

/// The mounts with what keeps `protected` safe, in an order in which outer mounts come first.
pub(crate) fn protect(binds: Vec<Bind>, protected: &[PathBuf]) -> Vec<Bind> {
    let mut safe = Vec::with_capacity(binds.len());
    for (source, destination, read_only) in binds {
        let within = protected.iter().any(|dir| source.starts_with(dir));
        let covers: Vec<Bind> = protected
            .iter()
            .filter_map(|dir| cover(&source, &destination, dir))
            .collect();
        safe.push((source, destination, read_only || within));
        safe.extend(covers);
    }
    safe
}

fn cover(source: &Path, destination: &Path, dir: &Path) -> Option<Bind> {
    let below = dir
        .strip_prefix(source)
        .ok()
        .filter(|below| !below.as_os_str().is_empty())?;
    Some((dir.to_owned(), destination.join(below), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_read_only_from_every_side() {
        let bind = |source: &str, destination: &str, read_only| {
            (source.into(), destination.into(), read_only)
        };
        let protected = [PathBuf::from("/r/repo"), PathBuf::from("/r/checkouts")];
        let protect = |source: &str| protect(vec![bind(source, "/d", false)], &protected);
        assert_eq!(protect("/other"), [bind("/other", "/d", false)]);
        assert_eq!(
            protect("/r/repository"),
            [bind("/r/repository", "/d", false)]
        );
        assert_eq!(protect("/r/repo"), [bind("/r/repo", "/d", true)]);
        assert_eq!(
            protect("/r/repo/objects"),
            [bind("/r/repo/objects", "/d", true)]
        );
        assert_eq!(
            protect("/r"),
            [
                bind("/r", "/d", false),
                bind("/r/repo", "/d/repo", true),
                bind("/r/checkouts", "/d/checkouts", true)
            ]
        );
        assert_eq!(protect("/").len(), 3);
    }
}
