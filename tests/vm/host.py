"""What the test hosts are made of: a kernel, an initramfs, disks, a Debian."""

import pathlib
import shutil
import subprocess

import debian

HERE = pathlib.Path(__file__).resolve().parent
EPOCH = 1767225600
MIB = 1 << 20

# Of the Debian host, whose user logs in and has a service manager of his own, and which has a registry.
PACKAGES = (
    "systemd systemd-sysv udev dbus dbus-user-session libpam-systemd"
    " uidmap iproute2 kmod procps util-linux passt docker-registry curl"
).split()
USER = "tester"
DEBIAN_DISK_BYTES = 2048 * MIB

# To find a disk; ext4 is built in. The Debian host finds the other modules itself.
DISK_MODULES = ["virtio_pci", "virtio_blk"]
BARE_MODULES = [*DISK_MODULES, "overlay"]

# The first would wait a minute and a half for a terminal that nobody looks at; the others are chores
# that emulated processors need a minute for.
MASKED = (
    "serial-getty@ttyS0.service e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer"
    " dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-update-utmp-runlevel.service"
).split()

TESTS_UNIT = """\
[Unit]
Description=The tests that were handed in
Wants=user@1000.service
After=user@1000.service systemd-user-sessions.service

[Service]
Type=exec
ExecStart=/bin/sh /handed-in/start
"""

# Started with the tests; they fill it from what was handed in.
REGISTRY = """\
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
  delete:
    enabled: true
http:
  addr: 127.0.0.1:5000
"""


def kernel(tree, folder):
    """Debian's kernel for virtual machines, unpacked: its image, its modules and their order."""
    newest = "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')"
    debian.in_tree(tree, ["sh", "-c", f"cd /var/tmp && apt-get download -q {newest}"], EPOCH)
    (deb,) = (tree / "var/tmp").glob("linux-image-*.deb")
    unpacked = folder / "kernel"
    subprocess.run(["dpkg-deb", "-x", str(deb), str(unpacked)], check=True)
    deb.unlink()
    (image,) = unpacked.glob("boot/vmlinuz-*")
    (modules,) = unpacked.glob("lib/modules/*")
    subprocess.run(["/sbin/depmod", "-b", str(unpacked), modules.name], check=True)
    return image, modules


def with_needed(modules, names):
    """The files of these modules and of what they need, in the order to load them."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    ordered = []
    for name in names:
        (path,) = [path for path in needs if path.endswith(f"/{name}.ko")]
        ordered += [each for each in [*reversed(needs[path]), path] if each not in ordered]
    return [modules / path for path in ordered]


def compile_static(source, program):
    command = ["cc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source)]
    subprocess.run(command, check=True)


def initramfs_tree(folder, hosts, modules):
    """Only what mounts a disk: the first process and kernel modules."""
    (folder / "m").mkdir(parents=True)
    ordered = with_needed(hosts / "modules", modules)
    for module in ordered:
        shutil.copy(module, folder / "m")
    (folder / "modules").write_text("".join(f"/m/{module.name}\n" for module in ordered))
    compile_static(HERE / "init.c", folder / "init")
    return folder


def pack(folder, archive):
    """An initramfs of a folder; everything in it is root's."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    with open(archive, "wb") as out:
        command = ["cpio", "--quiet", "-o", "-H", "newc", "-R", "+0:+0"]
        subprocess.run(command, cwd=folder, input="\n".join(names).encode(), stdout=out, check=True)


def disk(image, size, tree=None, owner=None):
    """A sparse ext4 image, blank or with the files of `tree`."""
    with open(image, "wb") as file:
        file.truncate(size)
    command = ["/sbin/mkfs.ext4", "-q", "-F"]
    command += ["-d", str(tree)] if tree else []
    command += ["-E", f"root_owner={owner}:{owner}"] if owner is not None else []
    subprocess.run([*command, str(image)], check=True)


def settle(tree, modules):
    """Makes a bare Debian tree a host: its modules, its user, and the unit that starts the tests."""

    def run(*command):
        debian.in_tree(tree, list(command), EPOCH)

    shutil.copytree(modules, tree / "lib/modules" / modules.name, symlinks=True)
    run("useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", USER)
    # A journal in memory is not divided among users.
    run("usermod", "--append", "--groups", "systemd-journal", USER)
    linger = tree / "var/lib/systemd/linger"
    linger.mkdir(parents=True, exist_ok=True)
    (linger / USER).touch()
    (tree / "etc/fstab").write_text("/dev/vdb /handed-in ext4 ro 0 0\n")
    (tree / "handed-in").mkdir()
    (tree / "etc/systemd/system/handed-in-tests.service").write_text(TESTS_UNIT)
    run("systemctl", "mask", *MASKED)
    run("systemctl", "disable", "docker-registry.service")
    (tree / "etc/docker/registry/config.yml").write_text(REGISTRY)
    run("systemctl", "add-wants", "multi-user.target", "handed-in-tests.service")
    debian.clean(tree)
    (tree / "etc/systemd/journald.conf").write_text("[Journal]\nStorage=volatile\n")
    (tree / "etc/machine-id").write_text("be" * 16 + "\n")
    (tree / "etc/hostname").write_text("berth-vm\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost berth-vm\n")


def make(work, debs, target):
    """Everything that outlives one run, in `target`."""
    tree = work / "debian"
    debian.bootstrap(tree, debs, EPOCH)
    debian.install(tree, PACKAGES, EPOCH)
    image, modules = kernel(tree, work)
    settle(tree, modules)
    shutil.copy(image, target / "kernel")
    shutil.copytree(modules, target / "modules", symlinks=True)
    disk(target / "debian.img", DEBIAN_DISK_BYTES, tree)
