//! File systems in memory: those that were asked for, and those that a read-only root needs.
//!
//! One that starts with files of the image is mounted beside the root, filled, and bound into the container; the
//! others are mounted where they belong. Without a mode of its own each has that of the directory that it covers.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::container::make_private;
use crate::copyup;
use crate::error::{Error, Result};
use crate::inroot::InRoot;
use crate::protect::Bind;
use crate::record::Record;
use crate::volume::Tmpfs;

/// The mode where the image has no directory.
const MODE_DEFAULT: u32 = 0o1777;
/// Where every program writes, on a root that cannot be written to.
const SCRATCH: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

/// What is in memory of a container.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Mounted with everything else ([`crate::mounts`]).
    pub(crate) empty: Vec<Tmpfs>,
    /// Mounted here already, to be bound.
    pub(crate) filled: Vec<Bind>,
    /// Until when.
    pub(crate) staged: Staged,
}

/// Where file systems are mounted while the container is made. They are unmounted with this; the container keeps its own
/// mounts of them.
#[derive(Debug, Default)]
pub(crate) struct Staged(Vec<PathBuf>);

impl Drop for Staged {
    fn drop(&mut self) {
        for place in &self.0 {
            // A mount that stays goes with our mount namespace.
            rustix::mount::unmount(place, UnmountFlags::DETACH).ok();
        }
    }
}

/// Chooses the file systems and fills those that start with something. `bundle` is where they are mounted meanwhile.
pub(crate) fn prepare(record: &Record, root: &InRoot, bundle: &Path) -> Result<Memory> {
    let mut memory = Memory::default();
    for (number, mut tmpfs) in wanted(record).into_iter().enumerate() {
        let covered = root.dir_mode(&tmpfs.destination);
        if !tmpfs.has_mode() {
            let mode = covered.unwrap_or(MODE_DEFAULT);
            tmpfs.options.push(format!("mode={mode:o}"));
        }
        let is_filled = !tmpfs.no_copy
            && root.kind(&tmpfs.destination) == Some(FileType::Directory)
            && !copyup::names(&root.open_dir(&tmpfs.destination)?)
                .map_err(Error::io("read", &tmpfs.destination))?
                .is_empty();
        if is_filled {
            let target = bundle.join(format!("tmpfs-{number}"));
            memory.staged.0.push(target.clone());
            memory.filled.push(fill(&tmpfs, root, target)?);
        } else {
            memory.empty.push(tmpfs);
        }
    }
    Ok(memory)
}

fn wanted(record: &Record) -> Vec<Tmpfs> {
    let settings = &record.settings;
    let mut wanted = settings.tmpfs.clone();
    if settings.read_only && !settings.no_read_only_tmpfs {
        let volumes = record.mounts.iter().map(|mount| &mount.destination);
        let taken: Vec<&PathBuf> = volumes
            .chain(settings.tmpfs.iter().map(|tmpfs| &tmpfs.destination))
            .collect();
        let free = SCRATCH
            .iter()
            .map(PathBuf::from)
            .filter(|path| !taken.contains(&path));
        let scratch: Vec<Tmpfs> = free
            .map(|destination| Tmpfs {
                destination,
                options: vec!["exec".into()],
                no_copy: false,
            })
            .collect();
        wanted.extend(scratch);
    }
    wanted
}

fn fill(tmpfs: &Tmpfs, root: &InRoot, target: PathBuf) -> Result<Bind> {
    make_private(&target)?;
    let data: Vec<&str> = tmpfs
        .options
        .iter()
        .map(String::as_str)
        .filter(|option| option.contains('='))
        .collect();
    let data = CString::new(data.join(","))
        .map_err(|_| Error::option("--tmpfs", &data.join(","), "it holds a NUL"))?;
    rustix::mount::mount(
        "tmpfs",
        &target,
        "tmpfs",
        MountFlags::NODEV,
        Some(data.as_c_str()),
    )
    .map_err(Error::io(
        "mount a memory file system on",
        &tmpfs.destination,
    ))?;
    copyup::copy_up(root, &tmpfs.destination, &target)?;
    if let Some(mode) = tmpfs
        .options
        .iter()
        .rev()
        .find_map(|it| it.strip_prefix("mode="))
    {
        let mode = u32::from_str_radix(mode, 8).unwrap_or(MODE_DEFAULT);
        rustix::fs::chmod(&target, rustix::fs::Mode::from_raw_mode(mode))
            .map_err(Error::io("set the mode of", &tmpfs.destination))?;
    }
    let last = |on: &str, off: &str, default| {
        let chosen = tmpfs
            .options
            .iter()
            .rev()
            .find(|it| *it == on || *it == off);
        chosen.map_or(default, |word| word == on)
    };
    Ok(Bind {
        source: target,
        destination: tmpfs.destination.clone(),
        read_only: last("ro", "rw", false),
        no_exec: last("noexec", "exec", true),
        set_id: last("suid", "nosuid", false),
        managed: true,
    })
}
