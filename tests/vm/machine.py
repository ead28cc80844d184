"""A virtual machine, and the line on which its tests talk."""

import ctypes
import os
import selectors
import signal
import subprocess
import time

MEMORY_MIB = 2048
CPUS = 2
# For one whole boot, and for one line: a test takes at most 600 s, a boot 30 to 200 (busy).
SECONDS = 7200
SECONDS_SILENT = 700


class Silent(Exception):
    """The machine did not say what it should have, in time."""


def _die_with_parent():
    die_signal = 1
    ctypes.CDLL(None).prctl(die_signal, signal.SIGKILL)


class Machine:
    """Runs as long as the `with` block; the end of the block is a power cut.

    The console goes to a file. The second serial line is the tests': read by line or by count.
    Emulated (TCG): it works wherever this runs, also where a nested KVM hangs.
    """

    def __init__(self, kernel, initramfs, disks, console, append=""):
        self.deadline = time.monotonic() + SECONDS
        self.console = console
        self._read = b""
        words = ["console=ttyS0", "panic=-1", append]
        command = ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"]
        command += ["-accel", "tcg,thread=multi", "-cpu", "max"]
        command += ["-m", str(MEMORY_MIB), "-smp", str(CPUS)]
        command += ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", " ".join(words)]
        for disk in disks:
            command += ["-drive", f"file={disk},format=raw,if=virtio"]
        command += ["-chardev", f"file,id=console,path={console},append=on"]
        command += ["-serial", "chardev:console", "-serial", "stdio"]
        self._command = command

    def __enter__(self):
        self._qemu = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(f"{self.console}.qemu", "wb"),  # noqa: SIM115
            preexec_fn=_die_with_parent,
        )
        os.set_blocking(self._qemu.stdout.fileno(), False)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._qemu.stdout, selectors.EVENT_READ)
        return self

    def __exit__(self, *_):
        self._qemu.kill()
        self._qemu.wait()
        self._ready.close()

    def say(self, data):
        self._qemu.stdin.write(data)
        self._qemu.stdin.flush()

    def line(self):
        """The next line, without its end."""
        while b"\n" not in self._read:
            self._more()
        line, self._read = self._read.split(b"\n", 1)
        return line.rstrip(b"\r").decode(errors="replace")

    def exactly(self, count):
        """So many bytes."""
        while len(self._read) < count:
            self._more()
        data, self._read = self._read[:count], self._read[count:]
        return data

    def until_off(self):
        """Until it has shut itself down."""
        while self._wait_and_read():
            pass

    def _wait_and_read(self):
        """What it says next: nothing once it is off."""
        left = self.deadline - time.monotonic()
        if left <= 0 or not self._ready.select(min(left, SECONDS_SILENT)):
            raise Silent("the machine took too long" + self._last_words())
        return self._qemu.stdout.read()

    def _more(self):
        data = self._wait_and_read()
        if not data:
            raise Silent("the machine went off" + self._last_words())
        self._read += data

    def _last_words(self):
        said = [self._read]
        for path in (f"{self.console}.qemu", self.console):
            with open(path, "rb") as file:
                said.append(file.read()[-3000:])
        text = b"\n".join(said).decode(errors="replace").replace("\r", "")
        return "; its last words:\n" + text.strip()
