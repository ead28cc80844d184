//! Whose files a tar's entries become.

use crate::object::{Meta, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, Xattrs};

/// The umask that the modes of [`Owners::Caller`] are for. The real one would make a layer depend on who stores it how.
const UMASK: u32 = 0o022;

/// Whose files a tar's entries become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Those that the tar names, with its modes and xattrs.
    True,
    /// The caller's, as skopeo's transport did it for an ordinary user. It ran `tar --no-same-owner
    /// --no-same-permissions`, which takes the umask and all set-id and sticky bits from modes and restores no xattrs,
    /// and then gave the owner all of a directory and reading and writing of a file.
    Caller {
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
}

impl Owners {
    /// What skopeo's transport would keep if it were run by the caller: root's was another way.
    pub(crate) fn of_caller() -> Self {
        if is_root() {
            return Self::True;
        }
        Self::Caller {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    /// What an entry's owner, mode and xattrs become.
    pub(crate) fn apply(self, meta: Meta) -> Meta {
        let Self::Caller { uid, gid } = self else {
            return meta;
        };
        let kind = meta.mode & S_IFMT;
        let usual = meta.mode & 0o777 & !UMASK;
        let mode = match kind {
            S_IFDIR => usual | 0o700,
            S_IFREG => usual | 0o600,
            S_IFLNK => 0o777,
            _ => usual,
        };
        Meta {
            uid,
            gid,
            mode: kind | mode,
            xattrs: Xattrs::default(),
        }
    }
}

/// Whether the caller is root of the host: uid 0 with all ids mapped. Uid 0 of another user namespace is a user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Observed with GNU tar 1.34 under umask 0022, and chmod as fixFiles of containers/image did it.
    #[test]
    fn modes_are_what_tar_and_chmod_leave() {
        let owners = Owners::Caller { uid: 7, gid: 8 };
        let table = [
            (S_IFREG | 0o4755, S_IFREG | 0o755),
            (S_IFREG | 0o666, S_IFREG | 0o644),
            (S_IFREG | 0o111, S_IFREG | 0o711),
            (S_IFREG, S_IFREG | 0o600),
            (S_IFDIR | 0o1777, S_IFDIR | 0o755),
            (S_IFDIR | 0o2070, S_IFDIR | 0o750),
            (S_IFLNK | 0o644, S_IFLNK | 0o777),
        ];
        for (mode, left) in table {
            let meta = Meta {
                uid: 999,
                gid: 0,
                mode,
                xattrs: Xattrs::new(vec![(b"user.a".to_vec(), b"b".to_vec())]),
            };
            assert_eq!(owners.apply(meta.clone()).mode, left, "{mode:o}");
            assert_eq!(
                (
                    owners.apply(meta.clone()).uid,
                    owners.apply(meta.clone()).gid
                ),
                (7, 8)
            );
            assert!(owners.apply(meta.clone()).xattrs.is_empty());
            assert_eq!(Owners::True.apply(meta.clone()), meta);
        }
    }
}
