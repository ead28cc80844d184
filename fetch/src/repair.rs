//! Mends an image: what is broken is fetched again from where the image is, and nothing else.
//!
//! What has to be fetched is what [`store::verify`] found. A layer is fetched whole, since nothing smaller has a digest;
//! of its objects only the broken ones are written, each into its own file. Then the image is committed once more, which
//! writes what was broken of its documents and its flattened tree, and verified once more.

use std::collections::HashSet;

use store::oci::{Descriptor, ImageConfig, Manifest};
use store::{Broken, DiffId, ImageName, Layer, Repo, VerifyOptions, VerifyReport};

use crate::error::{Error, Result};
use crate::lock::lock_shared;
use crate::policy;
use crate::pull::{PullOptions, fetch_all};
use crate::resolve::choose;
use crate::source::Source;
use crate::transport::{Transport, open};

/// What a repair did.
#[derive(Debug)]
pub struct Repaired {
    /// What was wrong.
    pub before: VerifyReport,
    /// What still is; the same as before when nothing was wrong.
    pub after: Option<VerifyReport>,
    /// Layers that were fetched.
    pub fetched: u64,
    /// Objects that were written, those that were missing included.
    pub objects: u64,
    /// Those of them that were there, but broken.
    pub mended: u64,
}

/// Verifies the image `name`, and mends it from `source`, which must have the very same image.
///
/// Takes the repository's lock itself. The platform and name of `options` do not matter.
pub fn repair(
    repo: &Repo,
    name: &ImageName,
    source: &Source,
    options: &PullOptions<'_>,
    verify: &VerifyOptions<'_>,
) -> Result<Repaired> {
    let _lock = lock_shared(repo, options.lock_timeout, options.progress)?;
    let before = store::verify(repo, name, verify)?;
    let mut repaired = Repaired {
        before,
        after: None,
        fetched: 0,
        objects: 0,
        mended: 0,
    };
    if repaired.before.problems.is_empty() {
        return Ok(repaired);
    }
    mend(repo, name, source, options, &mut repaired).map_err(|error| Error::Source {
        verb: "repair",
        name: name.to_string(),
        source: Box::new(error),
    })?;
    repaired.after = Some(store::verify(repo, name, verify)?);
    Ok(repaired)
}

fn mend(
    repo: &Repo,
    name: &ImageName,
    source: &Source,
    options: &PullOptions<'_>,
    repaired: &mut Repaired,
) -> Result<()> {
    let found = &repaired.before;
    // Where only the flattened tree is broken, everything to mend it with is here.
    let needs_source = found.documents_broken || !found.broken_layers.is_empty();
    let transport = match needs_source {
        true => Some(open(source, &options.source, options.progress)?),
        false => None,
    };
    let (manifest, config) = match transport.as_deref().filter(|_| found.documents_broken) {
        Some(transport) => documents(repo, name, source, transport, options)?,
        None => store::image_documents(repo, name)?,
    };
    let broken_layers = broken_layers(repo, &manifest, &config, found)?;
    let fetched = match transport.as_deref() {
        Some(transport) => fetch_all(
            repo,
            transport,
            &broken_layers,
            options,
            Some(&found.broken),
        )?,
        None => Vec::new(),
    };
    let mut layers: Vec<Layer> = Vec::new();
    for diff_id in &config.diff_ids {
        let fresh = fetched
            .iter()
            .map(|fetched| fetched.layer())
            .find(|layer| layer.diff_id == *diff_id);
        let layer = match fresh {
            Some(layer) => Some(layer.clone()),
            None => store::known_layer(repo, diff_id)?,
        };
        layers.push(layer.ok_or_else(|| store::Error::NotFound {
            what: "layer",
            name: diff_id.to_string(),
        })?);
    }
    // What the layers mended is whole now, and is not to be written twice.
    let still = still_broken(repo, &found.broken);
    let (_, written) = store::mend_image(repo, name, &manifest, &config, &layers, &still)?;
    let imported = fetched.iter().filter_map(|fetched| fetched.written());
    for written in imported.chain([written]) {
        repaired.objects += written.objects;
        repaired.mended += written.mended;
    }
    repaired.fetched = fetched.len() as u64;
    Ok(())
}

/// Manifest and config from the source, which must be those of the very image that the store has, and may come here.
fn documents(
    repo: &Repo,
    name: &ImageName,
    source: &Source,
    transport: &dyn Transport,
    options: &PullOptions<'_>,
) -> Result<(Manifest, ImageConfig)> {
    let chosen = choose(transport, &options.platform)?;
    policy::hold(&options.source, source, transport, &chosen.digests())?;
    let recorded = store::recorded_digest(repo, name)?;
    if let Some(digest) = recorded.filter(|digest| *digest != chosen.manifest.digest()) {
        return Err(store::Error::Mismatch {
            what: format!("image {name} at its source"),
            expected: digest.to_string(),
            found: chosen.manifest.digest().to_string(),
        }
        .into());
    }
    let known = store::known_config(repo, &chosen.manifest.config.digest);
    let resolved = chosen.resolve(transport, &options.platform, known, options.progress)?;
    let (manifest, config) = (resolved.manifest, resolved.config);
    if recorded.is_none() && !store::is_of_commit(repo, name, &manifest, &config)? {
        return Err(store::Error::Refused {
            verb: "tell",
            thing: format!("which image {name} was"),
            why: "its commit cannot be read, and is not that of the image at its source: pull it again"
                .into(),
        }
        .into());
    }
    Ok((manifest, config))
}

/// The layers that must be fetched, each once.
fn broken_layers(
    repo: &Repo,
    manifest: &Manifest,
    config: &ImageConfig,
    found: &VerifyReport,
) -> Result<Vec<(Descriptor, DiffId)>> {
    let mut seen = HashSet::new();
    let mut broken = Vec::new();
    for (blob, diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
        let is_broken = found.broken_layers.contains(diff_id)
            || store::known_layer(repo, diff_id).map_or(true, |layer| layer.is_none());
        if seen.insert(*diff_id) && is_broken {
            broken.push((blob.clone(), *diff_id));
        }
    }
    Ok(broken)
}

fn still_broken(repo: &Repo, broken: &Broken) -> Broken {
    let is_broken =
        |(kind, id): &&(store::ObjectKind, store::ObjectId)| !store::is_whole(repo, *kind, id);
    broken.iter().filter(is_broken).copied().collect()
}
