//! `oci:` and `oci-archive:`: an OCI image layout, in a directory or in a tar.
//!
//! `index.json` says what there is. One image, or one per platform, is the layout's; several need to be picked from.
//! A blob's place follows from its digest alone, so no path in a document is ever followed.

use std::io::Read;
use std::path::{Path, PathBuf};

use store::oci::{CONFIG_BYTES_MAX, Descriptor, Document, Index, MANIFEST_BYTES_MAX, media};

use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::event::Progress;
use crate::file;
use crate::names::choices;
use crate::platform;
use crate::source::Pick;
use crate::transport::{Root, Transport, read_limited};

/// The annotation that names an image within a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where a layout's files are.
#[derive(Debug)]
pub(crate) enum Files {
    /// In a directory.
    Directory(PathBuf),
    /// In a tar.
    Archive(Archive),
}

impl Files {
    /// The files of a directory.
    pub(crate) fn directory(path: &Path) -> Result<Self> {
        let found = std::fs::metadata(path).map_err(Error::io("open", path))?;
        match found.is_dir() {
            true => Ok(Self::Directory(path.to_owned())),
            false => Err(store::Error::malformed(
                format!("layout {}", path.display()),
                "it is not a directory",
            )
            .into()),
        }
    }

    /// The files of a tar.
    pub(crate) fn archive(archive: Archive) -> Self {
        Self::Archive(archive)
    }

    fn place(&self) -> String {
        match self {
            Self::Directory(path) => format!("layout {}", path.display()),
            Self::Archive(archive) => archive.place().to_owned(),
        }
    }

    fn open<'a>(&'a self, name: &str, what: &str) -> Result<Box<dyn Read + Send + 'a>> {
        let missing = || Error::NotFound {
            what: what.to_owned(),
            place: self.place(),
        };
        match self {
            Self::Directory(directory) => {
                let found = file::find(&directory.join(name))?;
                Ok(Box::new(found.ok_or_else(missing)?))
            }
            Self::Archive(archive) => Ok(Box::new(archive.entry(name).ok_or_else(missing)?.0)),
        }
    }

    fn read(&self, name: &str, what: &str, limit: u64) -> Result<Vec<u8>> {
        read_limited(self.open(name, what)?, limit, || what.to_owned()).map_err(|limited| {
            limited.or(|source| {
                store::Error::Read {
                    what: what.to_owned(),
                    source,
                }
                .into()
            })
        })
    }
}

/// An opened layout.
#[derive(Debug)]
pub(crate) struct Layout {
    files: Files,
    pick: Pick,
}

impl Layout {
    /// A layout in `files`, of which `pick` is wanted.
    pub(crate) fn new(files: Files, pick: Pick) -> Self {
        Self { files, pick }
    }

    fn index(&self) -> Result<Index> {
        let raw = self
            .files
            .read("index.json", "index.json", MANIFEST_BYTES_MAX)?;
        match Document::parse(raw, media::OCI_INDEX)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => {
                Err(store::Error::malformed("index.json", "it is a manifest").into())
            }
        }
    }

    /// How each image can be picked, and whether the layout has a name for it. Several builds of one image are one.
    pub(crate) fn picks(&self) -> Result<Vec<(Pick, bool)>> {
        let index = self.index()?;
        let images = platform::images(&index.manifests);
        // `latest` alone names nothing
        let is_named = |entry: &Descriptor| ref_name(entry).is_some_and(|name| name != "latest");
        if let Some((_, first)) = images.first().filter(|_| is_one_per_platform(&images)) {
            return Ok(vec![(Pick::Only, is_named(first))]);
        }
        let picks = images.into_iter();
        Ok(picks
            .map(|(at, entry)| (Pick::Position(at), is_named(entry)))
            .collect())
    }

    /// The picked entry; `None` when it is the whole index. A position counts all entries, as in containers/image.
    fn find<'a>(&self, index: &'a Index) -> Result<Option<&'a Descriptor>> {
        let absent = |what: String| Error::NotFound {
            what,
            place: self.files.place(),
        };
        match &self.pick {
            Pick::Position(at) => match index.manifests.get(*at) {
                Some(entry) => Ok(Some(entry)),
                None => Err(absent(format!("image @{at}"))),
            },
            Pick::Named(name) => match index.manifests.iter().find(|it| ref_name(it) == Some(name))
            {
                Some(entry) => Ok(Some(entry)),
                None => Err(absent(format!("image {name}"))),
            },
            Pick::Only => match platform::images(&index.manifests).as_slice() {
                [] => Err(absent("an image".into())),
                [(_, only)] => Ok(Some(only)),
                several if is_one_per_platform(several) => Ok(None),
                several => Err(Error::Ambiguous {
                    place: self.files.place(),
                    names: choices(several.iter().map(|(at, entry)| (*at, ref_name(entry)))),
                }),
            },
        }
    }
}

impl Transport for Layout {
    fn place(&self) -> String {
        self.files.place()
    }

    fn root(&self) -> Result<Root> {
        let index = self.index()?;
        Ok(match self.find(&index)? {
            Some(entry) => Root {
                raw: crate::resolve::manifest(self, entry)?,
                media_type: entry.media_type.clone(),
                name: ref_name(entry).map(str::to_owned),
            },
            None => Root {
                name: index.manifests.iter().find_map(ref_name).map(str::to_owned),
                media_type: index.media_type,
                raw: index.raw,
            },
        })
    }

    fn manifest(&self, entry: &Descriptor) -> Result<Vec<u8>> {
        let limit = MANIFEST_BYTES_MAX.max(CONFIG_BYTES_MAX);
        self.files.read(
            &place_of(entry),
            &format!("manifest {}", entry.digest),
            limit,
        )
    }

    fn blob<'a>(
        &'a self,
        blob: &Descriptor,
        offset: u64,
        _: Progress<'a>,
    ) -> Result<Box<dyn Read + Send + 'a>> {
        let what = format!("blob {}", blob.digest);
        let mut reader = self.files.open(&place_of(blob), &what)?;
        std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink())
            .map_err(|source| store::Error::Read { what, source })?;
        Ok(reader)
    }

    fn is_remote(&self) -> bool {
        false
    }
}

fn place_of(blob: &Descriptor) -> String {
    format!("blobs/sha256/{}", blob.digest.hex())
}

fn ref_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

/// Whether the entries are one image in several builds, as some builders list them without an index of their own.
fn is_one_per_platform(entries: &[(usize, &Descriptor)]) -> bool {
    let first = entries.first().and_then(|(_, entry)| ref_name(entry));
    entries.iter().enumerate().all(|(at, (_, entry))| {
        ref_name(entry) == first
            && entry.platform.is_some()
            && entries
                .iter()
                .take(at)
                .all(|(_, other)| other.platform != entry.platform)
    })
}
