//! Small images made in memory, honest or not: tars byte by byte, so that nothing refuses to write
//! what berth must refuse to read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::digest;

const BLOCK: usize = 512;
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A header's fields; the rest follows from them.
#[derive(Debug, Clone)]
pub struct Header {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub size: u64,
    pub mtime: u64,
    pub link: Vec<u8>,
    pub device: (u32, u32),
}

impl Default for Header {
    fn default() -> Self {
        Self {
            name: Vec::new(),
            kind: b'0',
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_700_000_000,
            link: Vec::new(),
            device: (0, 0),
        }
    }
}

impl Header {
    /// The ustar block. Names longer than their field are cut: write a long-name entry first.
    pub fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, len: usize, data: &[u8]| {
            let len = len.min(data.len());
            block[at..at + len].copy_from_slice(&data[..len]);
        };
        put(0, 100, &self.name);
        put(100, 8, format!("{:07o}", self.mode).as_bytes());
        put(108, 8, format!("{:07o}", self.uid).as_bytes());
        put(116, 8, format!("{:07o}", self.gid).as_bytes());
        put(124, 12, format!("{:011o}", self.size).as_bytes());
        put(136, 12, format!("{:011o}", self.mtime).as_bytes());
        put(148, 8, b"        ");
        put(156, 1, &[self.kind]);
        put(157, 100, &self.link);
        put(257, 8, b"ustar\x0000");
        put(329, 8, format!("{:07o}", self.device.0).as_bytes());
        put(337, 8, format!("{:07o}", self.device.1).as_bytes());
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// A tar being written. Names are taken as they are.
#[derive(Debug, Clone, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn file(self, name: &str, data: impl AsRef<[u8]>) -> Self {
        self.file_with(name, 0o644, 0, 0, data)
    }

    pub fn file_with(
        self,
        name: &str,
        mode: u32,
        uid: u64,
        gid: u64,
        data: impl AsRef<[u8]>,
    ) -> Self {
        let data = data.as_ref();
        let size = data.len() as u64;
        self.entry(
            &Header {
                name: name.into(),
                mode,
                uid,
                gid,
                size,
                ..Header::default()
            },
            data,
        )
    }

    pub fn dir(self, name: &str) -> Self {
        self.dir_with(name, 0o755, 0, 0)
    }

    pub fn dir_with(self, name: &str, mode: u32, uid: u64, gid: u64) -> Self {
        let name = format!("{}/", name.trim_end_matches('/')).into();
        self.entry(
            &Header {
                name,
                kind: b'5',
                mode,
                uid,
                gid,
                ..Header::default()
            },
            b"",
        )
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.linked(name, b'2', 0o777, target)
    }

    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.linked(name, b'1', 0o644, target)
    }

    fn linked(self, name: &str, kind: u8, mode: u32, target: &str) -> Self {
        let (name, link) = (name.into(), target.into());
        self.entry(
            &Header {
                name,
                kind,
                link,
                mode,
                ..Header::default()
            },
            b"",
        )
    }

    /// A character device (`b'3'`), block device (`b'4'`) or FIFO (`b'6'`).
    pub fn special(self, name: &str, kind: u8, device: (u32, u32)) -> Self {
        self.entry(
            &Header {
                name: name.into(),
                kind,
                device,
                ..Header::default()
            },
            b"",
        )
    }

    /// Hides `a/b` of lower layers.
    pub fn whiteout(self, name: &str) -> Self {
        let (folder, last) = name.rsplit_once('/').map_or(("", name), |(a, b)| (a, b));
        let name = format!("{folder}/.wh.{last}");
        self.file(name.trim_start_matches('/'), b"")
    }

    /// Hides everything that lower layers have in this folder.
    pub fn opaque(self, folder: &str) -> Self {
        self.file(&format!("{folder}/.wh..wh..opq"), b"")
    }

    /// PAX records that hold for the next entry.
    pub fn pax<K: AsRef<[u8]>, V: AsRef<[u8]>>(self, records: &[(K, V)]) -> Self {
        let data: Vec<u8> = records
            .iter()
            .flat_map(|(k, v)| pax_record(k.as_ref(), v.as_ref()))
            .collect();
        let size = data.len() as u64;
        self.entry(
            &Header {
                name: b"pax".into(),
                kind: b'x',
                size,
                ..Header::default()
            },
            &data,
        )
    }

    /// GNU's way to a long name (`b'L'`) or link target (`b'K'`) of the next entry.
    pub fn gnu_long(self, kind: u8, text: &str) -> Self {
        let data = [text.as_bytes(), b"\0"].concat();
        let size = data.len() as u64;
        let name = b"././@LongLink".into();
        self.entry(
            &Header {
                name,
                kind,
                size,
                ..Header::default()
            },
            &data,
        )
    }

    /// A header and data, which need not agree.
    pub fn entry(mut self, header: &Header, data: &[u8]) -> Self {
        self.bytes.extend(header.block());
        self.bytes.extend(data);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// The tar with its two empty blocks.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend([0; 2 * BLOCK]);
        self.bytes
    }

    /// The tar without its end.
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }
}

/// `LEN KEY=VALUE\n`, where LEN counts itself.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    Gzip,
    Zstd,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::Zstd];

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => tar.to_owned(),
            Self::Gzip => {
                let mut out =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(tar).unwrap();
                out.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(tar, 1).unwrap(),
        }
    }
}

/// An image before it is written anywhere. Its fields can be made to lie.
#[derive(Debug, Clone)]
pub struct Image {
    pub layers: Vec<Layer>,
    /// Put into the config beside `rootfs`: `config`, `history`, `architecture` …
    pub config: Value,
}

#[derive(Debug, Clone)]
pub struct Layer {
    pub tar: Vec<u8>,
    pub blob: Vec<u8>,
    pub media_type: String,
    /// What the manifest says of the blob.
    pub digest: String,
    pub size: u64,
    /// What the config says of the tar.
    pub diff_id: String,
}

impl Layer {
    pub fn new(tar: Vec<u8>, form: Form) -> Self {
        let blob = form.pack(&tar);
        Self {
            digest: digest(&blob),
            size: blob.len() as u64,
            diff_id: digest(&tar),
            media_type: form.media_type().into(),
            blob,
            tar,
        }
    }
}

impl Image {
    pub fn new(layers: impl IntoIterator<Item = Layer>) -> Self {
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]}});
        Self {
            layers: layers.into_iter().collect(),
            config,
        }
    }

    /// One gzip layer.
    pub fn of(tar: Tar) -> Self {
        Self::new([Layer::new(tar.finish(), Form::Gzip)])
    }

    pub fn config_bytes(&self) -> Vec<u8> {
        let mut config = self.config.clone();
        if config.get("rootfs").is_none() {
            let diff_ids: Vec<&str> = self
                .layers
                .iter()
                .map(|layer| layer.diff_id.as_str())
                .collect();
            config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        }
        serde_json::to_vec(&config).unwrap()
    }

    pub fn manifest(&self) -> Value {
        let config = self.config_bytes();
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|it| json!({"mediaType": it.media_type, "digest": it.digest, "size": it.size}))
            .collect();
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": digest(&config), "size": config.len()},
            "layers": layers,
        })
    }

    /// Writes a `docker save` archive of the old kind.
    pub fn write_docker_archive(&self, path: &Path, tags: &[&str]) {
        let config = self.config_bytes();
        let config_name = format!("{}.json", digest(&config).trim_start_matches("sha256:"));
        let mut tar = Tar::new().file(&config_name, &config);
        let mut names = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let name = format!("layer{number}/layer.tar");
            tar = tar.file(&name, &layer.tar);
            names.push(name);
        }
        let list = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
        let tar = tar.file("manifest.json", serde_json::to_vec(&list).unwrap());
        write(path, &tar.finish());
    }
}

/// An OCI layout on disk, readable by everybody.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    entries: Vec<Value>,
}

impl Layout {
    pub fn new(path: &Path) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        write(
            &path.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        );
        Self {
            path: path.to_owned(),
            entries: Vec::new(),
        }
    }

    /// A layout with one image, named `latest`. Returns the manifest's digest.
    pub fn with(path: &Path, image: &Image) -> String {
        let mut layout = Self::new(path);
        let manifest = layout.put_image(image);
        let digest = manifest["digest"].as_str().unwrap().to_owned();
        layout.name(manifest, "latest");
        digest
    }

    /// Stores bytes under a digest, which need not be theirs.
    pub fn put_as(&self, digest: &str, bytes: &[u8]) {
        write(&self.blob(digest), bytes);
    }

    /// Stores bytes; returns their descriptor.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        self.put_as(&digest, bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Stores an image's blobs and manifest; returns the manifest's descriptor.
    pub fn put_image(&self, image: &Image) -> Value {
        for layer in &image.layers {
            self.put_as(&layer.digest, &layer.blob);
        }
        self.put(OCI_CONFIG, &image.config_bytes());
        self.put(
            OCI_MANIFEST,
            &serde_json::to_vec(&image.manifest()).unwrap(),
        )
    }

    /// Stores an index of these descriptors; returns its descriptor.
    pub fn put_index(&self, entries: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
        self.put(OCI_INDEX, &serde_json::to_vec(&index).unwrap())
    }

    /// The attestation that buildkit puts beside an image.
    pub fn attestation(&self, subject: &str) -> Value {
        let statement = self.put("application/vnd.in-toto+json", b"{}");
        let config = json!({"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers",
            "diff_ids": [statement["digest"]]}});
        let config = self.put(OCI_CONFIG, &serde_json::to_vec(&config).unwrap());
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config,
            "layers": [statement]});
        let mut entry = self.put(OCI_MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        entry["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": subject});
        entry
    }

    /// Gives a descriptor a name in index.json.
    pub fn name(&mut self, mut descriptor: Value, name: &str) {
        descriptor["annotations"]["org.opencontainers.image.ref.name"] = name.into();
        self.entries.push(descriptor);
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries});
        write(
            &self.path.join("index.json"),
            &serde_json::to_vec(&index).unwrap(),
        );
    }

    pub fn blob(&self, digest: &str) -> PathBuf {
        self.path.join("blobs").join(digest.replace(':', "/"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
