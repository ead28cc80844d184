//! Kill -9 before every call that changes a name or syncs, one run of a process for each.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use store::fault::{Step, Watch, watch};
use store::{DiffId, Repo, known_layer};

use crate::work::{self, ALL, Work, check, collect, inventory, perform, prepare};

/// The fewest calls that the process is killed before, over all operations.
const KILLS_MIN: usize = 200;

/// Ends the process before call number `at`; notes which one it was.
struct KillAt {
    at: u64,
    seen: AtomicU64,
    note: std::path::PathBuf,
}

/// Changes of a name, and syncs: between two of these nothing happens that a crash could make visible.
fn counts(step: Step) -> bool {
    !matches!(step, Step::Create | Step::Write | Step::Change)
}

impl Watch for KillAt {
    fn around(
        &self,
        step: Step,
        path: &Path,
        _: Option<&Path>,
        go: &mut dyn FnMut() -> bool,
    ) -> Result<(), Errno> {
        if counts(step) && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            std::fs::write(&self.note, format!("{step:?} {}", path.display())).expect("note");
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).expect("kill");
        }
        go();
        Ok(())
    }
}

/// The process that is killed. It does nothing when it is run as one of the tests.
#[test]
fn child() {
    let Ok(job) = std::env::var("BERTH_CRASH") else {
        return;
    };
    let (name, rest) = job.split_once(' ').expect("operation");
    let (at, place) = rest.split_once(' ').expect("number");
    let work = ALL
        .into_iter()
        .find(|work| work.name() == name)
        .expect("operation");
    let place = Path::new(place);
    watch(Some(Arc::new(KillAt {
        at: at.parse().expect("number"),
        seen: AtomicU64::new(0),
        note: place.join("killed-before"),
    })));
    let finished = |layer: &str| {
        std::fs::write(place.join(format!("finished-{layer}")), "").expect("note");
    };
    perform(work, place, &finished).expect("the operation");
}

/// Runs the operation and kills it before call `at`; the step it was killed before, or `None` when it came to its end.
fn run(work: Work, at: u64, place: &Path) -> Option<String> {
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env(
            "BERTH_CRASH",
            format!("{} {at} {}", work.name(), place.display()),
        )
        .stdout(std::process::Stdio::null())
        .status()
        .expect("run");
    if status.success() {
        return None;
    }
    assert_eq!(status.signal(), Some(9), "{} {at}: {status}", work.name());
    Some(std::fs::read_to_string(place.join("killed-before")).expect("note"))
}

fn ostree_fsck(place: &Path, when: &str) {
    let output = Command::new("ostree")
        .arg(format!("--repo={}", place.join("repo").display()))
        .args(["fsck", "--quiet"])
        .output();
    // Where there is no stock ostree, the tests of the whole program say so.
    let Ok(output) = output else { return };
    assert!(
        output.status.success(),
        "{when}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What must be true after a kill, and after the next command.
fn survives(work: Work, place: &Path, when: &str, expected: &Outcome) {
    if work.starts_whole() {
        check(place, when);
        ostree_fsck(place, when);
    }
    let repo = Repo::open(&place.join("repo")).expect("open");
    for entry in std::fs::read_dir(place).expect("directory") {
        let name = entry.expect("entry").file_name();
        if let Some(layer) = name
            .to_str()
            .and_then(|name| name.strip_prefix("finished-"))
        {
            let layer = DiffId::from_hex(layer).expect("diff id");
            assert!(
                known_layer(&repo, &layer).expect("readable").is_some(),
                "{when}: a finished layer would be fetched again"
            );
        }
    }
    perform(work, place, &|_| {}).unwrap_or_else(|error| panic!("{when}, again: {error}"));
    let mut again = inventory(place);
    // gc's to remove: refs on their way, and what an image leaves whose own ref is gone.
    again.retain(|path| {
        let by_untag = work == Work::Untag && path.ends_with("ocifs/one");
        !path.starts_with("repo/tmp") && !by_untag
    });
    assert_eq!(
        again.difference(&expected.done).next(),
        None,
        "{when}: the second try leaves more than one that was not killed"
    );
    collect(place).unwrap_or_else(|error| panic!("{when}, gc: {error}"));
    check(place, when);
    let left = inventory(place);
    let differs: Vec<_> = left.symmetric_difference(&expected.collected).collect();
    assert!(differs.is_empty(), "{when}: {differs:?}");
}

/// What lies around after the operation, and after gc on top.
struct Outcome {
    done: std::collections::BTreeSet<std::path::PathBuf>,
    collected: std::collections::BTreeSet<std::path::PathBuf>,
}

/// Kills one operation everywhere; the steps it was killed before.
fn kill_everywhere(work: Work) -> Vec<String> {
    let temp = crate::scratch();
    let template = temp.path().join("template");
    std::fs::create_dir(&template).expect("template");
    prepare(work, &template);
    let whole = temp.path().join("whole");
    work::copy(&template, &whole);
    perform(work, &whole, &|_| {}).expect("the operation");
    let done = inventory(&whole);
    collect(&whole).expect("gc");
    let expected = Outcome {
        done,
        collected: inventory(&whole),
    };
    let mut steps = Vec::new();
    for at in 1.. {
        let place = temp.path().join(format!("kill-{at}"));
        work::copy(&template, &place);
        let Some(step) = run(work, at, &place) else {
            break;
        };
        let when = format!("{} killed at {at}, before {step}", work.name());
        survives(work, &place, &when, &expected);
        std::fs::remove_dir_all(&place).expect("remove");
        steps.push(step);
    }
    for wanted in work.steps() {
        let wanted = format!("{wanted:?} ");
        assert!(
            steps.iter().any(|step| step.starts_with(&wanted)),
            "{} was never killed before a {wanted}",
            work.name()
        );
    }
    steps
}

#[test]
fn every_operation_survives_a_kill_at_every_point() {
    let mut kills = 0;
    for work in ALL {
        let steps = kill_everywhere(work);
        println!("{}: {} kills", work.name(), steps.len());
        assert!(!steps.is_empty(), "{} was never killed", work.name());
        kills += steps.len();
    }
    assert!(kills >= KILLS_MIN, "only {kills} kills");
}
