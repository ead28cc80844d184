//! Checks one image, from its name to every byte: what is wrong, and what a repair must fetch again.
//!
//! Three passes: the documents and refs, to know what belongs to the image; every object that anything of it leads to,
//! hashed as [`crate::fsck()`] does; each layer whose objects are good, made again from its recipe and compared with its
//! diff id. Nothing wrong with the image is an error of the call: it is in the report, also when the image could not
//! be loaded at all. The caller holds the lock, at least shared.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::check_object::{BUFFER_BYTES, check_object};
use crate::content::ContentKind;
use crate::error::{Error, Result};
use crate::fsck::Problem;
use crate::id::{DiffId, Digest, ObjectId};
use crate::image::load_config;
use crate::mend::Broken;
use crate::name::{ImageName, RefName};
use crate::oci::{Document, ImageConfig, MANIFEST_BYTES_MAX, Manifest};
use crate::replay::replay;
use crate::repo::{Entry, Repo};
use crate::transport_layout::is_transports;
use crate::verify_walk::{Key, Walk};

/// Objects that are checked between two reports of progress.
const OBJECTS_AT_ONCE: usize = 64;

/// How to verify.
#[derive(Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// Called now and then with how many objects and layers are done, and how many there are.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions").finish_non_exhaustive()
    }
}

/// A layer of an image that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLayer {
    /// The layer.
    pub diff_id: DiffId,
    /// The size of its tar in bytes, made again and compared; `None` when the layer is broken.
    pub size: Option<u64>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// The layers in the order of the config, each once; none when the documents are broken.
    pub layers: Vec<VerifiedLayer>,
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong. A layer that was stored before recipes were kept is an [`Error::Refused`] with the verb `verify`.
    pub problems: Vec<Problem>,
    /// Objects that are missing or not what their name says.
    pub broken: Broken,
    /// Layers that must be stored again: one of their objects or refs is broken or missing, or they are another's.
    pub broken_layers: Vec<DiffId>,
    /// The manifest, the config or one of their commits is broken, so that the layers are not known.
    pub documents_broken: bool,
    /// The flattened tree or its history is broken or missing; its files may be those of a broken layer.
    pub flat_broken: bool,
}

/// A layer as its refs have it.
struct Refs {
    diff_id: DiffId,
    /// The commits, and what to call them.
    commits: Vec<(ObjectId, String)>,
    broken: bool,
}

/// Verifies the image of that very name. Fails only when there is no such name, or when skopeo's transport stored it.
pub fn verify(repo: &Repo, name: &ImageName, options: &VerifyOptions<'_>) -> Result<VerifyReport> {
    let not_found = || Error::NotFound {
        what: "image",
        name: name.to_string(),
    };
    let commit = repo.resolve(&RefName::image(name))?.ok_or_else(not_found)?;
    if is_transports(repo, name)? {
        return Err(Error::Refused {
            verb: "verify",
            thing: format!("image {name}"),
            why: "it is stored as skopeo's transport did it; `berth repo fsck` checks its objects"
                .into(),
        });
    }
    let mut report = VerifyReport::default();
    let mut documents = vec![(commit, format!("image {name}"))];
    let loaded = load(repo, name, commit, &mut documents);
    let mut layers = match &loaded {
        Ok((manifest, config)) => find_layers(repo, manifest, config, &mut report.problems),
        Err(_) => Vec::new(),
    };
    let flat: Vec<_> = find_ref(repo, &RefName::flat(name), &mut report.problems)
        .map(|flat| (flat, RefName::flat(name).to_string()))
        .into_iter()
        .collect();
    report.flat_broken = flat.is_empty();

    let total = check_objects(repo, &documents, &flat, &layers, options, &mut report);
    report.documents_broken = place(repo, &documents, &mut report);
    for layer in &mut layers {
        layer.broken |= place(repo, &layer.commits, &mut report);
    }
    report.flat_broken |= place(repo, &flat, &mut report);
    if let (Err(error), false) = (loaded, report.documents_broken) {
        report.documents_broken = true;
        report.problems.push(Problem {
            object: None,
            place: Some(format!("image {name}")),
            error,
        });
    }
    replay_layers(repo, &layers, total, options, &mut report);
    Ok(report)
}

/// Reads manifest and config, every copy of them; notes the config's commit as a document.
fn load(
    repo: &Repo,
    name: &ImageName,
    commit: ObjectId,
    documents: &mut Vec<(ObjectId, String)>,
) -> Result<(Manifest, ImageConfig)> {
    let image = repo.read_commit(&commit)?;
    let what = || format!("image {name}");
    let raw = image
        .get_str("docker.manifest")
        .ok_or_else(|| Error::malformed(what(), "its commit has no docker.manifest"))?;
    let Document::Manifest(manifest) = Document::parse(raw.as_bytes().to_vec(), "")? else {
        return Err(Error::malformed(what(), "its manifest is an index"));
    };
    let config = RefName::blob(&manifest.config.digest);
    if let Some(config) = repo.resolve(&config)? {
        documents.push((config, format!("config {}", manifest.config.digest)));
    }
    let digest = manifest.digest().to_string();
    let found = image.get_str("docker.digest").unwrap_or("none");
    if found != digest {
        return Err(corrupt(format!("manifest of image {name}"), found, &digest));
    }
    let Entry::File(file) = repo.lookup(image.root, "manifest.json")? else {
        return Err(Error::malformed(what(), "manifest.json is a directory"));
    };
    let found = Digest::of(&read_document(repo, &file)?).to_string();
    if found != digest {
        return Err(corrupt(
            format!("manifest.json of image {name}"),
            &digest,
            &found,
        ));
    }
    let config = load_config(repo, &manifest.config.digest)?;
    if config.diff_ids.len() != manifest.layers.len() {
        return Err(Error::Mismatch {
            what: what(),
            expected: format!("{} layers as its config lists them", config.diff_ids.len()),
            found: format!("{} in its manifest", manifest.layers.len()),
        });
    }
    Ok((manifest, config))
}

fn corrupt(what: String, expected: &str, found: &str) -> Error {
    Error::Corrupt {
        what,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn read_document(repo: &Repo, id: &ObjectId) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let what = || format!("file {id}");
    let ContentKind::Regular { file, .. } = repo.open_file(id)?.kind else {
        return Err(Error::malformed(what(), "it is a symbolic link"));
    };
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Read {
            what: what(),
            source,
        })?;
    Ok(bytes)
}

/// The commit of a ref; a problem when it is missing or cannot be read.
fn find_ref(repo: &Repo, name: &RefName, problems: &mut Vec<Problem>) -> Option<ObjectId> {
    let error = match repo.resolve(name) {
        Ok(Some(id)) => return Some(id),
        Ok(None) => Error::NotFound {
            what: "ref",
            name: name.to_string(),
        },
        Err(error) => error,
    };
    problems.push(Problem {
        object: None,
        place: None,
        error,
    });
    None
}

/// What each layer's refs lead to, every layer once.
fn find_layers(
    repo: &Repo,
    manifest: &Manifest,
    config: &ImageConfig,
    problems: &mut Vec<Problem>,
) -> Vec<Refs> {
    let mut layers: Vec<Refs> = Vec::new();
    let mut seen = HashSet::new();
    for (diff_id, blob) in config.diff_ids.iter().zip(&manifest.layers) {
        if !seen.insert(*diff_id) {
            continue;
        }
        let mut layer = Refs {
            diff_id: *diff_id,
            commits: Vec::new(),
            broken: true,
        };
        if let Some(tree) = find_ref(repo, &RefName::layer(diff_id), problems) {
            layer.commits.push((tree, format!("layer {diff_id}")));
            match repo.resolve(&RefName::recipe(diff_id)) {
                Ok(Some(recipe)) => {
                    layer
                        .commits
                        .push((recipe, format!("recipe of layer {diff_id}")));
                    layer.broken = false;
                }
                Ok(None) => problems.push(Problem {
                    object: None,
                    place: None,
                    error: Error::Refused {
                        verb: "verify",
                        thing: format!("layer {diff_id}"),
                        why: "it was stored before recipes were kept".into(),
                    },
                }),
                Err(error) => problems.push(Problem {
                    object: None,
                    place: None,
                    error,
                }),
            }
            layer.broken |= is_anothers(repo, diff_id, &tree, problems);
        }
        // A layer need not have a ref by its blob.
        if let Ok(Some(blob_commit)) = repo.resolve(&RefName::blob(&blob.digest)) {
            layer
                .commits
                .push((blob_commit, format!("layer {}", blob.digest)));
        }
        if let Ok(Some(kept)) = repo.resolve(&RefName::kept_blob(&blob.digest)) {
            layer
                .commits
                .push((kept, format!("kept blob {}", blob.digest)));
        }
        layers.push(layer);
    }
    layers
}

/// Whether a layer's commit says that it is of another layer.
fn is_anothers(
    repo: &Repo,
    diff_id: &DiffId,
    commit: &ObjectId,
    problems: &mut Vec<Problem>,
) -> bool {
    // What cannot be read is found with the objects.
    let Ok(commit) = repo.read_commit(commit) else {
        return true;
    };
    let (expected, found) = (
        diff_id.to_string(),
        commit
            .get_str("docker.uncompressed_digest")
            .unwrap_or("none"),
    );
    if found == expected {
        return false;
    }
    problems.push(Problem {
        object: None,
        place: None,
        error: corrupt(format!("ref {}", RefName::layer(diff_id)), &expected, found),
    });
    true
}

/// Hashes everything that the image leads to; gives how much there is to do, the layers included.
fn check_objects(
    repo: &Repo,
    documents: &[(ObjectId, String)],
    flat: &[(ObjectId, String)],
    layers: &[Refs],
    options: &VerifyOptions<'_>,
    report: &mut VerifyReport,
) -> u64 {
    let mut keys: Vec<Key> = Vec::new();
    let mut walk = Walk::new(repo);
    let commits = layers.iter().flat_map(|layer| &layer.commits);
    for (commit, place) in documents.iter().chain(commits).chain(flat) {
        walk.commits(*commit, place, &mut |key, _| keys.push(key));
    }
    let total = keys.len() as u64 + layers.len() as u64;
    let done = AtomicU64::new(0);
    let checked: Vec<Result<u64>> = keys
        .par_chunks(OBJECTS_AT_ONCE)
        .map_init(
            || vec![0; BUFFER_BYTES],
            |buffer, keys| {
                let checked: Vec<_> = keys
                    .iter()
                    .map(|(kind, id)| check_object(repo, *kind, id, buffer))
                    .collect();
                let count = keys.len() as u64;
                (options.progress)(done.fetch_add(count, Ordering::Relaxed) + count, total);
                checked
            },
        )
        .flatten_iter()
        .collect();
    for (key, result) in keys.into_iter().zip(checked) {
        match result {
            Ok(bytes) => {
                report.objects += 1;
                report.bytes += bytes;
            }
            Err(error) => {
                report.broken.insert(key);
                report.problems.push(Problem {
                    object: Some(key),
                    place: None,
                    error,
                });
            }
        }
    }
    total
}

/// Whether commits lead to anything broken; gives what is the first place that does.
fn place(repo: &Repo, commits: &[(ObjectId, String)], report: &mut VerifyReport) -> bool {
    if report.broken.is_empty() {
        return false;
    }
    let unplaced = report.problems.iter().enumerate();
    let unplaced: HashMap<Key, usize> = unplaced
        .filter(|(_, problem)| problem.place.is_none())
        .filter_map(|(at, problem)| Some((problem.object?, at)))
        .collect();
    let mut broken = false;
    let mut walk = Walk::new(repo);
    for (commit, name) in commits {
        walk.commits(*commit, name, &mut |key, place| {
            if !report.broken.contains(&key) {
                return;
            }
            broken = true;
            if let Some(at) = unplaced.get(&key) {
                report.problems[*at].place = Some(place());
            }
        });
    }
    broken
}

/// Makes every good layer again and compares it with its diff id.
fn replay_layers(
    repo: &Repo,
    layers: &[Refs],
    total: u64,
    options: &VerifyOptions<'_>,
    report: &mut VerifyReport,
) {
    let done = AtomicU64::new(total - layers.len() as u64);
    let replayed: Vec<Option<Result<u64>>> = layers
        .par_iter()
        .map(|layer| {
            let replayed = (!layer.broken).then(|| {
                replay(repo, &layer.diff_id, &mut std::io::sink()).map(|replayed| replayed.size)
            });
            (options.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            replayed
        })
        .collect();
    for (layer, replayed) in layers.iter().zip(replayed) {
        let mut size = None;
        match replayed {
            Some(Ok(bytes)) => size = Some(bytes),
            Some(Err(error)) => report.problems.push(Problem {
                object: None,
                place: Some(format!("layer {}", layer.diff_id)),
                error,
            }),
            None => {}
        }
        if size.is_none() {
            report.broken_layers.push(layer.diff_id);
        }
        report.layers.push(VerifiedLayer {
            diff_id: layer.diff_id,
            size,
        });
    }
}
