//! A bundle for one run of an image: no deployment, no unit; it goes with its end, or when the next command finds that
//! whoever had it is gone.
//!
//! The program may write to its root. Where the runtime is this program that is an overlay, which it discards; for any other
//! the root is a copy, so that nothing it does reaches the store.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use store::{CheckoutMode, CheckoutOptions, Durability};

use super::info::INFO;
use super::order::{Installer, Order};
use super::places::Places;
use super::put::put_file;
use super::run_in::missing_sources;
use super::stage::Root;
use super::world::discard;
use crate::container::make_private;
use crate::error::{Error, Result};
use crate::naming;

/// The file in a bundle that is locked while somebody has it.
const LOCK: &str = "lock";
/// What tells the runtime to forget what was written to the root.
const ROOT: &str = "org.berth.root";

/// A bundle that goes when it is dropped.
#[derive(Debug)]
pub struct OnceBundle {
    /// Where it is.
    pub dir: PathBuf,
    /// The container's name.
    pub container: String,
    /// What systemd-tmpfiles is to make before it runs, in a file of the bundle.
    pub tmpfiles: Option<PathBuf>,
    id: String,
    repo: PathBuf,
    _lock: File,
}

/// Makes the bundle, in which `command` runs, or what the image says when that is empty. The order's root is an image.
///
/// Directories of live state that the image binds and that are missing are made: there is no unit that would.
pub fn once(
    places: &Places,
    installer: &Installer,
    order: &Order<'_>,
    command: &[String],
) -> Result<OnceBundle> {
    let Root::Image(repo, image) = order.root else {
        let why = "only an image can be run once".to_owned();
        return Err(Error::Image { why });
    };
    let plan = order.plan(places, installer, 0, &super::install::new_uuid()?)?;
    places.make_own()?;
    let id = naming::new_id()?;
    let dir = places.all_once().join(format!("{}.{id}", order.name));
    make_private(&dir)?;
    let path = dir.join(LOCK);
    let lock = File::create(&path).map_err(Error::io("create", &path))?;
    lock.lock().map_err(Error::io("lock", &path))?;
    let mut bundle = OnceBundle {
        container: format!("{}-{}", order.name, &id[..12]),
        repo: repo.path().to_owned(),
        tmpfiles: None,
        dir,
        id,
        _lock: lock,
    };
    let info = order.info(&plan, installer.now, &bundle.id, 0);
    info.write(&bundle.dir.join(INFO))?;
    store::pin(repo, &bundle.id, image, Durability::ThisBoot)?;
    let options = CheckoutOptions {
        mode: match order.runtime.is_ours {
            true => CheckoutMode::Link,
            false => CheckoutMode::Reflink,
        },
        ..CheckoutOptions::default()
    };
    store::checkout(repo, image.root, &bundle.dir.join("rootfs"), &options)?;
    let path = bundle.dir.join("config.json");
    let text = plan.rendered.config.as_deref().unwrap_or("{}");
    let mut config: Value = serde_json::from_str(text).map_err(|source| Error::Document {
        path: path.clone(),
        source,
    })?;
    adapt(&mut config, command);
    for source in missing_sources(&config, &installer.run_directory) {
        std::fs::create_dir_all(&source).map_err(Error::io("make", &source))?;
    }
    put_file(&path, config.to_string().as_bytes(), 0o600)?;
    if let Some(text) = &plan.rendered.tmpfiles {
        let path = bundle.dir.join("tmpfiles.conf");
        put_file(&path, text.as_bytes(), 0o600)?;
        bundle.tmpfiles = Some(path);
    }
    Ok(bundle)
}

/// The configuration with a root whose changes are discarded, and with another command.
fn adapt(config: &mut Value, command: &[String]) {
    let Some(fields) = config.as_object_mut() else {
        return;
    };
    let annotations = fields.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(ROOT.to_owned(), "discard".into());
    }
    let process = fields.entry("process").or_insert_with(|| json!({}));
    if let Some(process) = process.as_object_mut().filter(|_| !command.is_empty()) {
        process.insert("args".to_owned(), json!(command));
    }
}

impl Drop for OnceBundle {
    fn drop(&mut self) {
        // What cannot be removed is found by the next command.
        let _ = discard(&self.dir, &self.id, &self.repo);
    }
}

/// Whether nobody has the bundle any more.
pub(super) fn is_abandoned(dir: &Path) -> bool {
    match File::open(dir.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => true,
    }
}
