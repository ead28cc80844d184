"""The tests of the bare host, in order: what a user does with berth, an image and nothing else."""


def test_load(user):
    user.berth("load", "-q", "-i", "/busybox").ok("Loaded image: busybox\n")
    user.berth("images").ok().says("busybox")


def test_run(user):
    run = ["run", "--rm", "busybox"]
    user.berth(*run, "echo", "hello").ok("hello\n")
    user.berth(*run, "sh", "-c", "exit 7").with_status(7)
    user.berth(*run, "/nowhere").with_status(127)
    user.berth(*run, "/etc/passwd").with_status(126)
    user.berth("ps", "-aq").ok("")


def test_world(user):
    """One id, root's; a writable root; nothing of the host in sight."""
    run = ["run", "--rm", "--network", "none", "busybox", "sh", "-c"]
    user.berth(*run, "id -u; echo $$").ok("0\n1\n")
    user.berth(*run, "echo new >/etc/new && cat /etc/new").ok("new\n")
    user.berth(*run, "ls -d /disk /m /agent").with_status(1)
    user.berth(*run, "ls /etc/new").with_status(1)
    user.berth(*run, "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status").ok(
        "NoNewPrivs:\t1\nSeccomp:\t2\n"
    )


def test_volume(user):
    run = ["run", "--rm", "-v", "kept:/kept", "busybox", "sh", "-c"]
    user.berth(*run, "echo kept >/kept/file").ok("")
    user.berth(*run, "cat /kept/file").ok("kept\n")


def test_detached(user):
    script = "echo started; echo aloud >&2; exec sleep 1000"
    started = user.berth("run", "-d", "--name", "sleeper", "busybox", "sh", "-c", script).ok()
    assert len(started.out) == 65, started
    user.berth("ps").ok().says("sleeper")


def test_inspect(user):
    user.berth("inspect", "--format", "{{.State.Status}}", "sleeper").ok("running\n")


def test_exec(user):
    user.berth("exec", "sleeper", "sh", "-c", "echo in; exit 3").with_status(3).says("in\n")
    user.berth("exec", "sleeper", "cat", "/proc/1/comm").ok("sleep\n")
    user.berth("exec", "sleeper", "grep", "Seccomp:", "/proc/self/status").ok("Seccomp:\t2\n")


def test_logs(user):
    logs = user.berth("logs", "sleeper").ok("started\n")
    assert logs.err == "aloud\n", logs


def test_stop(user):
    user.berth("stop", "-t", "1", "sleeper").ok("sleeper\n")
    user.berth("wait", "sleeper").ok("137\n")
    user.berth("ps", "-q").ok("")


def test_start_again(user):
    user.berth("start", "sleeper").ok("sleeper\n")
    user.berth("ps").ok().says("sleeper")
    user.berth("rm", "sleeper").with_status(1).says("it is running")
    user.berth("rm", "-f", "sleeper").ok("sleeper\n")
    user.berth("ps", "-aq").ok("")


def test_verify(user):
    """The store is as it was."""
    user.berth("verify", "busybox").ok()
    user.berth("repo", "fsck").ok()
