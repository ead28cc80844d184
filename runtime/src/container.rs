//! The containers of one root.
//!
//! `ROOT/containers/<id>/` holds `record.json`, `state.json` and the overlay's `upper` and `work`; `RUN_DIR/containers/<id>/`
//! is the bundle, which means nothing after a reboot. Both are 0700. `ROOT/containers/.lock` is held only while a name is
//! taken, so that two creates never take the same.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::document;
use crate::error::{Error, Result};
use crate::process;
use crate::record::{self, RECORD, Record, State};

/// The containers of a root.
#[derive(Debug, Clone)]
pub struct Containers {
    root: PathBuf,
    run_dir: PathBuf,
}

/// One container.
#[derive(Debug, Clone)]
pub struct Container {
    /// What it is.
    pub record: Record,
    pub(crate) dir: PathBuf,
    pub(crate) bundle: PathBuf,
    pub(crate) containers: Containers,
}

impl Containers {
    /// The containers under `root`, whose live state is under `run_dir`. Makes nothing.
    pub fn open(root: &Path, run_dir: &Path) -> Self {
        Self {
            root: root.to_owned(),
            run_dir: run_dir.to_owned(),
        }
    }

    /// Every container with its state, the youngest first. A directory without a whole record (a create that was cut off,
    /// or one of a container that was not to outlive a power cut) is none.
    pub fn list(&self) -> Result<Vec<(Container, State)>> {
        let mut found = Vec::new();
        for id in self.ids()? {
            if let Some(container) = self.load(&id)? {
                let state = container.state()?;
                found.push((container, state));
            }
        }
        found.sort_by(|(a, _), (b, _)| {
            b.record
                .created
                .cmp(&a.record.created)
                .then(a.record.id.cmp(&b.record.id))
        });
        Ok(found)
    }

    /// The container of this name, id, or unambiguous start of an id.
    pub fn find(&self, text: &str) -> Result<Container> {
        let all = self.list()?;
        if let Some((container, _)) = all
            .iter()
            .find(|(c, _)| c.record.name == text || c.record.id == text)
        {
            return Ok(container.clone());
        }
        let matches: Vec<_> = all
            .iter()
            .filter(|(c, _)| !text.is_empty() && c.record.id.starts_with(text))
            .collect();
        match matches.as_slice() {
            [(container, _)] => Ok(container.clone()),
            [] => Err(Error::NoContainer {
                name: text.to_owned(),
            }),
            many => Err(Error::option(
                "container",
                text,
                format!("{} containers have an id that starts so", many.len()),
            )),
        }
    }

    /// Loads a container by its full id; `None` when there is none.
    pub(crate) fn load(&self, id: &str) -> Result<Option<Container>> {
        let dir = self.dir(id);
        let Some(record) = document::read_whole::<Record>(&dir.join(RECORD))? else {
            return Ok(None);
        };
        Ok(Some(Container {
            record,
            dir,
            bundle: self.bundle(id),
            containers: self.clone(),
        }))
    }

    /// Takes the lock under which names are taken; it is held while the file is open.
    pub(crate) fn lock(&self) -> Result<File> {
        let dir = self.root.join("containers");
        make_private(&dir)?;
        let path = dir.join(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok(file)
    }

    /// Takes the lock of one container, under which it is claimed by a supervisor or removed; it is held while the file is
    /// open.
    pub(crate) fn lock_container(&self, id: &str) -> Result<File> {
        let dir = self.dir(id);
        let open = File::open(&dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoContainer {
                name: id.to_owned(),
            },
            _ => Error::io("open", &dir)(error),
        })?;
        open.lock().map_err(Error::io("lock", &dir))?;
        Ok(open)
    }

    pub(crate) fn dir(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    pub(crate) fn bundle(&self, id: &str) -> PathBuf {
        self.run_dir.join("containers").join(id)
    }

    /// Where every supervisor mounts its container's root, in its own mount namespace: to everybody else it is empty.
    pub(crate) fn root_mount(&self) -> PathBuf {
        self.run_dir.join("rootfs")
    }

    /// Where libcontainer keeps its own state of one container, while that runs.
    pub(crate) fn libcontainer(&self, id: &str) -> PathBuf {
        self.run_dir.join("libcontainer").join(id)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let dir = self.root.join("containers");
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("read", &dir)(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(Error::io("read", &dir))?.file_name();
            ids.extend(name.into_string().ok().filter(|name| name.len() == 64));
        }
        Ok(ids)
    }
}

impl Container {
    /// What became of it, as far as the kernel agrees.
    pub fn state(&self) -> Result<State> {
        record::state(&self.dir)
    }

    /// Whether it was not removed meanwhile.
    pub(crate) fn is_there(&self) -> bool {
        self.dir.join(RECORD).exists()
    }

    /// What it runs, program first.
    pub fn command(&self) -> Vec<String> {
        process::args(&self.record.config, &self.record.settings).unwrap_or_default()
    }
}

/// Makes `dir` and what is missing above it, for its owner alone.
pub(crate) fn make_private(dir: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::io("make", dir))
}
