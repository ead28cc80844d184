//! A network of the container's own, connected to the host's by pasta (of the package passt), as podman uses it.
//!
//! pasta is started outside, before the user namespace is entered, waits on a pipe like the programs that map ids, and then
//! joins our namespaces by our pid. It is ready when it writes its pid, which it does into a FIFO, so that nothing is
//! polled; if it ends instead, its last words are the error. It stays a child of the supervisor, in its foreground mode,
//! and the kernel kills it when the supervisor goes, however that goes. (By itself the version of Debian 12 would live on: it
//! holds the namespace that it serves.)

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use crate::error::{Error, Result};
use crate::etc;
use crate::ids::IdHelpers;
use crate::network::{Net, Network};
use crate::ports::{Port, Protocol};
use crate::sys;

/// How long pasta may take to make the network.
const READY_TIMEOUT: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};
/// How much of what it says is read.
const LOG_BYTES_MAX: u64 = 16 << 10;
/// The most ports in one argument; a range is one.
const RANGES_MAX: usize = 512;

/// pasta, waiting for the namespaces.
#[derive(Debug)]
pub(crate) struct Pasta {
    pid: Pid,
    go: OwnedFd,
    ready: OwnedFd,
    fifo: PathBuf,
    log: PathBuf,
}

/// Starts pasta where `net` asks for it. `bundle` holds its log.
pub(crate) fn start(bundle: &Path, net: &Net, helpers: &IdHelpers) -> Result<Option<Pasta>> {
    if net.network != Network::Pasta {
        return Ok(None);
    }
    let program = helpers.pasta.as_deref().ok_or_else(|| Error::Host {
        lacks: "make a network for the container: pasta is not on PATH",
        hint: "install the package passt, or use --network host or none".into(),
        source: None,
    })?;
    let (fifo, log) = (bundle.join("pasta.ready"), bundle.join("pasta.log"));
    match std::fs::remove_file(&fifo) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &fifo)(error));
        }
        _ => {}
    }
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, mode, 0).map_err(Error::io("make", &fifo))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let ready = rustix::fs::open(&fifo, flags, Mode::empty()).map_err(Error::io("open", &fifo))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let said = rustix::fs::open(&log, flags, mode).map_err(Error::io("open", &log))?;
    let nothing = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(Error::io("open", "/dev/null"))?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| refused("it holds a NUL"));
    let mut args = vec![text(b"pasta")?];
    for arg in arguments(net, &fifo, etc::needs_forwarder(net)?)? {
        args.push(text(&arg)?);
    }
    let path = text(program.as_os_str().as_bytes())?;
    let (held, go) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::os("make a pipe"))?;
    let stdio = [nothing.as_fd(), said.as_fd()];
    let pid = sys::spawn_bound([held.as_fd(), go.as_fd()], &path, &args, stdio)
        .map_err(Error::os("start pasta"))?;
    Ok(Some(Pasta {
        pid,
        go,
        ready,
        fifo,
        log,
    }))
}

fn refused(why: &str) -> Error {
    Error::option("--network", "pasta", why)
}

/// The command line as podman makes it: nothing is forwarded that was not asked for, and the host's loopback cannot be
/// reached.
fn arguments(net: &Net, fifo: &Path, forward: bool) -> Result<Vec<Vec<u8>>> {
    let mut args: Vec<String> = ["--config-net", "--foreground", "--quiet"]
        .map(String::from)
        .to_vec();
    args.extend(net.pasta.iter().cloned());
    let has = |short: &str, long: &str| {
        net.pasta
            .iter()
            .any(|arg| arg == short || arg == long || arg.starts_with(&format!("{long}=")))
    };
    for (short, long, protocol) in [
        ("-t", "--tcp-ports", Protocol::Tcp),
        ("-u", "--udp-ports", Protocol::Udp),
    ] {
        let specs = specs(&net.publish, protocol);
        if specs.is_empty() && !has(short, long) {
            args.extend([short.to_owned(), "none".to_owned()]);
        }
        if specs.len() > RANGES_MAX {
            let why = format!("more than {RANGES_MAX} ports that are not in ranges");
            return Err(Error::option("--publish", &specs.len().to_string(), why));
        }
        for spec in specs {
            args.extend([short.to_owned(), spec]);
        }
    }
    for (short, long) in [("-T", "--tcp-ns"), ("-U", "--udp-ns")] {
        if !has(short, long) {
            args.extend([short.to_owned(), "none".to_owned()]);
        }
    }
    if !has("--map-gw", "--map-gw") && !has("--no-map-gw", "--no-map-gw") {
        args.push("--no-map-gw".to_owned());
    }
    args.retain(|arg| arg != "--map-gw");
    if forward && !has("--dns-forward", "--dns-forward") {
        args.extend(["--dns-forward".to_owned(), etc::FORWARDER.to_owned()]);
    }
    let mut args: Vec<Vec<u8>> = args.into_iter().map(String::into_bytes).collect();
    args.extend([b"--pid".to_vec(), fifo.as_os_str().as_bytes().to_vec()]);
    args.push(std::process::id().to_string().into_bytes());
    Ok(args)
}

/// The ports of a protocol as pasta wants them, neighbours together: `[IP/]HOST[-HOST]:INSIDE[-INSIDE]`.
fn specs(ports: &[Port], protocol: Protocol) -> Vec<String> {
    let mut runs: Vec<(Port, u16)> = Vec::new();
    for port in ports.iter().filter(|port| port.protocol == protocol) {
        match runs.last_mut() {
            Some((first, more))
                if first.ip == port.ip
                    && first.host.checked_add(*more + 1) == Some(port.host)
                    && first.inside.checked_add(*more + 1) == Some(port.inside) =>
            {
                *more += 1;
            }
            _ => runs.push((*port, 0)),
        }
    }
    let span = |first: u16, more: u16| match more {
        0 => first.to_string(),
        more => format!("{first}-{}", first + more),
    };
    runs.into_iter()
        .map(|(port, more)| {
            let ip = port.ip.map(|ip| format!("{ip}/")).unwrap_or_default();
            format!("{ip}{}:{}", span(port.host, more), span(port.inside, more))
        })
        .collect()
}

impl Pasta {
    /// Lets pasta into the namespaces that this process has entered by now, and waits until the network is there.
    pub(crate) fn connect(self) -> Result<()> {
        rustix::io::write(&self.go, b"g").map_err(Error::os("start pasta"))?;
        let process =
            pidfd_open(self.pid, PidfdFlags::empty()).map_err(Error::os("watch pasta"))?;
        let mut waited = [
            PollFd::new(&self.ready, PollFlags::IN),
            PollFd::new(&process, PollFlags::IN),
        ];
        let count = poll(&mut waited, Some(&READY_TIMEOUT)).map_err(Error::os("wait for pasta"))?;
        let is_ready = waited[0].revents().contains(PollFlags::IN);
        if is_ready {
            // It is of no more use; a new start makes a new one.
            std::fs::remove_file(&self.fifo).ok();
            return Ok(());
        }
        if count == 0 {
            rustix::process::kill_process(self.pid, rustix::process::Signal::KILL).ok();
        }
        waitpid(Some(self.pid), WaitOptions::empty()).map_err(Error::os("wait for pasta"))?;
        Err(Error::Host {
            lacks: "make a network for the container with pasta",
            hint: match self.last_words() {
                words if words.is_empty() => "use --network host or none".to_owned(),
                words => format!("pasta said: {words}"),
            },
            source: None,
        })
    }

    /// What it said last, without what it could not tell a system log.
    fn last_words(&self) -> String {
        let mut said = Vec::new();
        if let Ok(file) = File::open(&self.log) {
            file.take(LOG_BYTES_MAX).read_to_end(&mut said).ok();
        }
        let said = String::from_utf8_lossy(&said);
        let noise = |line: &&str| !line.trim().is_empty() && !line.contains("to syslog");
        let last = said.lines().rfind(noise).unwrap_or_default();
        last.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Publish;

    fn net(publish: &[&str], pasta: &[&str]) -> Net {
        let ports = publish
            .iter()
            .map(|text| text.parse::<Publish>().expect("valid").0);
        Net {
            network: Network::Pasta,
            publish: ports.flatten().collect(),
            pasta: pasta.iter().map(|text| (*text).to_owned()).collect(),
            ..Net::default()
        }
    }

    fn line(net: &Net, forward: bool) -> String {
        let args = arguments(net, Path::new("/f"), forward).expect("valid");
        let args: Vec<String> = args
            .into_iter()
            .map(|arg| String::from_utf8(arg).expect("text"))
            .collect();
        args.join(" ")
            .replace(&std::process::id().to_string(), "PID")
    }

    #[test]
    fn nothing_is_forwarded_that_was_not_asked_for() {
        assert_eq!(
            line(&net(&[], &[]), false),
            "--config-net --foreground --quiet -t none -u none -T none -U none --no-map-gw --pid /f PID"
        );
        assert_eq!(
            line(
                &net(&["8000-8002:80-82", "9000:9", "127.0.0.1:53:53/udp"], &[]),
                true
            ),
            "--config-net --foreground --quiet -t 8000-8002:80-82 -t 9000:9 -u 127.0.0.1/53:53 -T none -U none \
             --no-map-gw --dns-forward 169.254.1.1 --pid /f PID"
        );
        assert_eq!(
            line(&net(&[], &["-t", "auto", "--map-gw", "--tcp-ns=22"]), false),
            "--config-net --foreground --quiet -t auto --tcp-ns=22 -u none -U none --pid /f PID"
        );
    }

    #[test]
    fn a_missing_pasta_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = start(dir.path(), &net(&[], &[]), &IdHelpers::default()).expect_err("none");
        assert_eq!(
            error.to_string(),
            "this host cannot make a network for the container: pasta is not on PATH"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("passt")));
    }
}
