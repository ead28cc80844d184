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
    id: String,
    repo: PathBuf,
    _lock: File,
}

/// Makes the bundle. The order's root is an image.
pub fn once(places: &Places, installer: &Installer, order: &Order<'_>) -> Result<OnceBundle> {
    let Root::Image(repo, image) = order.root else {
        let why = "only an image can be run once".to_owned();
        return Err(Error::Image { why });
    };
    let plan = order.plan(places, installer, 0, &super::install::new_uuid()?)?;
    let id = naming::new_id()?;
    let dir = places.all_once().join(format!("{}.{id}", order.name));
    make_private(&dir)?;
    let path = dir.join(LOCK);
    let lock = File::create(&path).map_err(Error::io("create", &path))?;
    lock.lock().map_err(Error::io("lock", &path))?;
    let bundle = OnceBundle {
        container: format!("{}-{}", order.name, &id[..12]),
        repo: repo.path().to_owned(),
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
    let text = discarding(text).map_err(|source| Error::Document {
        path: path.clone(),
        source,
    })?;
    put_file(&path, text.as_bytes(), 0o600)?;
    Ok(bundle)
}

/// The configuration with a root whose changes are discarded.
fn discarding(config: &str) -> serde_json::Result<String> {
    let mut config: Value = serde_json::from_str(config)?;
    if let Some(config) = config.as_object_mut() {
        let annotations = config.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(ROOT.to_owned(), "discard".into());
        }
    }
    serde_json::to_string(&config)
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
