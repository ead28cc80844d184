"""Layer tars: what one tree has that another has not, and entries made by hand."""

import dataclasses
import hashlib
import io
import os
import stat
import tarfile

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@dataclasses.dataclass
class Entry:
    """One member of a layer. `data` is bytes, or the path of the file that has them."""

    name: str
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    data: object = b""
    link: str = ""
    uid: int = 0
    gid: int = 0
    mtime: float = 0
    device: tuple = (0, 0)
    xattrs: dict = dataclasses.field(default_factory=dict)


def directory(name, mode=0o755, **rest):
    return Entry(name, mode, tarfile.DIRTYPE, **rest)


def symlink(name, target, **rest):
    return Entry(name, 0o777, tarfile.SYMTYPE, link=target, **rest)


def hardlink(name, target, mode, **rest):
    # With the mode of the file itself: some readers set it once more.
    return Entry(name, mode, tarfile.LNKTYPE, link=target, **rest)


def whiteout(name):
    head, _, tail = name.rpartition("/")
    return Entry(f"{head}/{WHITEOUT}{tail}".lstrip("/"))


def opaque(name):
    return Entry(f"{name}/{OPAQUE}")


_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


def _walk(tree):
    """name → stat of everything below `tree`, parents first, sorted."""
    found = {}

    def visit(folder, prefix):
        with os.scandir(folder) as items:
            for item in sorted(items, key=lambda it: it.name):
                name = prefix + item.name
                found[name] = item.stat(follow_symlinks=False)
                if item.is_dir(follow_symlinks=False):
                    visit(item.path, name + "/")

    visit(tree, "")
    return found


def _same(old, new, old_path, new_path):
    fields = ("st_mode", "st_uid", "st_gid", "st_rdev", "st_mtime_ns")
    if any(getattr(old, field) != getattr(new, field) for field in fields):
        return False
    if stat.S_ISLNK(new.st_mode):
        return os.readlink(old_path) == os.readlink(new_path)
    return stat.S_ISDIR(new.st_mode) or old.st_size == new.st_size


def difference(lower, upper):
    """The entries that turn `lower` (None: nothing) into `upper`, with whiteouts for what is gone."""
    before = _walk(lower) if lower else {}
    after = _walk(upper)
    entries, needed, first_names = [], set(), {}
    for name, now in after.items():
        then = before.get(name)
        path = os.path.join(upper, name)
        if then is None or not _same(then, now, os.path.join(lower or "", name), path):
            needed.add(name)
            for i in range(name.count("/")):
                needed.add(name.rsplit("/", i + 1)[0])
    for name in before.keys() - after.keys():
        if os.path.dirname(name) in after or "/" not in name:
            needed.add(name)
            needed.update(name.rsplit("/", i + 1)[0] for i in range(name.count("/")))
    for name in sorted(needed):
        if name in after:
            entries.append(_entry(upper, name, after[name], first_names))
        else:
            entries.append(whiteout(name))
    return entries


def _entry(tree, name, info, first_names):
    path = os.path.join(tree, name)
    entry = Entry(
        name,
        stat.S_IMODE(info.st_mode),
        _KINDS[stat.S_IFMT(info.st_mode)],
        uid=info.st_uid,
        gid=info.st_gid,
        mtime=info.st_mtime,
        device=(os.major(info.st_rdev), os.minor(info.st_rdev)),
    )
    if entry.kind == tarfile.SYMTYPE:
        entry.link = os.readlink(path)
    elif entry.kind == tarfile.REGTYPE:
        first = first_names.setdefault((info.st_dev, info.st_ino), name)
        if first != name:
            entry.kind, entry.link = tarfile.LNKTYPE, first
        entry.data = path
        for key in os.listxattr(path):
            entry.xattrs[key] = os.getxattr(path, key)
    return entry


class _Hashed:
    """A file that knows the digest and size of what was written to it."""

    def __init__(self, file):
        self.file, self.sha256, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.sha256.update(data)
        self.size += len(data)
        return self.file.write(data)

    def tell(self):
        return self.size


def write(path, entries, form=tarfile.PAX_FORMAT, prefix="", fraction=False):
    """Writes a layer tar; returns its digest, which is the layer's DiffID.

    `fraction` keeps parts of a second in mtimes, which only PAX can hold.
    """
    with open(path, "wb") as file:
        out = _Hashed(file)
        # The default record size pads to 10 KiB, as GNU tar does.
        with tarfile.open(fileobj=out, mode="w|", format=form, errors="surrogateescape") as tar:
            for entry in entries:
                _add(tar, entry, prefix, fraction)
    return "sha256:" + out.sha256.hexdigest()


def _add(tar, entry, prefix, fraction):
    info = tarfile.TarInfo(prefix + entry.name)
    info.type, info.mode = entry.kind, entry.mode
    info.uid, info.gid = entry.uid, entry.gid
    info.mtime = entry.mtime if fraction else int(entry.mtime)
    info.linkname = (prefix if entry.kind == tarfile.LNKTYPE else "") + entry.link
    info.devmajor, info.devminor = entry.device
    for key, value in entry.xattrs.items():
        info.pax_headers["SCHILY.xattr." + key] = value.decode("ascii")
    if entry.kind != tarfile.REGTYPE:
        tar.addfile(info)
    elif isinstance(entry.data, bytes):
        info.size = len(entry.data)
        tar.addfile(info, io.BytesIO(entry.data))
    else:
        with open(entry.data, "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)
