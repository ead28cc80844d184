//! The same files under another path: bind mounts on the host. Pure.
//!
//! Whether a volume reaches the store cannot be told from paths alone: the store's file system may be mounted at a second
//! place, whole or in part. So a path is translated to where it lies in its file system, by the table of mounts, and those
//! places are compared.

use std::path::{Path, PathBuf};

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The file system, by its device number.
    device: String,
    /// What of it is mounted.
    root: PathBuf,
    /// Where.
    pub(crate) point: PathBuf,
    /// Whether nothing is written through this mount.
    read_only: bool,
    /// The type of the file system.
    pub(crate) kind: String,
}

/// A part of a volume that lies in a protected directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of it does.
    Whole,
    /// This part does, relative to the volume's source. The path is that of the part on the host.
    Below(PathBuf, PathBuf),
}

/// The table of mounts, in the order in which they were made.
pub(crate) fn mounts(mountinfo: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let mut fields = line.split(' ').skip(2);
        Some(Mount {
            device: fields.next()?.to_owned(),
            root: unescape(fields.next()?),
            point: unescape(fields.next()?),
            read_only: fields.next()?.split(',').any(|option| option == "ro"),
            kind: fields.skip_while(|field| *field != "-").nth(1)?.to_owned(),
        })
    };
    mountinfo.lines().filter_map(parse).collect()
}

/// Where the mounts of that table are, in its order.
pub(crate) fn points(mountinfo: &str) -> impl Iterator<Item = PathBuf> {
    mounts(mountinfo).into_iter().map(|mount| mount.point)
}

/// Every way in which a volume of `source`, with all that is mounted below it, reaches `protected`. Both are canonical.
pub(crate) fn reaches(source: &Path, protected: &Path, mounts: &[Mount]) -> Vec<Reach> {
    let Some((device, wanted)) = place(protected, mounts) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // What of a file system is seen at `point`, and the way from the source to there.
    let mut look = |seen_device: &str, seen: &Path, point: &Path| {
        if seen_device != device {
            return;
        }
        let below = point.strip_prefix(source).unwrap_or(Path::new(""));
        if seen.starts_with(&wanted) {
            found.push(if below.as_os_str().is_empty() {
                Reach::Whole
            } else {
                Reach::Below(below.to_owned(), point.to_owned())
            });
        } else if let Ok(rest) = wanted.strip_prefix(seen) {
            let host = point.join(rest);
            // Another mount may be in front of it.
            if place(&host, mounts).is_some_and(|(on, at)| on == device && at == wanted) {
                found.push(Reach::Below(below.join(rest), host));
            }
        }
    };
    if let Some((device, seen)) = place(source, mounts) {
        look(&device, &seen, source);
    }
    for mount in mounts
        .iter()
        .filter(|mount| mount.point != source && mount.point.starts_with(source))
    {
        look(&mount.device, &mount.root, &mount.point);
    }
    found
}

/// The path in a container under which files of `protected`, a canonical path of the host, can be reached: in a way that
/// writes, or in any way where `any` says that read-only mounts would not stop it. `inside` and `outside` are the tables of
/// mounts of the container and of the host.
pub(crate) fn breach(
    inside: &[Mount],
    outside: &[Mount],
    protected: &Path,
    any: bool,
) -> Option<PathBuf> {
    let (device, wanted) = place(protected, outside)?;
    let same = inside.iter().filter(|mount| mount.device == device);
    let mut candidates = same.filter_map(|mount| match wanted.strip_prefix(&mount.root) {
        Ok(rest) => Some(below(&mount.point, rest)),
        Err(_) => mount.root.starts_with(&wanted).then(|| mount.point.clone()),
    });
    candidates.find(|path| {
        // Whatever lies on top there is what the container gets.
        nearest(path, inside).is_some_and(|(mount, at)| {
            mount.device == device && at.starts_with(&wanted) && (any || !mount.read_only)
        })
    })
}

/// The file system that a path is on, and where in it.
fn place(path: &Path, mounts: &[Mount]) -> Option<(String, PathBuf)> {
    nearest(path, mounts).map(|(mount, at)| (mount.device.clone(), at))
}

/// The mount that a path is on, and where in its file system it is.
fn nearest<'m>(path: &Path, mounts: &'m [Mount]) -> Option<(&'m Mount, PathBuf)> {
    // The longest mount point is the nearest, and of two at one point the later hides the earlier.
    let depth = |mount: &&Mount| mount.point.components().count();
    let mount = mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(depth)?;
    let rest = path.strip_prefix(&mount.point).ok()?;
    Some((mount, below(&mount.root, rest)))
}

fn below(dir: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        dir.to_owned()
    } else {
        dir.join(rest)
    }
}

/// Blanks, tabs, line ends and backslashes are written as three octal digits.
fn unescape(field: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = field.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = field
            .get(at + 1..at + 4)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| byte == b'\\') {
            Some(value) => {
                plain.push(value);
                at += 4;
            }
            None => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(plain).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /home rw - ext4 b rw\n3 1 8:2 /me /data/my\\040files rw - ext4 b rw\n4 1 8:2 /me/berth/repo/objects /srv/objects rw - ext4 b rw\n5 1 0:9 / /tmp rw - tmpfs t rw\n";

    fn below(part: &str, host: &str) -> Reach {
        Reach::Below(part.into(), host.into())
    }

    #[test]
    fn a_way_into_the_store_is_seen_from_inside() {
        let outside = mounts(HOST);
        let breach = |lines: &[&str], any| {
            let root = "9 0 0:20 / / rw - overlay o rw\n";
            let inside = mounts(&format!("{root}{}\n", lines.join("\n")));
            let found = breach(&inside, &outside, Path::new("/home/me/berth/repo"), any);
            found.map(|path| path.display().to_string())
        };
        let home = "10 9 8:2 /me /v rw - ext4 b rw";
        let cover = "11 10 8:2 /me/berth/repo /v/berth/repo ro - ext4 b rw";
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(breach(&[], true), None);
        assert_eq!(breach(&[home], false), some("/v/berth/repo"));
        assert_eq!(breach(&[home, cover], false), None);
        assert_eq!(breach(&[home, cover], true), some("/v/berth/repo"));
        // A writable mount on top of the cover, and one of a part of the store.
        let again = "12 11 8:2 /me/berth/repo /v/berth/repo rw - ext4 b rw";
        assert_eq!(breach(&[home, cover, again], false), some("/v/berth/repo"));
        let part = "12 9 8:2 /me/berth/repo/objects /o rw - ext4 b rw";
        assert_eq!(breach(&[home, cover, part], false), some("/o"));
        // Another directory, another file system, and what something else lies on.
        assert_eq!(breach(&["10 9 8:2 /you /v rw - ext4 b rw"], true), None);
        assert_eq!(breach(&["10 9 8:1 /me /v rw - ext4 a rw"], true), None);
        let hidden = "11 10 0:21 / /v/berth rw - tmpfs t rw";
        assert_eq!(breach(&[home, hidden], true), None);
    }

    #[test]
    fn the_store_is_found_under_every_name() {
        let mounts = mounts(HOST);
        let reaches =
            |source: &str| reaches(Path::new(source), Path::new("/home/me/berth/repo"), &mounts);
        assert_eq!(
            reaches("/home/me"),
            [below("berth/repo", "/home/me/berth/repo")]
        );
        assert_eq!(
            reaches("/home/me/berth/repo"),
            [below("", "/home/me/berth/repo")].map(|_| Reach::Whole)
        );
        assert_eq!(reaches("/home/me/berth/repo/objects"), [Reach::Whole]);
        assert_eq!(reaches("/home/you"), []);
        assert_eq!(reaches("/tmp"), []);
        // The same file system at another place.
        assert_eq!(
            reaches("/data/my files"),
            [below("berth/repo", "/data/my files/berth/repo")]
        );
        assert_eq!(reaches("/data/my files/berth/repo/tmp"), [Reach::Whole]);
        assert_eq!(reaches("/srv/objects"), [Reach::Whole]);
        assert_eq!(
            reaches("/data"),
            [below("my files/berth/repo", "/data/my files/berth/repo")]
        );
        assert_eq!(
            reaches("/"),
            [
                below("home/me/berth/repo", "/home/me/berth/repo"),
                below("data/my files/berth/repo", "/data/my files/berth/repo"),
                below("srv/objects", "/srv/objects"),
            ]
        );
    }

    #[test]
    fn what_is_covered_by_another_mount_is_not_reached() {
        let text = format!("{HOST}6 2 0:10 / /home/me rw - tmpfs t rw\n");
        let mounts = mounts(&text);
        // The store itself is named by a path that is not covered.
        let found = reaches(
            Path::new("/home"),
            Path::new("/data/my files/berth/repo"),
            &mounts,
        );
        assert_eq!(found, []);
    }
}
