//! `docker-archive:`: what `docker save` writes.
//!
//! The archive has a config and layers as tar files, and no manifest that a registry would know. One is made up here
//! just as containers/image does, so that it has the digest that skopeo and podman say: a docker schema 2 manifest
//! whose layers are the plain tars, under their diff ids. The manifest therefore depends on the image alone: an archive
//! whose layers are compressed, or linked to each other as old versions of docker did, gives the same one. Measuring a
//! compressed layer costs one pass over it.

use std::io::{self, BufReader, Read};

use serde::{Deserialize, Serialize};
use store::Digest;
use store::oci::{
    CONFIG_BYTES_MAX, Descriptor, ImageConfig, LAYERS_MAX, MANIFEST_BYTES_MAX, media,
};

use crate::archive::Archive;
use crate::decompress::{Decompress, Format};
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::limits::LAYER_BYTES_MAX;
use crate::names::choices;
use crate::source::Pick;
use crate::transport::{Root, Transport, read_limited};

/// The table of contents.
const CONTENTS: &str = "manifest.json";
/// What containers/image calls the layers of an archive, though they are plain: a part of the manifest's digest.
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// One image of an opened archive.
#[derive(Debug)]
pub(crate) struct DockerArchive {
    archive: Archive,
    name: Option<String>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    /// The layers' digests and where they are, base first.
    layers: Vec<(Digest, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

impl DockerArchive {
    /// Whether this is such an archive; an OCI layout in a tar is not.
    pub(crate) fn find(archive: &Archive) -> Result<bool> {
        if archive.has(CONTENTS) {
            return Ok(true);
        }
        if archive.has("index.json") {
            return Ok(false);
        }
        if archive.has("repositories") {
            return Err(Error::unsupported("archive of", "a docker before 1.10"));
        }
        Err(Error::NotFound {
            what: CONTENTS.into(),
            place: archive.place().to_owned(),
        })
    }

    /// How each image can be picked, under each of its names.
    pub(crate) fn picks(archive: &Archive) -> Result<Vec<Pick>> {
        let mut picks = Vec::new();
        for (at, item) in items(archive)?.into_iter().enumerate() {
            let tags = item.repo_tags.unwrap_or_default();
            match tags.is_empty() {
                true => picks.push(Pick::Position(at)),
                false => picks.extend(tags.into_iter().map(Pick::Named)),
            }
        }
        Ok(picks)
    }

    /// Reads what describes the picked image.
    pub(crate) fn open(archive: Archive, pick: &Pick) -> Result<Self> {
        let items = items(&archive)?;
        let item = find(&archive, &items, pick)?;
        let name = match pick {
            Pick::Named(name) => Some(name.clone()),
            _ => item.repo_tags.iter().flatten().next().cloned(),
        };
        let config = read(&archive, &item.config, CONFIG_BYTES_MAX)?;
        let diff_ids = ImageConfig::parse(config.clone())?.diff_ids;
        if item.layers.len() != diff_ids.len() || item.layers.len() > LAYERS_MAX {
            let why = format!(
                "it lists {} layers, its config {}",
                item.layers.len(),
                diff_ids.len()
            );
            return Err(store::Error::malformed(CONTENTS, why).into());
        }
        let digests = diff_ids
            .iter()
            .map(|diff_id| Digest::new(*diff_id.as_bytes()));
        let layers: Vec<(Digest, String)> = digests.zip(item.layers.iter().cloned()).collect();
        let manifest = manifest(&archive, &config, &layers)?;
        Ok(Self {
            name,
            config,
            manifest,
            layers,
            archive,
        })
    }
}

fn items(archive: &Archive) -> Result<Vec<Item>> {
    let raw = read(archive, CONTENTS, MANIFEST_BYTES_MAX)?;
    let items = serde_json::from_slice(&raw);
    Ok(items.map_err(|error| store::Error::malformed(CONTENTS, error.to_string()))?)
}

fn find<'a>(archive: &Archive, items: &'a [Item], pick: &Pick) -> Result<&'a Item> {
    let place = || archive.place().to_owned();
    let absent = |what: String| Error::NotFound {
        what,
        place: place(),
    };
    match pick {
        Pick::Position(at) => items.get(*at).ok_or_else(|| absent(format!("image @{at}"))),
        Pick::Named(name) => {
            let canonical = |name: &str| name.parse::<store::Reference>().ok();
            let wanted = canonical(name);
            let fits = |tag: &String| tag == name || (wanted.is_some() && canonical(tag) == wanted);
            let found = items
                .iter()
                .find(|item| item.repo_tags.iter().flatten().any(fits));
            found.ok_or_else(|| absent(format!("image {name}")))
        }
        Pick::Only => match items {
            [] => Err(absent("an image".into())),
            [only] => Ok(only),
            several => Err(Error::Ambiguous {
                place: place(),
                names: names(several),
            }),
        },
    }
}

fn names(items: &[Item]) -> String {
    let tags = items
        .iter()
        .map(|item| item.repo_tags.iter().flatten().next().map(String::as_str));
    choices(tags.enumerate())
}

/// The manifest as containers/image makes it up, byte for byte: the order of the fields is part of its digest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeUp {
    schema_version: u64,
    media_type: &'static str,
    config: MadeUpBlob,
    layers: Vec<MadeUpBlob>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MadeUpBlob {
    media_type: &'static str,
    size: u64,
    digest: Digest,
}

fn manifest(archive: &Archive, config: &[u8], layers: &[(Digest, String)]) -> Result<Vec<u8>> {
    let sized = layers
        .iter()
        .map(|(digest, path)| Ok((*digest, tar_size(archive, path)?)));
    made_up(config, &sized.collect::<Result<Vec<_>>>()?)
}

/// The manifest of an image of an archive: its layers are tars with these digests and sizes.
pub(crate) fn made_up(config: &[u8], layers: &[(Digest, u64)]) -> Result<Vec<u8>> {
    let layer = |(digest, size): &(Digest, u64)| MadeUpBlob {
        media_type: LAYER,
        size: *size,
        digest: *digest,
    };
    let manifest = MadeUp {
        schema_version: 2,
        media_type: media::DOCKER_MANIFEST,
        config: MadeUpBlob {
            media_type: media::DOCKER_CONFIG,
            size: config.len() as u64,
            digest: Digest::of(config),
        },
        layers: layers.iter().map(layer).collect(),
    };
    serde_json::to_vec(&manifest)
        .map_err(|error| store::Error::malformed(CONTENTS, error.to_string()).into())
}

fn tar_size(archive: &Archive, path: &str) -> Result<u64> {
    let (entry, size) = entry(archive, path)?;
    let broken = |source| store::Error::Read {
        what: format!("layer {path}"),
        source,
    };
    let tar = Decompress::new(BufReader::new(entry)).map_err(broken)?;
    if tar.format() == Format::Tar {
        return Ok(size);
    }
    let size = io::copy(&mut tar.take(LAYER_BYTES_MAX + 1), &mut io::sink()).map_err(broken)?;
    match size > LAYER_BYTES_MAX {
        true => Err(Error::too_large(
            format!("layer {path}"),
            format!("{LAYER_BYTES_MAX} bytes"),
        )),
        false => Ok(size),
    }
}

fn entry<'a>(archive: &'a Archive, path: &str) -> Result<(crate::archive::EntryReader<'a>, u64)> {
    archive.entry(path).ok_or_else(|| Error::NotFound {
        what: path.chars().filter(|c| !c.is_control()).take(200).collect(),
        place: archive.place().to_owned(),
    })
}

fn read(archive: &Archive, path: &str, limit: u64) -> Result<Vec<u8>> {
    read_limited(entry(archive, path)?.0, limit, || path.to_owned()).map_err(|limited| {
        limited.or(|source| {
            store::Error::Read {
                what: path.to_owned(),
                source,
            }
            .into()
        })
    })
}

impl Transport for DockerArchive {
    fn place(&self) -> String {
        self.archive.place().to_owned()
    }

    fn root(&self) -> Result<Root> {
        let media_type = media::DOCKER_MANIFEST.to_owned();
        Ok(Root {
            raw: self.manifest.clone(),
            media_type,
            name: self.name.clone(),
        })
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        _: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        let what = format!("blob {}", blob.digest);
        if blob.digest == Digest::of(&self.config) {
            let rest = self
                .config
                .get(usize::try_from(offset).unwrap_or(usize::MAX)..)
                .unwrap_or_default();
            return Ok(Box::new(rest));
        }
        let layer = self
            .layers
            .iter()
            .find(|(digest, _)| *digest == blob.digest);
        let Some((_, path)) = layer else {
            return Err(Error::NotFound {
                what,
                place: self.place(),
            });
        };
        let broken = |source| store::Error::Read {
            what: what.clone(),
            source,
        };
        let mut tar =
            Decompress::new(BufReader::new(entry(&self.archive, path)?.0)).map_err(broken)?;
        io::copy(&mut tar.by_ref().take(offset), &mut io::sink()).map_err(broken)?;
        Ok(Box::new(tar))
    }

    fn is_remote(&self) -> bool {
        false
    }
}
