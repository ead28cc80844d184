"""The test images: what is in each, and why."""

import hashlib
import os
import pathlib
import tarfile

import debian
import layer
import oci

# 2026-01-01. Nothing in an image is younger, so that the same packages give the same digests.
EPOCH = 1767225600
WEEK = 7 * 24 * 3600
REDIS_UID = 999

# cap_net_bind_service, effective and permitted, as the kernel writes it (revision 2)
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")

ENTRYPOINT = b"""#!/bin/sh
# Like the well-known image's, but it switches to no user.
set -e
if [ "${1#-}" != "$1" ]; then
    set -- redis-server "$@"
fi
exec "$@"
"""

REDIS_CONF = b"""# The layer's opaque marker hides the package's own redis.conf and sentinel.conf.
bind 127.0.0.1
port 6379
dir /data
daemonize no
save ""
"""

NGINX_CONF = b"""daemon off;
user root;
worker_processes 1;
error_log stderr;
pid /run/nginx.pid;
events {}
http {
    access_log off;
    server { listen 127.0.0.1:8080; location / { return 200 "berth\\n"; } }
}
"""

# Chosen for their number of files and bytes: about 30,000 and 0.9 GB with the base.
PYTHON_PACKAGES = (
    ["python3", "python3-venv", "python3-pip", "python3-dev", "build-essential"],
    [
        "libllvm15",
        "libopenblas0-pthread",
        "python3-django",
        "python3-numpy",
        "python3-pandas",
        "python3-sympy",
    ],
)


def _when(seconds):
    minutes, second = divmod(seconds, 60)
    return f"2026-01-01T00:{minutes:02}:{second:02}Z"


class History:
    """History entries a second apart: (created_by, is it a layer?)."""

    def __init__(self, *steps):
        self.entries = []
        for second, (text, is_layer) in enumerate(steps):
            entry = {"created": _when(second), "created_by": text}
            if not is_layer:
                entry["empty_layer"] = True
            self.entries.append(entry)


def image(layers, history, arch="amd64", annotations=None, **config):
    """An image whose config is as docker writes it."""
    assert len(layers) == sum("empty_layer" not in e for e in history.entries)
    return oci.Image(
        {
            "architecture": arch,
            "os": "linux",
            "created": history.entries[-1]["created"],
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
            "history": history.entries,
        },
        layers,
        annotations or {},
    )


class Kitchen:
    """Makes layers below one folder: trees in `trees/`, tars in `tars/`."""

    def __init__(self, folder, debs, mebibytes):
        self.debs = debs
        self.trees = folder / "trees"
        self.tars = folder / "tars"
        self.trees.mkdir(parents=True)
        self.tars.mkdir()
        debian.fast_folder(self.trees, mebibytes)

    def close(self):
        debian.drop_fast_folder(self.trees)

    def layer(self, name, entries, **options):
        path = self.tars / f"{name}.tar"
        for entry in entries:
            entry.mtime = min(entry.mtime or EPOCH, EPOCH)
        return oci.Layer(path, layer.write(path, entries, **options))

    def base_tree(self):
        """A minimal Debian. It still has apt's lists, for the trees made of it."""
        tree = self.trees / "base"
        debian.bootstrap(tree, self.debs, EPOCH)
        return tree

    def tree_with(self, name, base, packages):
        """A clone of `base` with packages installed."""
        tree = self.trees / name
        debian.clone(base, tree)
        debian.install(tree, packages, EPOCH)
        return tree

    def cleaned(self, tree):
        """A clone of `tree` as an image has it."""
        copy = tree.with_name(tree.name + "-clean")
        debian.clone(tree, copy)
        debian.clean(copy)
        return copy


def busybox(kitchen, base):
    """One layer, in the oldest tar format, with names that start with `./`."""
    unpacked = kitchen.trees / "busybox"
    debian.unpack(base, "busybox-static", unpacked, EPOCH)
    program = unpacked / "bin/busybox"
    applets = os.popen(f"{program} --list").read().split()  # noqa: S605 (a path of ours)
    files = {
        "etc/group": b"root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
        "etc/hosts": b"127.0.0.1\tlocalhost\n",
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/empty": b"",
    }
    entries = [layer.directory("")]
    for name, mode in {
        "bin": 0o755,
        "dev": 0o755,
        "etc": 0o755,
        "home": 0o755,
        "proc": 0o755,
        "root": 0o700,
        "sys": 0o755,
        "tmp": 0o1777,
        "usr": 0o755,
        "usr/bin": 0o755,
        "usr/sbin": 0o755,
        "var": 0o755,
        "var/tmp": 0o1777,
    }.items():
        entries.append(layer.directory(name, mode))
    entries += [layer.Entry(name, data=data) for name, data in files.items()]
    entries.append(layer.Entry("bin/busybox", 0o755, data=str(program)))
    # As in the well-known image, applets are hard links; a few are symbolic ones.
    for applet in sorted(set(applets) - {"busybox"}):
        if applet == "env":
            entries.append(layer.symlink("usr/bin/env", "../../bin/env"))
        entries.append(layer.hardlink(f"bin/{applet}", "bin/busybox", 0o755))
    only = kitchen.layer("busybox", entries, form=tarfile.USTAR_FORMAT, prefix="./")
    history = History(
        ("BusyBox from Debian's busybox-static", True),
        ('CMD ["sh"]', False),
    )
    return image([only], history, Cmd=["sh"], Env=["PATH=/usr/bin:/usr/sbin:/bin:/sbin"])


def odd(kitchen, busybox_image):
    """What OSTree has no object for, on top of busybox: stock ostree refuses this layer."""
    entries = [
        layer.directory("dev"),
        layer.Entry("dev/berth-null", 0o666, tarfile.CHRTYPE, device=(1, 3)),
        layer.Entry("dev/berth-loop", 0o660, tarfile.BLKTYPE, gid=6, device=(7, 0)),
        layer.directory("odd"),
        layer.Entry("odd/fifo", 0o600, tarfile.FIFOTYPE),
        layer.Entry("odd/latin1-\udce9", data=b"a name that is not UTF-8\n"),
        layer.symlink("odd/latin1-link", "latin1-\udce9"),
        layer.Entry("odd/kept", data=b"and one that is quite plain\n"),
    ]
    top = kitchen.layer("odd", entries, form=tarfile.GNU_FORMAT)
    history = History(
        ("BusyBox from Debian's busybox-static", True),
        ("COPY odd /odd # buildkit", True),
        ('CMD ["sh"]', False),
    )
    return image([*busybox_image.layers, top], history, Cmd=["sh"])


def base_layer(kitchen, tree):
    """The layer that redis and nginx share, in GNU's tar format."""
    return kitchen.layer("base", layer.difference(None, tree), form=tarfile.GNU_FORMAT)


def _redis_top():
    """A small layer with one of each: whiteout, opaque directory, hard link, setuid file, foreign
    owner, capability."""
    binaries = "usr/local/bin"
    return [
        layer.directory("data", 0o755, uid=REDIS_UID, gid=REDIS_UID),
        layer.directory("etc"),
        layer.whiteout("etc/issue.net"),
        layer.directory("etc/redis", 0o2755),
        layer.Entry("etc/redis/redis.conf", data=REDIS_CONF),
        # After a sibling on purpose: an opaque marker hides lower layers only, wherever it stands.
        layer.opaque("etc/redis"),
        layer.directory(binaries),
        layer.Entry(f"{binaries}/docker-entrypoint.sh", 0o755, data=ENTRYPOINT),
        layer.hardlink(f"{binaries}/entrypoint", f"{binaries}/docker-entrypoint.sh", 0o755),
        layer.Entry(f"{binaries}/as-root", 0o4755, data=b"#!/bin/sh\nid -u\n"),
        layer.Entry(
            f"{binaries}/bind-low",
            0o755,
            data=b"#!/bin/sh\nexit 0\n",
            xattrs={"security.capability": CAPABILITY, "user.berth.test": b"an xattr"},
        ),
        layer.symlink("usr/local/bin/redis", "/usr/bin/redis-server"),
        layer.Entry("etc/redis/owned", 0o640, uid=REDIS_UID, gid=REDIS_UID, data=b"theirs\n"),
    ]


def _redis_image(layers, version):
    history = History(
        ("/bin/sh -c #(nop) ADD rootfs.tar in / ", True),
        ('/bin/sh -c #(nop)  CMD ["bash"]', False),
        (f"ENV REDIS_BUILD={version}", False),
        ("RUN /bin/sh -c apt-get install -y redis-server redis-tools # buildkit", True),
        ("VOLUME [/data]", False),
        ("WORKDIR /data", False),
        ("COPY docker-entrypoint.sh /usr/local/bin/ # buildkit", True),
        ('ENTRYPOINT ["docker-entrypoint.sh"]', False),
        ("EXPOSE map[6379/tcp:{}]", False),
        ('CMD ["redis-server"]', False),
    )
    return image(
        layers,
        history,
        Env=[
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            f"REDIS_BUILD={version}",
        ],
        Cmd=["redis-server"],
        Entrypoint=["docker-entrypoint.sh"],
        WorkingDir="/data",
        Volumes={"/data": {}},
        ExposedPorts={"6379/tcp": {}},
        Labels={"org.opencontainers.image.title": "redis", "berth.build": version},
    )


def redis(kitchen, base, shared, clean_base):
    """Three layers: the shared base, the packages (PAX, with parts of a second), a small top."""
    tree = kitchen.cleaned(kitchen.tree_with("redis", base, ["redis-server", "redis-tools"]))
    packages = layer.difference(clean_base, tree)
    middle = kitchen.layer("redis", packages, fraction=True)
    top = kitchen.layer("redis-top", _redis_top())
    return _redis_image([shared, middle, top], "1"), packages


def redis_next(kitchen, clean_base, packages):
    """The same built a week later: a twentieth of the base's files differ, and every time does."""
    entries = layer.difference(None, clean_base)
    for entry in entries:
        if entry.kind == tarfile.REGTYPE and _is_rebuilt(entry.name):
            entry.data = pathlib.Path(entry.data).read_bytes() + b"\n# built again\n"
    layers = []
    for name, part, options in (
        ("base-next", entries, {"form": tarfile.GNU_FORMAT}),
        ("redis-next", packages, {"fraction": True}),
        ("redis-next-top", _redis_top(), {}),
    ):
        for entry in part:
            entry.mtime = min(entry.mtime or EPOCH, EPOCH) - WEEK
        layers.append(kitchen.layer(name, part, **options))
    return _redis_image(layers, "2")


def _is_rebuilt(name):
    # Trailing bytes harm no program and no script, but these are read by their length or line by line.
    if not name.startswith("usr/") or "/locale/" in name or "/gconv/" in name:
        return False
    # One in sixteen of these is one in twenty of all.
    return hashlib.sha256(name.encode()).digest()[0] < 16


def nginx(kitchen, base, shared, clean_base):
    """On the very blob that redis has at the bottom."""
    tree = kitchen.cleaned(kitchen.tree_with("nginx", base, ["nginx-light"]))
    middle = kitchen.layer("nginx", layer.difference(clean_base, tree))
    top = kitchen.layer(
        "nginx-top",
        [
            layer.directory("etc"),
            layer.directory("etc/nginx"),
            layer.Entry("etc/nginx/nginx.conf", data=NGINX_CONF),
            layer.directory("var/log/nginx"),
            layer.symlink("var/log/nginx/access.log", "/dev/stdout"),
            layer.symlink("var/log/nginx/error.log", "/dev/stderr"),
        ],
    )
    history = History(
        ("/bin/sh -c #(nop) ADD rootfs.tar in / ", True),
        ('/bin/sh -c #(nop)  CMD ["bash"]', False),
        ("RUN /bin/sh -c apt-get install -y nginx-light # buildkit", True),
        ("COPY nginx.conf /etc/nginx/ # buildkit", True),
        ("EXPOSE map[8080/tcp:{}]", False),
        ("STOPSIGNAL SIGQUIT", False),
        ('CMD ["nginx"]', False),
    )
    return image(
        [shared, middle, top],
        history,
        Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        Cmd=["nginx"],
        ExposedPorts={"8080/tcp": {}},
        StopSignal="SIGQUIT",
    )


def arm64(kitchen):
    """An image for a machine that this one is not: four files, none of which runs here."""
    only = kitchen.layer(
        "arm64",
        [
            layer.directory("bin"),
            layer.Entry("bin/sh", 0o755, data=b"not for this machine\n"),
            layer.directory("etc"),
            layer.Entry("etc/machine", data=b"aarch64\n"),
        ],
    )
    history = History(("COPY sh /bin/", True), ('CMD ["sh"]', False))
    made = image([only], history, arch="arm64", Cmd=["sh"])
    made.config["variant"] = "v8"
    return made


def python(kitchen, base):
    """Many files, for benches: about 30,000 in four layers."""
    below = debian_clean = kitchen.cleaned(base)
    layers = [base_layer(kitchen, debian_clean)]
    tree, installed = base, []
    for number, packages in enumerate(PYTHON_PACKAGES):
        installed += packages
        tree = kitchen.tree_with(f"python-{number}", tree, packages)
        clean = kitchen.cleaned(tree)
        layers.append(kitchen.layer(f"python-{number}", layer.difference(below, clean)))
        below = clean
    top = [layer.directory("app"), layer.Entry("app/main.py", data=b"import numpy, scipy\n")]
    layers.append(kitchen.layer("python-top", top))
    history = History(
        ("/bin/sh -c #(nop) ADD rootfs.tar in / ", True),
        ("RUN /bin/sh -c apt-get install -y python3 … # buildkit", True),
        ("RUN /bin/sh -c apt-get install -y python3-numpy … # buildkit", True),
        ("WORKDIR /app", False),
        ("COPY main.py /app/ # buildkit", True),
        ('CMD ["python3"]', False),
    )
    return image(
        layers,
        history,
        Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
        Cmd=["python3"],
        WorkingDir="/app",
    )
