//! Unpacking a tar stream below a descriptor of a directory.
//!
//! The stream is not trusted, and neither is what stands in the directory already. Every entry is made from a descriptor of
//! its parent, which is opened component by component without following a symlink: `..`, absolute names and links, of the
//! stream or of the place, lead nowhere. What stands in the way of a file is replaced; a directory and something else never
//! take each other's place, as docker has it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::landing::Landing;

/// The most directories that one stream makes.
const DIRS_MAX: usize = 1 << 20;

/// Whose the files become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever unpacks; set-user-id bits go, since they would now be theirs.
    Ours,
    /// Root's of the container.
    Root,
    /// Whoever the stream says.
    Kept,
}

struct Unpacker<'l> {
    landing: &'l Landing,
    owner: Owner,
    /// What takes the place of the first component of every name.
    rename: Option<OsString>,
    /// The first component that is replaced; none where the stream holds what is in a directory.
    base: Option<OsString>,
    /// Directories that were made, whose modes and times are set last.
    made: Vec<(Vec<OsString>, Facts)>,
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    mode: u32,
    uid: u32,
    gid: u32,
    modified: i64,
}

/// Unpacks `stream` where `landing` says.
pub(crate) fn unpack(stream: impl Read, landing: &Landing, owner: Owner) -> io::Result<()> {
    let mut archive = Archive::new(stream);
    let mut unpacker = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let names = names(&entry.path()?)?;
        if unpacker.is_none() {
            let is_dir = entry.header().entry_type() == EntryType::Directory;
            unpacker = Some(Unpacker {
                landing,
                owner,
                rename: landing.choose(is_dir)?,
                base: names.first().cloned(),
                made: Vec::new(),
            });
        }
        if let Some(unpacker) = &mut unpacker {
            unpacker.entry(&mut entry, names)?;
        }
    }
    unpacker.map_or(Ok(()), Unpacker::finish)
}

/// The components of a name, none of which leads up.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => {
                let text = format!("{} leads out of the archive", path.display());
                return Err(io::Error::other(text));
            }
            _ => {}
        }
    }
    Ok(names)
}

impl Unpacker<'_> {
    /// Where an entry of the stream goes.
    fn place(&self, mut names: Vec<OsString>) -> io::Result<Vec<OsString>> {
        let Some(rename) = &self.rename else {
            return Ok(names);
        };
        match &self.base {
            None => names.insert(0, rename.clone()),
            Some(base) if names.first() == Some(base) => names[0].clone_from(rename),
            Some(_) => return Err(io::Error::other("the archive holds more than one entry")),
        }
        Ok(names)
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, names: Vec<OsString>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let names = self.place(names)?;
        let header = entry.header();
        let number = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let facts = Facts {
            mode: match self.owner {
                Owner::Ours => header.mode()? & 0o1777,
                _ => header.mode()? & 0o7777,
            },
            uid: number(header.uid()?)?,
            gid: number(header.gid()?)?,
            modified: i64::try_from(header.mtime()?).unwrap_or_default(),
        };
        let Some((name, above)) = names.split_last() else {
            // The directory itself, which is there and stays as it is.
            return Ok(());
        };
        let parent = self.parent(above)?;
        match kind {
            EntryType::Directory => self.dir(&parent, name, &names, facts),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&parent, name, entry, facts)
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                clear(&parent, name)?;
                rustix::fs::symlinkat(&target, &parent, name)?;
                self.give(&parent, name, facts)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                Ok(rustix::fs::utimensat(&parent, name, &times(facts), flags)?)
            }
            EntryType::Link => {
                let target = self::names(&entry.link_name()?.unwrap_or_default())?;
                let target = self.place(target)?;
                let Some((file, above)) = target.split_last() else {
                    return Err(Errno::ISDIR.into());
                };
                let from = self.parent(above)?;
                clear(&parent, name)?;
                Ok(rustix::fs::linkat(
                    &from,
                    file,
                    &parent,
                    name,
                    AtFlags::empty(),
                )?)
            }
            EntryType::Fifo => {
                clear(&parent, name)?;
                let mode = Mode::from_raw_mode(facts.mode);
                rustix::fs::mknodat(&parent, name, FileType::Fifo, mode, 0)?;
                rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())?;
                self.give(&parent, name, facts)
            }
            _ => Err(io::Error::other(format!("{} is a device", shown(&names)))),
        }
    }

    /// The directory that holds an entry; what is missing of it is made.
    fn parent(&self, above: &[OsString]) -> io::Result<OwnedFd> {
        let mut dir = self.landing.dir.try_clone()?;
        for (depth, name) in above.iter().enumerate() {
            dir = match open_dir(&dir, name) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755))?;
                    open_dir(&dir, name)?
                }
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(cannot_overwrite(&above[..=depth], "directory"));
                }
                opened => opened?,
            };
        }
        Ok(dir)
    }

    fn dir(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        names: &[OsString],
        facts: Facts,
    ) -> io::Result<()> {
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Err(Errno::EXIST) => match kind(parent, name)? {
                Some(FileType::Directory) => Ok(()),
                _ => Err(cannot_overwrite(names, "directory")),
            },
            outcome => {
                outcome?;
                if self.made.len() >= DIRS_MAX {
                    return Err(io::Error::other(format!(
                        "more than {DIRS_MAX} directories"
                    )));
                }
                self.made.push((names.to_vec(), facts));
                Ok(())
            }
        }
    }

    fn file(
        &self,
        parent: &OwnedFd,
        name: &OsStr,
        data: &mut impl Read,
        facts: Facts,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let (new, old) = (OFlags::CREATE | OFlags::EXCL, OFlags::empty());
        let how = match clear(parent, name) {
            // Something is mounted there; its contents are replaced then.
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => old,
            outcome => outcome.map(|()| new)?,
        };
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(rustix::fs::openat(parent, name, flags | how, mode)?);
        if how == old {
            match file.metadata()?.is_file() {
                true => file.set_len(0)?,
                false => return Err(Errno::BUSY.into()),
            }
        }
        io::copy(data, &mut file)?;
        if how == new {
            self.give_opened(&file, facts)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(facts.mode))?;
        }
        Ok(rustix::fs::futimens(&file, &times(facts))?)
    }

    fn ids(&self, facts: Facts) -> Option<(Option<Uid>, Option<Gid>)> {
        let (uid, gid) = match self.owner {
            Owner::Ours => return None,
            Owner::Root => (0, 0),
            Owner::Kept => (facts.uid, facts.gid),
        };
        Some((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
    }

    fn give(&self, parent: &OwnedFd, name: &OsStr, facts: Facts) -> io::Result<()> {
        let Some((uid, gid)) = self.ids(facts) else {
            return Ok(());
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(parent, name, uid, gid, flags).map_err(|error| unowned(error, facts))
    }

    fn give_opened(&self, file: impl std::os::fd::AsFd, facts: Facts) -> io::Result<()> {
        let Some((uid, gid)) = self.ids(facts) else {
            return Ok(());
        };
        rustix::fs::fchown(file, uid, gid).map_err(|error| unowned(error, facts))
    }

    /// Inner directories before outer ones, so that no mode keeps us out.
    fn finish(mut self) -> io::Result<()> {
        while let Some((names, facts)) = self.made.pop() {
            let dir = self.parent(&names)?;
            self.give_opened(&dir, facts)?;
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(facts.mode))?;
            rustix::fs::futimens(&dir, &times(facts))?;
        }
        Ok(())
    }
}

fn open_dir(dir: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

fn kind(parent: &OwnedFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes what stands in the place of an entry that is no directory.
fn clear(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) if kind(parent, name)? == Some(FileType::Directory) => {
            let name = Path::new(name).display();
            Err(io::Error::other(format!(
                "cannot overwrite directory {name} with non-directory"
            )))
        }
        Err(error) => Err(error.into()),
    }
}

fn cannot_overwrite(names: &[OsString], with: &str) -> io::Error {
    io::Error::other(format!(
        "cannot overwrite non-directory {} with {with}",
        shown(names)
    ))
}

fn unowned(error: Errno, facts: Facts) -> io::Error {
    match error {
        Errno::INVAL => io::Error::other(format!(
            "user {} or group {} does not exist in the container",
            facts.uid, facts.gid
        )),
        error => error.into(),
    }
}

fn shown(names: &[OsString]) -> String {
    names.iter().collect::<PathBuf>().display().to_string()
}

fn times(facts: Facts) -> Timestamps {
    let modified = Timespec {
        tv_sec: facts.modified,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: modified,
        last_modification: modified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inroot::InRoot;
    use std::os::unix::fs::symlink;

    /// An entry as an attacker writes it: the names go in as they are.
    fn entry(kind: EntryType, name: &str, link: &str, data: &str) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(data.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    /// A root with `into`, and beside it `outside`, to which links in `into` lead.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for dir in ["into/dir", "outside"] {
            std::fs::create_dir_all(root.path().join(dir)).expect("made");
        }
        std::fs::write(root.path().join("outside/file"), "host").expect("written");
        symlink("../outside", root.path().join("into/out")).expect("linked");
        symlink("../outside/file", root.path().join("into/file")).expect("linked");
        root
    }

    fn unpacked(root: &Path, to: &str, entries: &[Vec<u8>]) -> Result<(), String> {
        let place = InRoot::open(root).expect("it opens");
        let landing = Landing::find(&place, Path::new(to)).expect("a place");
        let stream = entries.concat();
        unpack(stream.as_slice(), &landing, Owner::Ours).map_err(|error| error.to_string())
    }

    const FILE: EntryType = EntryType::Regular;
    const LINK: EntryType = EntryType::Link;
    const SYMLINK: EntryType = EntryType::Symlink;

    #[test]
    fn no_entry_leads_out() {
        let inner = entry(SYMLINK, "inner", "../outside", "");
        let cases = [
            (
                vec![entry(FILE, "../outside/new", "", "x")],
                "../outside/new leads out of the archive",
            ),
            (
                vec![entry(FILE, "dir/../../outside/new", "", "x")],
                "dir/../../outside/new leads out of the archive",
            ),
            (
                vec![entry(FILE, "out/new", "", "x")],
                "cannot overwrite non-directory out with directory",
            ),
            (
                vec![entry(FILE, "out/file", "", "x")],
                "cannot overwrite non-directory out with directory",
            ),
            (
                vec![inner.clone(), entry(FILE, "inner/new", "", "x")],
                "cannot overwrite non-directory inner with directory",
            ),
            (
                vec![entry(EntryType::Directory, "out", "", "")],
                "cannot overwrite non-directory out with directory",
            ),
            (
                vec![entry(LINK, "new", "../outside/file", "")],
                "../outside/file leads out of the archive",
            ),
            (
                vec![entry(LINK, "new", "out/file", "")],
                "cannot overwrite non-directory out with directory",
            ),
            (
                vec![entry(EntryType::Char, "new", "", "")],
                "new is a device",
            ),
            (
                vec![entry(FILE, "dir", "", "x")],
                "cannot overwrite directory dir with non-directory",
            ),
        ];
        for (entries, why) in cases {
            let root = root();
            // The control: by its path it is reached.
            assert!(root.path().join("into/out/file").exists());
            assert_eq!(
                unpacked(root.path(), "/into", &entries),
                Err(why.to_owned())
            );
            let outside: Vec<_> = std::fs::read_dir(root.path().join("outside"))
                .expect("read")
                .collect();
            assert_eq!(outside.len(), 1, "{why}");
        }
    }

    #[test]
    fn what_stands_there_is_replaced_and_never_written_through() {
        let root = root();
        let entries = [
            entry(FILE, "file", "", "mine"),
            entry(FILE, "/absolute/file", "", "deep"),
            entry(LINK, "same", "file", ""),
            entry(SYMLINK, "out", "elsewhere", ""),
            entry(EntryType::Fifo, "same", "", ""),
        ];
        assert_eq!(unpacked(root.path(), "/into", &entries), Ok(()));
        let at = |name: &str| root.path().join(name);
        let text = |name: &str| std::fs::read_to_string(at(name)).expect("read");
        assert_eq!(
            (text("outside/file"), text("into/file")),
            ("host".into(), "mine".into())
        );
        assert_eq!(text("into/absolute/file"), "deep");
        assert_eq!(
            std::fs::read_link(at("into/out")).expect("a link"),
            Path::new("elsewhere")
        );
        let meta = std::fs::symlink_metadata(at("into/file")).expect("there");
        let mode = std::os::unix::fs::MetadataExt::mode(&meta) & 0o7777;
        assert!(
            meta.is_file() && mode == 0o755,
            "no set-user-id file becomes ours"
        );
    }

    #[test]
    fn one_entry_gets_a_name_and_no_second() {
        let root = root();
        let [one, two] = ["a", "b"].map(|name| entry(FILE, name, "", name));
        assert_eq!(
            unpacked(root.path(), "/into/new", std::slice::from_ref(&one)),
            Ok(())
        );
        let text = std::fs::read_to_string(root.path().join("into/new"));
        assert_eq!(text.expect("read"), "a");
        let why = "the archive holds more than one entry";
        assert_eq!(
            unpacked(root.path(), "/into/other", &[one, two]),
            Err(why.to_owned())
        );
    }
}
