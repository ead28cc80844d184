//! Tars, layers and images for the tests, made in memory.

use store::oci::{Document, ImageConfig, Manifest, media};
use store::{
    DiffId, Digest, Error, Image, ImageName, Layer, LayerLimits, LayerOrigin, Mode, Repo,
    commit_image, import_layer,
};

/// An entry of a tar.
#[allow(dead_code)]
pub(crate) enum Item<'i> {
    Dir(&'i str, u32),
    File(&'i str, u32, &'i [u8]),
    Link(&'i str, &'i str),
    Hard(&'i str, &'i str),
    Special(&'i str, tar::EntryType),
}

/// A tar of these entries, all of user 70 and group 71.
#[allow(dead_code)]
pub(crate) fn tar_of(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(1_600_000_000);
        header.set_uid(70);
        header.set_gid(71);
        header.set_size(0);
        let (path, data): (&str, &[u8]) = match item {
            Item::Dir(path, mode) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                (path, &[])
            }
            Item::File(path, mode, data) => {
                header.set_mode(*mode);
                header.set_size(data.len() as u64);
                (path, data)
            }
            Item::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_link_name_literal(target).expect("target");
                (path, &[])
            }
            Item::Hard(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                header.set_link_name_literal(target).expect("target");
                (path, &[])
            }
            Item::Special(path, ty) => {
                header.set_entry_type(*ty);
                (path, &[])
            }
        };
        // Past the builder's own opinion of paths.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, data).expect("append");
    }
    builder.into_inner().expect("tar")
}

/// Imports a tar as a layer.
pub(crate) fn import(repo: &Repo, tar: &[u8]) -> Result<store::ImportedLayer, Error> {
    let origin = LayerOrigin {
        diff_id: Some(DiffId::of(tar)),
        blob: Some((Digest::of(tar), tar.len() as u64)),
    };
    import_layer(repo, &mut &*tar, &origin, &LayerLimits::default())
}

/// Imports it again, over what is broken of it.
#[allow(dead_code)]
pub(crate) fn mend(
    repo: &Repo,
    tar: &[u8],
    broken: &store::Broken,
) -> Result<store::ImportedLayer, Error> {
    let origin = LayerOrigin {
        diff_id: Some(DiffId::of(tar)),
        blob: Some((Digest::of(tar), tar.len() as u64)),
    };
    store::mend_layer(repo, &mut &*tar, &origin, &LayerLimits::default(), broken)
}

/// An image of layers given as tars.
#[allow(dead_code)]
pub(crate) fn image(repo: &Repo, tars: &[Vec<u8>]) -> Image {
    image_named(repo, "test", tars, &|_| {})
}

/// The same under another name; `finished` is told of each layer that is in the store.
#[allow(dead_code)]
pub(crate) fn image_named(
    repo: &Repo,
    name: &str,
    tars: &[Vec<u8>],
    finished: &dyn Fn(&str),
) -> Image {
    try_image_named(repo, name, tars, finished).expect("image")
}

/// An image of layers that may be refused.
#[allow(dead_code)]
pub(crate) fn try_image(repo: &Repo, tars: &[Vec<u8>]) -> Result<Image, Error> {
    try_image_named(repo, "test", tars, &|_| {})
}

/// The same for where it may fail.
pub(crate) fn try_image_named(
    repo: &Repo,
    name: &str,
    tars: &[Vec<u8>],
    finished: &dyn Fn(&str),
) -> Result<Image, Error> {
    let mut layers = Vec::new();
    for tar in tars {
        let known = store::known_layer(repo, &DiffId::of(tar))?;
        let layer = match known {
            Some(layer) => layer,
            None => import(repo, tar)?.layer,
        };
        finished(&layer.diff_id.hex());
        layers.push(layer);
    }
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let rootfs = serde_json::json!({"type": "layers", "diff_ids": diff_ids});
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs});
    let config = ImageConfig::parse(config.to_string().into_bytes()).expect("config");
    let name = ImageName::new(name).expect("name");
    commit_image(
        repo,
        &name,
        None,
        &manifest(&config, tars),
        &config,
        &layers,
    )
}

/// The manifest of an image with these layers.
pub(crate) fn manifest(config: &ImageConfig, tars: &[Vec<u8>]) -> Manifest {
    let layer = |tar: &Vec<u8>| serde_json::json!({"mediaType": media::OCI_LAYER, "digest": Digest::of(tar), "size": tar.len()});
    let layers: Vec<_> = tars.iter().map(layer).collect();
    let config = serde_json::json!({"digest": config.id(), "size": config.raw.len()});
    let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
    match Document::parse(manifest.to_string().into_bytes(), "").expect("manifest") {
        Document::Manifest(manifest) => manifest,
        Document::Index(_) => panic!("it is a manifest"),
    }
}

/// Commits an image under a literal name.
#[allow(dead_code)]
pub(crate) fn commit(
    repo: &Repo,
    name: &str,
    manifest: &Manifest,
    config: &ImageConfig,
    layers: &[Layer],
) -> Image {
    let name = ImageName::new(name).expect("name");
    commit_image(repo, &name, None, manifest, config, layers).expect("commit")
}

#[allow(dead_code)]
/// A repository that does not wait for the disk.
pub(crate) struct Store {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) repo: Repo,
}

#[allow(dead_code)]
pub(crate) fn new_store() -> Store {
    let temp = tempfile::tempdir().expect("temporary directory");
    let path = temp.path().join("repo");
    Repo::init(&path, Mode::BareUser).expect("init");
    std::fs::write(
        path.join("config"),
        "[core]\nrepo_version=1\nmode=bare-user\nfsync=false\n",
    )
    .expect("config");
    let repo = Repo::open(&path).expect("open");
    Store { repo, temp }
}

#[allow(dead_code)]
/// One entry, past every builder's opinion: header, payload, padding.
pub(crate) fn raw(name: &[u8], ty: u8, link: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.as_mut_bytes()[156] = ty;
    header.set_size(payload.len() as u64);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[allow(dead_code)]
/// An extended header.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let length = (1..)
            .map(|digits| rest + digits)
            .find(|n| n.to_string().len() + rest == *n)
            .expect("length");
        body.extend_from_slice(format!("{length} {key}=").as_bytes());
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    raw(b"pax", b'x', b"", &body)
}
