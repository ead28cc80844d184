//! The whole of a pull: resolve, fetch what is missing, commit.
//!
//! The repository's lock is held shared throughout, so that no gc takes a layer away between its import and the commit
//! that keeps it. Layers are independent: each is fetched by one thread and stands in the store by itself, so that a
//! pull that fails loses only the layers it was at. The image's ref is written last, and only when every layer is there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use store::oci::{Descriptor, Platform};
use store::{
    Broken, DiffId, Digest, Image, ImageName, ImportedLayer, Layer, LayerLimits, LockWait, Repo,
};

use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::keep::has_blob;
use crate::layer::{Fetch, Fetched};
use crate::limits::JOBS_MAX;
use crate::lock::lock_shared;
use crate::names::Names;
use crate::policy;
use crate::resolve::{Resolved, choose};
use crate::source::Source;
use crate::transport::{SourceOptions, Transport, open};

/// How many of the entries that layers lost are named.
const LEFT_OUT_NAMED_MAX: usize = 20;

/// How to pull.
#[derive(Clone)]
pub struct PullOptions<'a> {
    /// The platform to choose from an index.
    pub platform: Platform,
    /// The name to keep the image under instead of its own.
    pub name: Option<String>,
    /// How many layers to fetch at a time.
    pub jobs: usize,
    /// Whether to keep the layers' blobs as they came, so that the image can leave again unchanged.
    pub keep_blobs: bool,
    /// How to reach the source.
    pub source: SourceOptions,
    /// How long to wait for the repository's lock; `None` waits for ever.
    pub lock_timeout: Option<Duration>,
    /// What a layer may hold.
    pub limits: LayerLimits,
    /// Whom to tell.
    pub progress: Progress<'a>,
}

impl fmt::Debug for PullOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullOptions")
            .field("platform", &self.platform)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a pull did.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The image as it is stored.
    pub image: Image,
    /// The familiar name beside its own.
    pub alias: Option<ImageName>,
    /// The digest that the source resolved the name to: the index's if it was one.
    pub digest: Digest,
    /// How many layers the image has.
    pub layers: u64,
    /// How many of them were fetched.
    pub fetched: u64,
    /// The size of those as transferred, in bytes.
    pub fetched_bytes: u64,
    /// How many objects they brought.
    pub new_objects: u64,
    /// The size of those in bytes.
    pub new_bytes: u64,
    /// What the store cannot hold.
    pub left_out: LeftOut,
}

/// Entries of the layers that are not stored, since the store cannot hold them.
#[derive(Debug, Clone, Default)]
pub struct LeftOut {
    /// How many there were.
    pub total: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl LeftOut {
    /// Says what `place` could not keep; nothing where it kept all.
    pub fn words(&self, place: &str) -> Option<String> {
        if self.total == 0 {
            return None;
        }
        let names = self.first.join(", ");
        let more = match self.total > self.first.len() as u64 {
            true => ", …",
            false => "",
        };
        Some(format!(
            "left out {} entries that {place} cannot hold: {names}{more}",
            self.total
        ))
    }

    pub(crate) fn add(&mut self, names: &[String]) {
        self.total += names.len() as u64;
        let room = LEFT_OUT_NAMED_MAX.saturating_sub(self.first.len());
        self.first.extend(names.iter().take(room).cloned());
    }
}

/// Brings the image of `source` into `repo`.
pub fn pull(repo: &Repo, source: &Source, options: &PullOptions<'_>) -> Result<Pulled> {
    pull_inner(repo, source, options).map_err(|error| Error::Source {
        verb: "pull",
        name: source.to_string(),
        source: Box::new(error),
    })
}

fn pull_inner(repo: &Repo, source: &Source, options: &PullOptions<'_>) -> Result<Pulled> {
    let progress = options.progress;
    let _lock = lock_shared(repo, options.lock_timeout, progress)?;
    let transport = open(source, &options.source, progress)?;
    let chosen = choose(transport.as_ref(), &options.platform)?;
    policy::hold(
        &options.source,
        source,
        transport.as_ref(),
        &chosen.digests(),
    )?;
    // Of several pulls of one image one works; the others then find all of it.
    let image = chosen.manifest.digest();
    let what = format!("image {image}");
    let fetching = |holder: &str| {
        progress(Event::BeingFetched {
            what: &what,
            holder,
        });
    };
    let wait = LockWait {
        timeout: options.lock_timeout,
        waiting: &fetching,
    };
    let _turn = repo.lock_fetch(&image, &wait)?;
    let known = store::known_config(repo, &chosen.manifest.config.digest);
    let resolved = chosen.resolve(transport.as_ref(), &options.platform, known, progress)?;
    let names = match &options.name {
        Some(name) => Names::verbatim(name)?,
        None => Names::of(source, resolved.name.as_deref())?,
    };
    if resolved.other_platform {
        let text = format!(
            "the image is for {}, not for {}",
            resolved.config.platform, options.platform
        );
        progress(Event::Warning(&text));
    }
    let plan = Plan::new(repo, &resolved, options)?;
    progress(Event::Resolved {
        name: &names.name,
        digest: resolved.digest,
        layers: resolved.config.diff_ids.len() as u64,
        missing: plan.missing.len() as u64,
        bytes: plan.missing.iter().map(|(blob, _)| blob.size).sum(),
    });
    let fetched = fetch_all(repo, transport.as_ref(), &plan.missing, options, None)?;
    commit(repo, names, resolved, plan, &fetched)
}

/// Which layers are here and which are not.
struct Plan {
    known: HashMap<DiffId, Layer>,
    missing: Vec<(Descriptor, DiffId)>,
}

impl Plan {
    fn new(repo: &Repo, resolved: &Resolved, options: &PullOptions<'_>) -> Result<Self> {
        let (mut known, mut missing) = (HashMap::new(), Vec::new());
        let mut seen = HashSet::new();
        for (blob, diff_id) in resolved
            .manifest
            .layers
            .iter()
            .zip(&resolved.config.diff_ids)
        {
            if !seen.insert(*diff_id) {
                continue;
            }
            let known_layer = store::known_layer(repo, diff_id)?;
            let complete = !options.keep_blobs || has_blob(repo, blob, diff_id)?;
            match known_layer.filter(|_| complete) {
                Some(layer) => {
                    (options.progress)(Event::LayerKnown {
                        digest: blob.digest,
                    });
                    known.insert(*diff_id, layer);
                }
                None => missing.push((blob.clone(), *diff_id)),
            }
        }
        // the longest first, so that no thread is left with it at the end
        missing.sort_by_key(|(blob, _)| std::cmp::Reverse(blob.size));
        Ok(Self { known, missing })
    }
}

/// Fetches the missing layers, several at a time; the first failure stops the others.
pub(crate) fn fetch_all(
    repo: &Repo,
    transport: &dyn Transport,
    missing: &[(Descriptor, DiffId)],
    options: &PullOptions<'_>,
    mend: Option<&Broken>,
) -> Result<Vec<Fetched>> {
    let (stop, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let fetch = Fetch {
        repo,
        transport,
        limits: &options.limits,
        lock_timeout: options.lock_timeout,
        progress: options.progress,
        keep_blobs: options.keep_blobs,
        mend,
        stop: &stop,
    };
    let outcome = Mutex::new((Vec::new(), None));
    let work = || {
        while let Some((blob, diff_id)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let result = fetch.layer(blob, *diff_id);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(layer) => outcome.0.push(layer),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    // one that stopped because of another says nothing
                    if outcome.1.is_none() && !matches!(error, Error::Stopped) {
                        outcome.1 = Some(error);
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..options.jobs.clamp(1, JOBS_MAX).min(missing.len()) {
            scope.spawn(work);
        }
        work();
    });
    match outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
        (_, Some(error)) => Err(error),
        (layers, None) => Ok(layers),
    }
}

fn commit(
    repo: &Repo,
    names: Names,
    resolved: Resolved,
    plan: Plan,
    fetched: &[Fetched],
) -> Result<Pulled> {
    let mut layers = plan.known;
    layers.extend(
        fetched
            .iter()
            .map(|fetched| (fetched.layer().diff_id, fetched.layer().clone())),
    );
    let imported: Vec<&ImportedLayer> = fetched
        .iter()
        .filter_map(|fetched| match fetched {
            Fetched::Imported(imported) => Some(imported),
            Fetched::Known(_) => None,
        })
        .collect();
    let is_imported = |diff_id| imported.iter().any(|one| one.layer.diff_id == diff_id);
    let fetched_bytes = plan
        .missing
        .iter()
        .filter(|(_, diff_id)| is_imported(*diff_id));
    let fetched_bytes = fetched_bytes.map(|(blob, _)| blob.size).sum();
    let in_order: Vec<Layer> = resolved
        .config
        .diff_ids
        .iter()
        .filter_map(|diff_id| layers.get(diff_id).cloned())
        .collect();
    let mut left_out = LeftOut::default();
    in_order
        .iter()
        .for_each(|layer| left_out.add(&layer.left_out));
    let image = store::commit_image(
        repo,
        &names.name,
        names.alias.as_ref(),
        &resolved.manifest,
        &resolved.config,
        &in_order,
    )?;
    Ok(Pulled {
        image,
        alias: names.alias,
        digest: resolved.digest,
        layers: in_order.len() as u64,
        fetched: imported.len() as u64,
        fetched_bytes,
        new_objects: imported.iter().map(|layer| layer.written.objects).sum(),
        new_bytes: imported.iter().map(|layer| layer.written.bytes).sum(),
        left_out,
    })
}
