//! No volume gives a container a way to write to the store.
//!
//! A checkout's files are hard links to objects, and the user who runs the container owns them. So a volume whose source
//! lies in a protected directory is read-only whatever was asked, and one whose source contains a protected directory gets
//! a read-only mount on top of that part. Pure: canonical paths in, mounts out.

use std::path::{Path, PathBuf};

/// A bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bind {
    /// A file or directory that this process sees.
    pub(crate) source: PathBuf,
    /// Its place in the container.
    pub(crate) destination: PathBuf,
    pub(crate) read_only: bool,
    /// Programs in it are not executed.
    pub(crate) no_exec: bool,
    /// Set-user-id bits in it count.
    pub(crate) set_id: bool,
}

/// The mounts with what keeps `protected` safe, in an order in which outer mounts come first.
pub(crate) fn protect(binds: Vec<Bind>, protected: &[PathBuf]) -> Vec<Bind> {
    let mut safe = Vec::with_capacity(binds.len());
    for mut bind in binds {
        bind.read_only |= protected.iter().any(|dir| bind.source.starts_with(dir));
        let covers: Vec<Bind> = protected
            .iter()
            .filter_map(|dir| cover(&bind, dir))
            .collect();
        safe.push(bind);
        safe.extend(covers);
    }
    safe
}

/// Whether `source` and a protected directory have files in common.
pub(crate) fn touches(source: &Path, protected: &[PathBuf]) -> bool {
    protected
        .iter()
        .any(|dir| source.starts_with(dir) || dir.starts_with(source))
}

fn cover(bind: &Bind, dir: &Path) -> Option<Bind> {
    let below = dir
        .strip_prefix(&bind.source)
        .ok()
        .filter(|below| !below.as_os_str().is_empty())?;
    Some(Bind {
        source: dir.to_owned(),
        destination: bind.destination.join(below),
        read_only: true,
        ..bind.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_read_only_from_every_side() {
        let bind = |source: &str, destination: &str, read_only| Bind {
            source: source.into(),
            destination: destination.into(),
            read_only,
            ..Bind::default()
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
        for (source, touched) in [
            ("/", true),
            ("/r/repo/objects", true),
            ("/r/repository", false),
        ] {
            assert_eq!(touches(Path::new(source), &protected), touched, "{source}");
        }
    }
}
