//! `cp`: files between a container and the host, in both directions, whether it runs or not.
//!
//! # Model
//!
//! A hidden process of ours is inside: for a container that runs it joins its namespaces and sees what its first process
//! sees, volumes included; for one that does not it mounts the root and the volumes anew. It packs a tar stream to its
//! stdout or unpacks one from its stdin. The other half, outside, unpacks or packs. So neither side ever resolves a path of
//! the other's, whatever links a container makes meanwhile (CVE-2018-15664, CVE-2019-14271), and inside the kernel
//! resolves every path in the container's root.

mod landing;
mod pack;
mod unpack;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::container::{Container, Containers};
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::inroot::InRoot;
use crate::probe::first_line;
use crate::record::Notes;
use crate::start::COPY;
use crate::{join, userns, view};

use landing::Landing;
use pack::Packer;
use unpack::Owner;

/// How files are copied.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Whether owners are kept on the way into a container, instead of root's there.
    pub archive: bool,
    /// Whether a source that is a link is followed.
    pub follow: bool,
    /// The repository that no copy may write to.
    pub repo: PathBuf,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

/// The host's side of a copy.
#[derive(Debug)]
pub enum Outside<'p> {
    /// A file or directory, absolute. How the path ends counts: `/`, `/.`.
    Path(&'p Path),
    /// A tar stream.
    Stream(OwnedFd),
}

/// What the hidden process is told.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    root: PathBuf,
    run_dir: PathBuf,
    id: String,
    repo: PathBuf,
    helpers: IdHelpers,
    path: PathBuf,
    task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
enum Task {
    Pack { follow: bool },
    Unpack { archive: bool, into_dir: bool },
}

impl Container {
    /// Copies `inside`, a path of the container, to the host.
    pub fn copy_out(&self, inside: &Path, to: Outside<'_>, options: &CopyOptions) -> Result<()> {
        let task = Task::Pack {
            follow: options.follow,
        };
        let (to, out) = match to {
            Outside::Stream(out) => (None, Stdio::from(out)),
            Outside::Path(path) => (Some(path), Stdio::piped()),
        };
        let mut child = self.start_copy(inside, task, options, Stdio::null(), out)?;
        let copied = match (to, child.stdout.take()) {
            (Some(path), Some(stream)) => InRoot::open(Path::new("/")).and_then(|root| {
                Landing::find(&root, path)
                    .and_then(|landing| {
                        unpack::unpack(BufReader::new(stream), &landing, Owner::Ours)
                    })
                    .map_err(Error::io("copy to", path))
            }),
            _ => Ok(()),
        };
        self.end_copy(child, inside, copied)
    }

    /// Copies a file of the host, or a tar stream, to `inside`, a path of the container.
    pub fn copy_in(&self, from: Outside<'_>, inside: &Path, options: &CopyOptions) -> Result<()> {
        let task = Task::Unpack {
            archive: options.archive,
            into_dir: matches!(from, Outside::Stream(_)),
        };
        let (path, stdin) = match from {
            Outside::Stream(stream) => (None, Stdio::from(stream)),
            Outside::Path(path) => (Some(path), Stdio::piped()),
        };
        // Found before anything is started: what is not there is not copied.
        let found = path
            .map(|path| {
                let root = InRoot::open(Path::new("/"))?;
                landing::source(&root, path, options.follow).map_err(Error::io("copy", path))
            })
            .transpose()?;
        let mut child = self.start_copy(inside, task, options, stdin, Stdio::null())?;
        let copied = match (path, found, child.stdin.take()) {
            (Some(path), Some((tree, base)), Some(stream)) => {
                let mut stream = BufWriter::new(stream);
                Packer::pack(&mut stream, &tree, &base)
                    .and_then(|()| stream.flush())
                    .map_err(Error::io("copy", path))
            }
            _ => Ok(()),
        };
        self.end_copy(child, inside, copied)
    }

    fn start_copy(
        &self,
        inside: &Path,
        task: Task,
        options: &CopyOptions,
        stdin: Stdio,
        stdout: Stdio,
    ) -> Result<Child> {
        let request = Request {
            root: self.containers.root().to_owned(),
            run_dir: self.containers.run_dir().to_owned(),
            id: self.record.id.clone(),
            repo: options.repo.clone(),
            helpers: options.helpers.clone(),
            path: inside.to_owned(),
            task,
        };
        let request = serde_json::to_string(&request).map_err(|source| Error::Document {
            path: inside.to_owned(),
            source,
        })?;
        Command::new("/proc/self/exe")
            .arg(COPY)
            .arg(request)
            .env_clear()
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::os("start a process in the container"))
    }

    /// Waits for the hidden process. What it says counts before what it made our side say.
    fn end_copy(&self, mut child: Child, inside: &Path, copied: Result<()>) -> Result<()> {
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            stderr
                .take(4096)
                .read_to_string(&mut said)
                .map_err(Error::os("listen to a process"))?;
        }
        let status = child.wait().map_err(Error::os("wait for a process"))?;
        let broken = |error: &Error| matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe);
        match copied {
            Err(error) if status.success() || (!broken(&error) && said.contains("Broken pipe")) => {
                Err(error)
            }
            copied if status.success() => copied,
            _ => Err(Error::Child {
                verb: "copy",
                path: PathBuf::from(format!("{}:{}", self.record.name, inside.display())),
                why: first_line(&said),
            }),
        }
    }

    /// The root that the container sees, from within its namespaces, which this process enters. While the lock is held that
    /// comes with the root of a container that does not run, nobody starts or removes it.
    fn enter_root(&self, request: &Request) -> Result<(InRoot, Option<File>)> {
        let lock = self.containers.lock_container(&self.record.id)?;
        if !self.state()?.is_live() {
            userns::enter(&self.record.maps, &request.helpers, UnshareFlags::NEWNS)?;
            let root = view::mount(self, &request.root, &request.repo)?;
            return Ok((root, Some(lock)));
        }
        drop(lock);
        join::join(self, "copy files of")?;
        let notes = Notes::read(&self.dir)?.unwrap_or_default();
        let not_running = || Error::WrongState {
            verb: "copy files of",
            id: self.record.id.clone(),
            state: "not running yet",
        };
        let init = notes
            .init
            .filter(|init| init.alive())
            .ok_or_else(not_running)?;
        let root = InRoot::open_as(
            &PathBuf::from(format!("/proc/{}/root", init.pid)),
            Path::new("/"),
        )?;
        // The descriptor is of whoever has the pid now; only if that is still the same is it the container's.
        match init.alive() {
            true => Ok((root, None)),
            false => Err(not_running()),
        }
    }
}

/// The fresh process behind both directions.
pub(crate) fn copy_inside(request: &str) -> Result<()> {
    let request: Request = serde_json::from_str(request).map_err(|source| Error::Document {
        path: "the arguments of a hidden process".into(),
        source,
    })?;
    let containers = Containers::open(&request.root, &request.run_dir);
    let container = containers
        .load(&request.id)?
        .ok_or_else(|| Error::NoContainer {
            name: request.id.clone(),
        })?;
    let (root, _lock) = container.enter_root(&request)?;
    match request.task {
        Task::Pack { follow } => {
            let failed = || Error::io::<io::Error>("read", &request.path);
            let (tree, base) = landing::source(&root, &request.path, follow).map_err(failed())?;
            let stdout =
                rustix::io::dup(rustix::stdio::stdout()).map_err(Error::os("open stdout"))?;
            let mut out = BufWriter::new(File::from(stdout));
            Packer::pack(&mut out, &tree, &base)
                .and_then(|()| out.flush())
                .map_err(failed())
        }
        Task::Unpack { archive, into_dir } => {
            let failed = || Error::io::<io::Error>("write", &request.path);
            let landing = Landing::find(&root, &request.path).map_err(failed())?;
            if into_dir {
                landing.must_be_dir().map_err(failed())?;
            }
            let owner = if archive { Owner::Kept } else { Owner::Root };
            let stdin = rustix::io::dup(rustix::stdio::stdin()).map_err(Error::os("open stdin"))?;
            unpack::unpack(BufReader::new(File::from(stdin)), &landing, owner).map_err(failed())
        }
    }
}
