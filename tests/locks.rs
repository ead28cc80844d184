//! Who waits for whom: readers for nobody, a pull for the same pull, gc for everybody.

mod once;
mod stock;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::checkout::{layout, pull};
use crate::needs;
use crate::pull::double::{Answer, Double, Gate};
use crate::pull::noise;
use crate::run::with_busybox;
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Tar};
use crate::support::user::Running;

/// Less than a registry may be silent.
const PATIENCE: Duration = Duration::from_secs(45);
/// So much that half a layer is more than berth keeps in memory.
const FILE_BYTES: usize = 8000;

/// A tar of this many files that do not compress, not even together.
fn many(prefix: &str, count: usize) -> Tar {
    let noise = noise(count * FILE_BYTES);
    let chunks = noise.chunks(FILE_BYTES).enumerate();
    chunks.fold(Tar::new().dir(prefix), |tar, (number, chunk)| {
        let data = [format!("{prefix}{number}").as_bytes(), chunk].concat();
        tar.file(&format!("{prefix}/{number}"), data)
    })
}

/// Waits until it holds; the test fails when that takes too long.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `berth (process N)`, as waiting says it.
fn shown(program: &str, running: &Running) -> String {
    format!("{program} (process {})", running.pid())
}

/// The directories of running transactions.
fn staging(home: &Home) -> Vec<PathBuf> {
    let found = fs::read_dir(home.repo().join("tmp")).into_iter().flatten();
    let found = found.flatten().map(|entry| entry.path());
    found
        .filter(|path| path.is_dir() && path.to_str().unwrap().contains("/staging-"))
        .collect()
}

/// How many images and layers are being fetched, or were when somebody was killed.
fn locks(home: &Home) -> usize {
    fs::read_dir(home.repo().join("berth/lock")).map_or(0, Iterator::count)
}

/// Nothing is left of any pull.
#[track_caller]
fn nothing_left(home: &Home) {
    for folder in ["tmp", "berth/lock", "berth/partial"] {
        let found = fs::read_dir(home.repo().join(folder)).into_iter().flatten();
        // Stock's cache is stock's own.
        let found = found.flatten().map(|entry| entry.file_name());
        let left: Vec<_> = found.filter(|name| name != "cache").collect();
        assert!(left.is_empty(), "{folder} has {left:?}");
    }
}

/// A pull of `app` that hangs in the middle of a layer until its gate opens.
struct Hanging {
    pull: Running,
    gate: Gate,
    registry: Double,
}

impl Hanging {
    /// `shared` is the lower of two layers; the pull hangs in the upper one, which has 400 files in `top`.
    fn start(home: &Home, shared: Tar) -> Self {
        let top = Layer::new(many("top", 400).finish(), Form::Gzip);
        let gate = Gate::default();
        let (closed, blob, path) = (gate.clone(), top.blob.clone(), top.digest.clone());
        let shared = Layer::new(shared.finish(), Form::Gzip);
        let lower = home
            .repo()
            .join("refs/heads/ocirecipe")
            .join(shared.diff_id.strip_prefix("sha256:").unwrap());
        let image = Image::new([shared, top]);
        let registry = Double::serve(&image, move |asked| {
            let is_top = asked.path.ends_with(&path);
            is_top.then(|| Answer::ok(blob.clone()).pause(blob.len() / 2, &closed))
        });
        let pull = home
            .berth(["pull", "--name", "app", &registry.url()])
            .start();
        until("the pull is in the middle of its layer", || {
            let found = staging(home);
            let count = |path| fs::read_dir(path).map_or(0, Iterator::count);
            found.len() == 1 && found.iter().all(|path| count(path) > 50)
        });
        until("the lower layer is done, and its lock gone", || {
            lower.exists() && locks(home) == 2
        });
        Self {
            pull,
            gate,
            registry,
        }
    }

    /// Lets the pull end, and looks whether all of its image is there.
    #[track_caller]
    fn finish(self, home: &Home) {
        self.gate.open();
        self.pull.wait().code(0);
        assert_eq!(self.registry.asked("/blobs/").len(), 3, "nothing again");
        whole(home, "app");
        let names = home.berth(["ls", "app", "/top"]).ok();
        assert_eq!(names.text().lines().count(), 400);
        nothing_left(home);
    }
}

#[track_caller]
fn whole(home: &Home, name: &str) {
    home.berth(["verify", name]).ok();
    home.berth(["repo", "fsck"]).ok().out_has(": no problems");
}

/// Somebody who has the repository's lock until the process is dropped.
fn hold(home: &Home, kind: &str) -> Running {
    let script = format!(
        "import fcntl, struct, time\n\
         lock = open('root/repo/.lock', 'r+')\n\
         fcntl.fcntl(lock, 37, struct.pack('hhqqi4x', fcntl.{kind}, 0, 0, 0, 0))\n\
         print('held', flush=True)\n\
         time.sleep(120)"
    );
    let mut holder = home.program("python3").args(["-c", &script]).start();
    holder.until_stdout("held");
    holder
}

/// Waits until a command says for whom it waits.
#[track_caller]
fn until_stderr(running: &mut Running, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !running.stderr().contains(text) {
        let said = running.stderr();
        assert!(!running.has_ended(), "never said {text:?} but {said}");
        assert!(Instant::now() < deadline, "never said {text:?} but {said}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn readers_do_not_wait_for_a_pull() {
    let home = Home::new();
    pull(&home, "other", vec![Tar::new().file("a", "of the other")]);
    let third = layout(&home, "third", vec![Tar::new().file("c", "third")]);
    let hanging = Hanging::start(&home, Tar::new().file("base", "base"));
    let now = |args: &[&str]| home.berth(["--lock-timeout", "0"].iter().chain(args)).ok();
    assert!(now(&["images"]).stdout.contains("other"));
    assert_eq!(now(&["images", "-q"]).text().lines().count(), 1);
    assert_eq!(now(&["ls", "other"]).text(), "a");
    assert_eq!(now(&["cat", "other", "/a"]).text(), "of the other");
    now(&["checkout", "-q", "other", "out"]);
    assert_eq!(
        fs::read_to_string(home.join("out/a")).unwrap(),
        "of the other"
    );
    now(&["repo", "fsck"]).out_has(": no problems");
    now(&["verify", "other"]);
    now(&["inspect", "other"]);
    now(&["history", "other"]);
    now(&["repo", "ls", "ocifs/other"]);
    now(&["gc", "--dry-run"]);
    now(&["pull", "-q", "--name", "third", &third]);
    now(&["tag", "third", "fourth"]);
    now(&["rmi", "third", "fourth"]).err_has("the repository is busy");
    assert_eq!(staging(&home).len(), 1, "the pull still hangs");
    hanging.finish(&home);
}

#[test]
fn a_container_runs_while_a_pull_hangs() {
    needs!(Images, Userns, Overlay);
    let home = with_busybox(Home::new());
    let hanging = Hanging::start(&home, Tar::new().file("base", "base"));
    for _ in 0..2 {
        let args = [
            "--lock-timeout",
            "0",
            "run",
            "--rm",
            "busybox",
            "echo",
            "ran",
        ];
        assert_eq!(home.berth(args).ok().text(), "ran");
    }
    assert_eq!(staging(&home).len(), 1, "the pull still hangs");
    hanging.finish(&home);
}

/// What `gc` marked before the pull ended is not what it may delete afterwards.
#[test]
fn gc_waits_for_a_pull_and_leaves_what_came() {
    let home = Home::new();
    let base = || many("base", 20);
    // Of these the pull relies on a layer, and on the objects of another.
    pull(&home, "old", vec![base(), many("top", 30)]);
    pull(&home, "older", vec![Tar::new().file("gone", "gone")]);
    home.berth(["rmi", "--no-gc", "old", "older"]).ok();
    let mut hanging = Hanging::start(&home, base());
    let who = shown("berth", &hanging.pull);
    let mut gc = home.berth(["gc", "--json"]).start();
    let waits = format!("waiting for the repository: {who} holds it\n");
    until_stderr(&mut gc, &waits);
    home.berth(["--lock-timeout", "1", "gc"])
        .fails(1)
        .one_error()
        .err_has(&waits)
        .err_has("error: cannot lock ")
        .err_has(&format!("/.lock: {who} holds it\n"))
        .err_has("hint: wait longer with --lock-timeout");
    assert_eq!(gc.stdout(), "", "it still waits");
    assert!(!hanging.pull.stderr().contains("waiting"));
    hanging.gate.open();
    let found = gc.wait().code(0).json();
    // `gone`, and what only the old images' commits are made of.
    assert_ne!(found["objects"], 0, "{found}");
    home.berth(["cat", "older", "/gone"]).fails(1).one_error();
    let known = hanging.registry.asked("/blobs/").len();
    assert_eq!(known, 2, "the lower layer was there: config and upper");
    hanging.pull.wait().code(0);
    whole(&home, "app");
    let names = home.berth(["ls", "app", "/base"]).ok();
    assert_eq!(names.text().lines().count(), 20);
    home.berth(["gc", "--json"]).ok();
    whole(&home, "app");
    nothing_left(&home);
}

/// Nothing is read or written while somebody sweeps.
#[test]
fn everybody_waits_for_a_sweep_and_says_so() {
    let home = Home::new();
    pull(&home, "old", vec![Tar::new().file("a", "a")]);
    let next = layout(&home, "next", vec![Tar::new().file("b", "b")]);
    let holder = hold(&home, "F_WRLCK");
    let who = shown("python3", &holder);
    let waits = format!("waiting for the repository: {who} holds it\n");
    let commands: [&[&str]; 9] = [
        &["pull", "--name", "next", &next],
        &["checkout", "-q", "old", "out"],
        &["ls", "old"],
        &["cat", "old", "/a"],
        &["images"],
        &["verify", "old"],
        &["repo", "fsck"],
        &["tag", "old", "new"],
        &["gc"],
    ];
    let mut waiting = Vec::new();
    for args in commands {
        home.berth(["--lock-timeout", "0"].iter().chain(args))
            .fails(1)
            .one_error()
            .err_has(&format!("/.lock: {who} holds it\n"));
        waiting.push(home.berth(args).start());
    }
    for one in &mut waiting {
        // Of the ten that wait nobody is named: the one that holds it is.
        until_stderr(one, &waits);
    }
    assert!(!home.join("out").exists());
    drop(holder);
    for one in waiting {
        one.wait().code(0);
    }
    assert_eq!(home.berth(["cat", "next", "/b"]).ok().text(), "b");
    assert!(home.join("out/a").exists());
    whole(&home, "new");
    nothing_left(&home);
}

#[test]
fn shared_holders_are_all_named() {
    let home = Home::new();
    pull(&home, "old", vec![Tar::new().file("a", "a")]);
    let holders = [hold(&home, "F_RDLCK"), hold(&home, "F_RDLCK")];
    let ran = home
        .berth(["--lock-timeout", "0", "gc"])
        .fails(1)
        .one_error();
    for holder in &holders {
        assert!(
            ran.stderr.contains(&shown("python3", holder)),
            "{}",
            ran.stderr
        );
    }
    home.berth(["--lock-timeout", "0", "cat", "old", "/a"]).ok();
}
