"""What holds an image: OCI layouts, skopeo's `dir:` folders, `docker save` archives."""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import zlib

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
INDEX = OCI + "index.v1+json"
MANIFEST = OCI + "manifest.v1+json"
CONFIG = OCI + "config.v1+json"
LAYER = OCI + "layer.v1.tar"
SUFFIX = {"plain": "", "gzip": "+gzip", "zstd": "+zstd"}
V2S2 = DOCKER + "distribution.manifest.v2+json"
V2S2_CONFIG = DOCKER + "container.image.v1+json"
V2S2_LAYER = DOCKER + "image.rootfs.diff.tar.gzip"
REF_NAME = "org.opencontainers.image.ref.name"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclasses.dataclass
class Layer:
    """A layer's tar on disk and its compressed forms, each made when first asked for."""

    tar: pathlib.Path
    diff_id: str

    def blob(self, form):
        """(path, digest, size) of the layer as `plain`, `gzip` or `zstd`."""
        path = self.tar if form == "plain" else self.tar.with_suffix("." + form)
        if not path.exists():
            {"gzip": _gzip, "zstd": _zstd}[form](self.tar, path)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return path, "sha256:" + digest, path.stat().st_size


def _gzip(source, target):
    # By hand, so that the header has no time and no name, and two machines agree.
    pack = zlib.compressobj(6, zlib.DEFLATED, 31)
    with open(source, "rb") as tar, open(target, "wb") as out:
        while piece := tar.read(1 << 20):
            out.write(pack.compress(piece))
        out.write(pack.flush())


def _zstd(source, target):
    subprocess.run(["zstd", "-q", "-T0", "-3", str(source), "-o", str(target)], check=True)


@dataclasses.dataclass
class Image:
    """A config and its layers, before either has a form."""

    config: dict
    layers: list
    annotations: dict = dataclasses.field(default_factory=dict)

    def config_bytes(self):
        return to_json(self.config)

    def platform(self):
        keys = ("architecture", "os", "variant")
        return {key: self.config[key] for key in keys if key in self.config}


class Layout:
    """An OCI layout being written."""

    def __init__(self, path):
        self.path = path
        self.entries = []
        (path / "blobs/sha256").mkdir(parents=True)
        (path / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))

    def put(self, data, media_type, **rest):
        """Stores bytes; returns their descriptor."""
        digest = digest_of(data)
        self._blob(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **rest}

    def put_layer(self, layer, form):
        path, digest, size = layer.blob(form)
        link(path, self._blob(digest))
        return {"mediaType": LAYER + SUFFIX[form], "digest": digest, "size": size}

    def put_image(self, image, form, **rest):
        """Stores layers, config and manifest; returns the manifest's descriptor."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.put(image.config_bytes(), CONFIG),
            "layers": [self.put_layer(layer, form) for layer in image.layers],
        }
        if image.annotations:
            manifest["annotations"] = image.annotations
        return self.put(to_json(manifest), MANIFEST, **rest)

    def put_index(self, descriptors):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
        return self.put(to_json(index), INDEX)

    def name(self, descriptor, ref):
        """Puts an entry into index.json."""
        self.entries.append(descriptor | {"annotations": {REF_NAME: ref}})

    def finish(self):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}
        (self.path / "index.json").write_bytes(to_json(index))

    def _blob(self, digest):
        return self.path / "blobs" / digest.replace(":", "/")


def link(source, target):
    """One file in many layouts costs its bytes once."""
    if not target.exists():
        os.link(source, target)


def write_v2s2(image, path):
    """A docker schema2 image as skopeo's `dir:` transport keeps it. Returns the manifest's digest."""
    path.mkdir(parents=True)
    layers = []
    for layer in image.layers:
        blob, digest, size = layer.blob("gzip")
        link(blob, path / digest.removeprefix("sha256:"))
        layers.append({"mediaType": V2S2_LAYER, "size": size, "digest": digest})
    config = image.config_bytes()
    digest = digest_of(config)
    (path / digest.removeprefix("sha256:")).write_bytes(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": V2S2,
        "config": {"mediaType": V2S2_CONFIG, "size": len(config), "digest": digest},
        "layers": layers,
    }
    # Docker prints its manifests with indents of three; the digest is of exactly these bytes.
    data = json.dumps(manifest, indent=3).encode()
    (path / "manifest.json").write_bytes(data)
    (path / "version").write_text("Directory Transport Version: 1.1\n")
    return digest_of(data)


def _member(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(data), 0
    tar.addfile(info, io.BytesIO(data))


def write_docker_archive(image, path, tags):
    """What `docker save` wrote up to version 24: a folder per layer, plain tars, two indexes."""
    config = image.config_bytes()
    config_name = digest_of(config).removeprefix("sha256:") + ".json"
    names, parent = [], ""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for layer in image.layers:
            ident = hashlib.sha256((parent + layer.diff_id).encode()).hexdigest()
            legacy = {"id": ident} | ({"parent": parent} if parent else {})
            _member(tar, f"{ident}/VERSION", b"1.0")
            _member(tar, f"{ident}/json", to_json(legacy))
            info = tarfile.TarInfo(f"{ident}/layer.tar")
            info.size = layer.tar.stat().st_size
            with open(layer.tar, "rb") as file:
                tar.addfile(info, file)
            names.append(info.name)
            parent = ident
        _member(tar, config_name, config)
        entry = {"Config": config_name, "RepoTags": tags, "Layers": names}
        _member(tar, "manifest.json", to_json([entry]))
        repositories = {}
        for tag in tags:
            repo, _, version = tag.rpartition(":")
            repositories.setdefault(repo, {})[version] = parent
        _member(tar, "repositories", to_json(repositories))


def write_docker_archive_of_layout(image, layout, path, tags):
    """What `docker save` writes since version 25: an OCI layout in a tar, with manifest.json beside."""
    config = "blobs/" + digest_of(image.config_bytes()).replace(":", "/")
    layers = ["blobs/" + layer.diff_id.replace(":", "/") for layer in image.layers]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(p for p in layout.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(str(file.relative_to(layout)))
            info.size = file.stat().st_size
            with open(file, "rb") as data:
                tar.addfile(info, data)
        entry = {"Config": config, "RepoTags": tags, "Layers": layers}
        _member(tar, "manifest.json", to_json([entry]))


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
