//! Which ids a container has: one, or a range of them.
//!
//! Model: an [`IdMaps`] is chosen once, when the container is created, and kept in its record, because files in its upper
//! directory belong to the ids of that choice; a later edit of `/etc/subuid` must not orphan them. Root inside is always
//! the user outside. With one id nothing else exists inside; with ranges the ids from 1 on are the user's subordinate
//! ones.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::subid::{Range, SubIds};

/// How many ids a container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// A range where the host can give one, else one id.
    Auto,
    /// One id: root inside is the user outside, and nobody else exists.
    Single,
    /// The user's subordinate ids, or an error.
    Range,
}

/// One line of a uid or gid map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mapping {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

/// The maps of a container's user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdMaps {
    pub(crate) uids: Vec<Mapping>,
    pub(crate) gids: Vec<Mapping>,
}

impl IdMaps {
    /// Chooses the maps for the user who runs this process.
    pub(crate) fn choose(ids: Ids, helpers: &IdHelpers) -> Result<Self> {
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let single = Self::single(uid, gid);
        if ids == Ids::Single {
            return Ok(single);
        }
        let found = SubIds::of(uid)?;
        let usable = found.complete() && helpers.complete();
        match (ids, usable) {
            (_, true) => Ok(Self::ranges(uid, gid, &found)),
            (Ids::Range, false) if !helpers.complete() => Err(Error::Host {
                lacks: "map a range of ids: newuidmap or newgidmap is not on PATH",
                hint: "install the package uidmap (Debian) or shadow-utils, or use --ids single"
                    .into(),
                source: None,
            }),
            (Ids::Range, false) => Err(Error::Host {
                lacks: "map a range of ids: /etc/subuid and /etc/subgid have none for this user",
                hint:
                    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER"
                        .into(),
                source: None,
            }),
            _ => Ok(single),
        }
    }

    /// Root inside is `uid` and `gid` outside; no other id exists.
    pub(crate) fn single(uid: u32, gid: u32) -> Self {
        let one = |outside| {
            vec![Mapping {
                inside: 0,
                outside,
                count: 1,
            }]
        };
        Self {
            uids: one(uid),
            gids: one(gid),
        }
    }

    /// Root inside is `uid` and `gid` outside; the ranges follow from 1 on in their order.
    fn ranges(uid: u32, gid: u32, found: &SubIds) -> Self {
        Self {
            uids: stack(uid, &found.uids),
            gids: stack(gid, &found.gids),
        }
    }

    /// Whether only root exists inside.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.uids.as_slice(), [Mapping { count: 1, .. }])
    }

    /// Whether `uid` exists inside.
    pub(crate) fn has_uid(&self, uid: u32) -> bool {
        has(&self.uids, uid)
    }

    /// Whether `uid`, as it is called outside, is one of those inside.
    pub(crate) fn maps_uid(&self, uid: u32) -> bool {
        self.uids.iter().any(|map| {
            uid.checked_sub(map.outside)
                .is_some_and(|offset| offset < map.count)
        })
    }

    /// Whether `gid` exists inside.
    pub(crate) fn has_gid(&self, gid: u32) -> bool {
        has(&self.gids, gid)
    }
}

fn has(maps: &[Mapping], id: u32) -> bool {
    maps.iter().any(|map| {
        id.checked_sub(map.inside)
            .is_some_and(|offset| offset < map.count)
    })
}

fn stack(own: u32, ranges: &[Range]) -> Vec<Mapping> {
    let mut maps = vec![Mapping {
        inside: 0,
        outside: own,
        count: 1,
    }];
    let mut inside = 1u32;
    for range in ranges {
        let count = range.count.min(u32::MAX - inside);
        maps.push(Mapping {
            inside,
            outside: range.first,
            count,
        });
        inside += count;
    }
    maps
}

/// The programs of the host that berth starts: those that write maps of more than one id, and pasta.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IdHelpers {
    /// `newuidmap`, when it was found.
    pub newuidmap: Option<PathBuf>,
    /// `newgidmap`, when it was found.
    pub newgidmap: Option<PathBuf>,
    /// `pasta`, which makes networks, when it was found.
    #[serde(default)]
    pub pasta: Option<PathBuf>,
}

impl IdHelpers {
    /// Looks the programs up in `path`, a list of directories as PATH has it.
    pub fn find(path: &OsStr) -> Self {
        let look = |name: &str| {
            std::env::split_paths(path)
                .filter(|dir| dir.is_absolute())
                .map(|dir| dir.join(name))
                .find(|file| {
                    file.metadata()
                        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
                })
        };
        Self {
            newuidmap: look("newuidmap"),
            newgidmap: look("newgidmap"),
            pasta: look("pasta"),
        }
    }

    /// Whether those that map ids are there.
    pub fn complete(&self) -> bool {
        self.newuidmap.is_some() && self.newgidmap.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stack_behind_root() {
        let found = SubIds {
            uids: vec![
                Range {
                    first: 100_000,
                    count: 10,
                },
                Range {
                    first: 500_000,
                    count: 5,
                },
            ],
            gids: vec![Range {
                first: 200_000,
                count: 10,
            }],
        };
        let maps = IdMaps::ranges(1001, 1002, &found);
        let line = |inside, outside, count| Mapping {
            inside,
            outside,
            count,
        };
        assert_eq!(
            maps.uids,
            [line(0, 1001, 1), line(1, 100_000, 10), line(11, 500_000, 5)]
        );
        assert_eq!(maps.gids, [line(0, 1002, 1), line(1, 200_000, 10)]);
        assert!(maps.has_uid(15) && !maps.has_uid(16) && maps.has_gid(10) && !maps.has_gid(11));
        assert!(!maps.is_single() && IdMaps::single(1, 1).is_single());
    }
}
