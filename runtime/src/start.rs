//! Starting a container: this process becomes its supervisor.
//!
//! libcontainer must not be entered by a process that has, or had, more than one thread, and whoever created the container
//! may have pulled and checked out with many. So the process executes this binary anew with one of the hidden arguments
//! below and an empty environment; what the new program must know lies in `start.json` in the bundle. The pid stays, and
//! with it the terminal, the process group and the parent that waits.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::container::{Container, make_private};
use crate::document;
use crate::error::{Error, Result};
use crate::ids::IdHelpers;
use crate::{changes, copy, probe, remove, supervise, volumes};

/// Hidden argument: outside, about to enter the container's user namespace.
pub(crate) const SUPERVISE: &str = "__supervise";
/// Hidden argument: inside it, running from a sealed copy.
pub(crate) const INSIDE: &str = "__inside";
/// Hidden argument: remove a container's files from within its user namespace.
pub(crate) const REMOVE: &str = "__remove";
/// Hidden argument: remove a volume's files from within a user namespace that has all ids of the user.
pub(crate) const REMOVE_VOLUME: &str = "__remove-volume";
/// Hidden argument: one side of a copy, in a container.
pub(crate) const COPY: &str = "__copy";
/// Hidden argument: tell what a container has changed.
pub(crate) const CHANGES: &str = "__changes";
/// Hidden argument: try out what this host can do.
pub(crate) const PROBE: &str = "__probe";

/// What a supervisor must know besides the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartOptions {
    /// The repository that the image is pinned in.
    pub repo: PathBuf,
    /// The programs that map ranges of ids.
    pub helpers: IdHelpers,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) root: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) id: String,
    pub(crate) options: StartOptions,
}

impl Start {
    pub(crate) fn read(bundle: &Path) -> Result<Self> {
        document::read(&bundle.join("start.json"))
    }
}

impl Container {
    /// Turns this process into the supervisor of the container, which runs in its foreground and whose exit code it ends
    /// with. Returns only on failure, and then the container is as it was, or gone if it was to be removed at its end.
    pub fn run(&self, options: &StartOptions) -> Result<Infallible> {
        let outcome = self.exec_supervisor(options);
        if self.record.settings.life.remove {
            let repo = store::Repo::open(&options.repo)?;
            self.remove_files(true)?;
            store::unpin(&repo, &self.record.id)?;
        }
        outcome
    }

    fn exec_supervisor(&self, options: &StartOptions) -> Result<Infallible> {
        let state = self.state()?;
        if state.is_live() {
            return Err(Error::WrongState {
                verb: "start",
                id: self.record.id.clone(),
                state: state.name(),
            });
        }
        make_private(&self.bundle)?;
        let start = Start {
            root: self.containers.root().to_owned(),
            run_dir: self.containers.run_dir().to_owned(),
            id: self.record.id.clone(),
            options: options.clone(),
        };
        document::write(&self.bundle.join("start.json"), &start)?;
        let source = Command::new("/proc/self/exe")
            .arg0("berth")
            .arg(SUPERVISE)
            .arg(&self.bundle)
            .env_clear()
            .exec();
        Err(Error::Os {
            op: "start the supervisor",
            source,
        })
    }
}

/// Does what a hidden argument asks for, when `args` (without the program's name) starts with one. To be asked first of
/// all in `main`, before anything could start a thread. Gives the exit code of the process.
pub fn dispatch(args: &[OsString]) -> Option<Result<u8>> {
    let (verb, rest) = args.split_first()?;
    let rest: Vec<&OsStr> = rest.iter().map(OsString::as_os_str).collect();
    match (verb.to_str()?, rest.as_slice()) {
        (SUPERVISE, [bundle]) => Some(supervise::outside(Path::new(bundle))),
        (INSIDE, [bundle]) => Some(supervise::inside(Path::new(bundle))),
        (REMOVE, [root, run_dir, id, volumes, helpers]) => {
            Some(remove_inside([root, run_dir, id, volumes, helpers]).map(|()| 0))
        }
        (COPY, [request]) => Some(copy::copy_inside(&request.to_string_lossy()).map(|()| 0)),
        (CHANGES, [root, run_dir, id, helpers]) => Some(
            parse_helpers(helpers)
                .and_then(|helpers| {
                    let (root, run_dir) = (Path::new(root), Path::new(run_dir));
                    changes::changes_inside(root, run_dir, &id.to_string_lossy(), &helpers)
                })
                .map(|()| 0),
        ),
        (REMOVE_VOLUME, [path, helpers]) => Some(
            parse_helpers(helpers)
                .and_then(|helpers| volumes::remove_volume_inside(Path::new(path), &helpers))
                .map(|()| 0),
        ),
        (PROBE, [name, dir, helpers]) => Some(
            probe::probe(
                &name.to_string_lossy(),
                Path::new(dir),
                &helpers.to_string_lossy(),
            )
            .map(|()| 0),
        ),
        _ => None,
    }
}

fn remove_inside([root, run_dir, id, volumes, helpers]: [&OsStr; 5]) -> Result<()> {
    let helpers = parse_helpers(helpers)?;
    remove::remove_inside(
        Path::new(root),
        Path::new(run_dir),
        &id.to_string_lossy(),
        volumes == "volumes",
        &helpers,
    )
}

pub(crate) fn parse_helpers(text: &OsStr) -> Result<IdHelpers> {
    serde_json::from_str(&text.to_string_lossy()).map_err(|source| Error::Document {
        path: "the arguments of a hidden process".into(),
        source,
    })
}
