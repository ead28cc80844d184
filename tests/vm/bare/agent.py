"""The user of the bare host, through the hands of agent.c."""


class Ended:
    """How a command ended, and what it said."""

    def __init__(self, words, status, out, err):
        self.command = " ".join(words)
        self.status = status
        self.out = out.decode(errors="replace")
        self.err = err.decode(errors="replace")

    def __str__(self):
        return f"`{self.command}` ended with {self.status}, said {self.out!r} and {self.err!r}"

    def with_status(self, status):
        if self.status != status:
            raise AssertionError(f"{self}, not with {status}")
        return self

    def ok(self, out=None):
        """It succeeded and, where `out` is given, printed exactly that."""
        self.with_status(0)
        if out is not None and self.out != out:
            raise AssertionError(f"{self}, not {out!r}")
        return self

    def says(self, part):
        """Somewhere, on stdout or stderr."""
        if part not in self.out + self.err:
            raise AssertionError(f"{self}; no {part!r}")
        return self


class Agent:
    def __init__(self, machine):
        self._machine = machine
        while machine.line() != "ready":
            pass

    def berth(self, *words):
        words = ["/berth", *words]
        self._machine.say("".join(f"{word}\x1f" for word in words).encode() + b"\n")
        status, out, err = map(int, self._machine.line().split())
        return Ended(words, status, self._machine.exactly(out), self._machine.exactly(err))
