//! The ordinary user: who runs berth in every test, also when the tests themselves run as root.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
const PREFIX: &str = "berth-it-";
/// No single command of any test takes this long.
const PATIENCE: Duration = Duration::from_secs(180);

/// Somebody to run commands as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
}

impl User {
    pub fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// Root itself, for what only root may. Needs root.
    pub fn root() -> Self {
        Self::named("root").expect("there is a root")
    }

    /// The test user, who has ranges of ids where the machine gives any. None only when the tests
    /// run as root and `tests/user` has not.
    pub fn ordinary() -> Option<Self> {
        if Self::is_root() {
            Self::named("berth-test")
        } else {
            Self::current()
        }
    }

    /// The test user with one id and no more. Needs root.
    pub fn plain() -> Option<Self> {
        Self::is_root()
            .then(|| Self::named("berth-plain"))
            .flatten()
    }

    fn named(name: &str) -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        passwd
            .lines()
            .map(Self::parse)
            .find(|user| user.as_ref().is_some_and(|u| u.name == name))?
    }

    fn current() -> Option<Self> {
        let uid = rustix::process::getuid().as_raw();
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        passwd
            .lines()
            .map(Self::parse)
            .find(|user| user.as_ref().is_some_and(|u| u.uid == uid))?
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?.into();
        Some(Self {
            name,
            uid,
            gid,
            home,
        })
    }

    /// A command that runs as this user, with a login's environment and nothing of ours.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .env("LOGNAME", &self.name)
            .env("SHELL", "/bin/sh")
            .env("PATH", PATH)
            .stdin(Stdio::null());
        if Self::is_root() {
            // Drops the supplementary groups and every capability as well.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// A folder of this user's, on the file system that `BERTH_TESTS_DIR` (/var/tmp) is on.
    pub fn folder(&self, what: &str) -> Folder {
        let folder = Folder::new(what);
        if Self::is_root() {
            chown(folder.path(), Some(self.uid), Some(self.gid)).unwrap();
        }
        folder
    }
}

/// A temporary folder that goes away with all in it, whatever ids and modes a container left there.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Of whoever runs the tests.
    pub fn new(what: &str) -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-{what}-", std::process::id()))
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent())
            .unwrap();
        Self { path: dir.keep() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Ends supervisors that a test which failed has left, and with them their containers: nothing else has a hidden word of
/// berth's and this path, which nobody had before, on its command line.
fn end_supervisors(folder: &Path) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|it| it.parse().ok());
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.starts_with("berth\0__")
            && line.contains(&*folder.to_string_lossy())
            && let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        end_supervisors(&self.path);
        if std::env::var_os("BERTH_TESTS_KEEP").is_some() {
            let _ = writeln!(std::io::stderr(), "kept: {}", self.path.display());
        } else {
            remove(&self.path);
        }
    }
}

fn parent() -> PathBuf {
    std::env::var_os("BERTH_TESTS_DIR")
        .unwrap_or_else(|| "/var/tmp".into())
        .into()
}

fn remove(path: &Path) {
    if fs::remove_dir_all(path).is_err() {
        // Ids of ours that we are not: only their namespace's root may remove their files.
        let _ = Command::new("unshare")
            .args(["-U", "--map-root-user", "--map-auto", "rm", "-rf"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
    }
}

/// Removes what test runs left that were killed, or that statics held.
fn sweep() {
    for entry in fs::read_dir(parent()).unwrap().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if pid
            .is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
        {
            remove(&entry.path());
        }
    }
}

/// The berth under test, where an ordinary user can run it: a fresh clone may be in a folder that
/// only root can enter.
pub fn berth() -> &'static Path {
    static COPY: OnceLock<(PathBuf, Option<Folder>)> = OnceLock::new();
    let (path, _) = COPY.get_or_init(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_berth"));
        if !User::is_root() {
            return (built.to_owned(), None);
        }
        let folder = Folder::new("bin");
        let copy = folder.path().join("berth");
        // By another process: a file that we still had open for writing somewhere could not be run.
        let copied = Command::new("install")
            .args(["-m", "755"])
            .arg(built)
            .arg(&copy)
            .status();
        assert!(copied.unwrap().success());
        (copy, Some(folder))
    });
    path
}

/// One user with one fresh ROOT: the world of one test.
#[derive(Debug)]
pub struct Home {
    pub user: User,
    folder: Folder,
}

impl Home {
    /// Of the ordinary user.
    pub fn new() -> Self {
        Self::of(User::ordinary().expect("tests/user has not run"))
    }

    pub fn of(user: User) -> Self {
        let folder = user.folder("home");
        Self { user, folder }
    }

    /// The folder that holds ROOT; tests put files of theirs beside it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.join("root")
    }

    pub fn repo(&self) -> PathBuf {
        self.join("root/repo")
    }

    /// A file of the user's, beside ROOT.
    pub fn write(&self, name: &str, data: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, data).unwrap();
        if User::is_root() {
            chown(&path, Some(self.user.uid), Some(self.user.gid)).unwrap();
        }
        path
    }

    /// berth with `--root ROOT` and these arguments.
    pub fn berth<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let mut run = self.program(berth());
        run.command.arg("--root").arg(self.root()).args(args);
        run
    }

    /// Any program, run as the user in the home folder.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Run {
        let program = program.as_ref();
        let mut command = self.user.command(program);
        command.current_dir(self.path());
        if program == "skopeo" {
            // Where the user has no directory for it, it looks into one that is root's alone as soon as root has run podman.
            command.env("XDG_RUNTIME_DIR", self.path());
        }
        command
            .env("BERTH", berth())
            .env("ROOT", self.root())
            .env("TMPDIR", self.path());
        Run {
            command,
            input: None,
            patience: PATIENCE,
        }
    }

    /// A shell script, run as the user in the home folder, which has `$BERTH` and `$ROOT`.
    pub fn sh(&self, script: &str) -> Run {
        self.program("sh").args(["-euc", script])
    }
}

/// A command about to run.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Option<Vec<u8>>,
    patience: Duration,
}

impl Run {
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// As root, whoever's the home is. Needs root.
    pub fn by_root(mut self) -> Self {
        self.command.uid(0).gid(0);
        self
    }

    /// What it reads on stdin, which is /dev/null otherwise.
    pub fn input(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.input = Some(data.into());
        self
    }

    pub fn patience(mut self, limit: Duration) -> Self {
        self.patience = limit;
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.start().wait()
    }

    /// Runs it and asks for success.
    pub fn ok(self) -> Ran {
        self.run().code(0)
    }

    /// Runs it and asks for this exit code.
    pub fn fails(self, code: i32) -> Ran {
        self.run().code(code)
    }

    /// Starts it, for a test that signals it or talks to it meanwhile.
    pub fn start(mut self) -> Running {
        // Files and not pipes: what it leaves running in the background keeps nobody waiting.
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        self.command
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap());
        if let Some(data) = &self.input {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(data).and_then(|()| file.rewind()).unwrap();
            self.command.stdin(file);
        }
        let line = describe(&self.command);
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {line}: {e}"));
        Running {
            child,
            stdout,
            stderr,
            line,
            patience: self.patience,
        }
    }
}

fn describe(command: &Command) -> String {
    let words: Vec<OsString> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_owned)
        .collect();
    words
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A command that runs; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    line: String,
    patience: Duration,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn stdout(&mut self) -> String {
        contents(&mut self.stdout)
    }

    pub fn stderr(&mut self) -> String {
        contents(&mut self.stderr)
    }

    /// Waits until its stdout has this text.
    pub fn until_stdout(&mut self, text: &str) {
        let deadline = Instant::now() + self.patience;
        while !self.stdout().contains(text) {
            let ended = self.child.try_wait().unwrap().is_some();
            if (ended && !self.stdout().contains(text)) || Instant::now() > deadline {
                let (out, err) = (self.stdout(), self.stderr());
                panic!("`{}` never said {text:?}\n{}", self.line, both(&out, &err));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait(mut self) -> Ran {
        let deadline = Instant::now() + self.patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let (out, err) = (self.stdout(), self.stderr());
                panic!(
                    "`{}` still runs after {:?}\n{}",
                    self.line,
                    self.patience,
                    both(&out, &err)
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let (stdout, stderr) = (self.stdout(), self.stderr());
        Ran {
            line: std::mem::take(&mut self.line),
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that was written to a file so far, without moving where its writer is: the two share it.
fn contents(file: &mut File) -> String {
    use std::os::unix::fs::FileExt;
    let mut data = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut data, 0).unwrap();
    String::from_utf8_lossy(&data).into_owned()
}

fn both(stdout: &str, stderr: &str) -> String {
    format!("── stdout ──\n{stdout}── stderr ──\n{stderr}────────────")
}

/// A command that has run. Its checks print everything it said when they fail.
#[derive(Debug)]
pub struct Ran {
    line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The exit code, as a shell would say it: 128+n for a signal.
    pub fn exit(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        let said = both(&self.stdout, &self.stderr);
        assert_eq!(self.exit(), code, "exit code of `{}`\n{said}", self.line);
        self
    }

    #[track_caller]
    pub fn out_has(self, text: &str) -> Self {
        let said = both(&self.stdout, &self.stderr);
        assert!(
            self.stdout.contains(text),
            "`{}` did not print {text:?}\n{said}",
            self.line
        );
        self
    }

    #[track_caller]
    pub fn err_has(self, text: &str) -> Self {
        let said = both(&self.stdout, &self.stderr);
        assert!(
            self.stderr.contains(text),
            "`{}` did not say {text:?}\n{said}",
            self.line
        );
        self
    }

    /// What every failure looks like: one `error:` line, no panic, no bare errno.
    #[track_caller]
    pub fn one_error(self) -> Self {
        let said = both(&self.stdout, &self.stderr);
        let errors = self
            .stderr
            .lines()
            .filter(|l| l.starts_with("error: "))
            .count();
        assert_eq!(errors, 1, "`{}` must print one error\n{said}", self.line);
        assert!(
            !self.stderr.contains("panicked"),
            "`{}` panicked\n{said}",
            self.line
        );
        assert!(
            !self.stderr.contains("os error"),
            "`{}` shows an errno\n{said}",
            self.line
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("`{}` printed no JSON: {e}\n{}", self.line, self.stdout))
    }

    /// stdout without its last newline.
    pub fn text(&self) -> &str {
        self.stdout.trim_end_matches('\n')
    }
}
