"""Root file systems made of Debian packages alone: debootstrap, then apt inside it."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys

APT_SOURCES = pathlib.Path("/etc/apt")


class Unavailable(Exception):
    """What this machine lacks, in words for its owner."""


def fast_folder(folder, mebibytes):
    """Puts `folder` in memory, when there is plenty, for this process and its children alone."""
    with open("/proc/meminfo", encoding="ascii") as info:
        free = next(int(line.split()[1]) >> 10 for line in info if line.startswith("MemAvailable"))
    if free < 2 * mebibytes:
        return
    new_mount_namespace = 0x00020000
    if ctypes.CDLL(None).unshare(new_mount_namespace) != 0:
        return
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    size = f"size={mebibytes}m,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "berth-images", str(folder)], check=True)


def drop_fast_folder(folder):
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _os_release():
    pairs = (
        line.split("=", 1)
        for line in pathlib.Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    return {key: value.strip('"') for key, value in pairs}


def _one_line_sources(text):
    """(uri, suite) of each `deb [options] URI SUITE COMPONENT…` line."""
    for line in text.splitlines():
        line = line.split("#", 1)[0]
        if "[" in line and "]" in line:
            line = line[: line.index("[")] + line[line.index("]") + 1 :]
        words = line.split()
        if len(words) >= 4 and words[0] == "deb":
            yield words[1], words[2]


def _deb822_sources(text):
    """(uri, suite) of each stanza's every URI and suite."""
    for stanza in text.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            if not line.startswith(("#", " ", "\t")) and ":" in line:
                key, value = line.split(":", 1)
                fields[key.lower()] = value.split()
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            for uri in fields.get("uris", []):
                for suite in fields.get("suites", []):
                    yield uri, suite


def mirror():
    """The mirror and the suite that this machine itself is installed from."""
    release = _os_release()
    suite = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not suite:
        raise Unavailable("the images are made of Debian packages, and this machine is not Debian")
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*"))]
    for file in filter(pathlib.Path.is_file, files):
        parse = {".list": _one_line_sources, ".sources": _deb822_sources}.get(file.suffix)
        for uri, its_suite in parse(file.read_text()) if parse else ():
            if its_suite != suite:
                continue
            if uri.startswith("mirror+file:"):
                uri = pathlib.Path(uri.removeprefix("mirror+file:")).read_text().split()[0]
            if uri.startswith(("http:", "https:", "file:")):
                return uri.rstrip("/"), suite
    raise Unavailable(f"no mirror of Debian {suite} in {APT_SOURCES}/sources.list*")


def _run(command, **options):
    """Runs it in a mount namespace of its own, so that nothing stays mounted whatever happens."""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **options,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace")[-4000:])
        raise Unavailable(f"`{command[0]} …` failed with {done.returncode}")


def _environment(epoch):
    kept = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    return kept | {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": str(epoch),
    }


def bootstrap(target, debs, epoch):
    """A minimal Debian in `target`; packages are kept in `debs` for the next time."""
    uri, suite = mirror()
    debs.mkdir(parents=True, exist_ok=True)
    _run(
        ["debootstrap", "--variant=minbase", f"--cache-dir={debs}", suite, str(target), uri],
        env=_environment(epoch),
    )
    # Nobody needs this tree after a crash.
    (target / "etc/dpkg/dpkg.cfg.d/speed").write_text("force-unsafe-io\n")
    in_tree(target, ["apt-get", "update", "-q"], epoch)


def clone(source, target):
    """A second tree with the same files, owners and times."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def in_tree(tree, command, epoch):
    """Runs a command inside a tree, with the machine's network and no services started."""
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    script = 'mount -t proc proc "$0/proc" && tree=$0 && exec chroot "$tree" "$@"'
    try:
        _run(["sh", "-c", script, str(tree), *command], env=_environment(epoch))
    finally:
        policy.unlink()
        (tree / "etc/resolv.conf").unlink()


def install(tree, packages, epoch):
    """Installs packages into a tree."""
    in_tree(tree, ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], epoch)


def unpack(tree, package, target, epoch):
    """The files of one package, in `target`, without installing it anywhere."""
    in_tree(tree, ["sh", "-c", f"cd /var/tmp && apt-get download -q {package}"], epoch)
    (deb,) = (tree / "var/tmp").glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(deb), str(target)], check=True)
    deb.unlink()


# What a package manager leaves behind and an image has no use for.
_LEFTOVERS = (
    "var/lib/apt/lists/*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/log/**/*.log",
    "etc/*-",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/dpkg/dpkg.cfg.d/speed",
)


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def clean(tree):
    """Removes what differs from build to build or is no use in an image."""
    for pattern in _LEFTOVERS:
        for path in tree.glob(pattern):
            _remove(path)
    for folder in ("dev", "proc", "sys", "run", "tmp", "var/tmp"):
        for path in (tree / folder).iterdir():
            _remove(path)
    (tree / "etc/machine-id").write_text("")
