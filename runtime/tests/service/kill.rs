//! Kill -9 before and after every step of every change, one process for each: what the next command makes of it is what
//! was there before or what was to be, whole.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use runtime::service::{Event, Manager as _, Service, Step, repair};

use crate::pretend::BROKEN;
use crate::setup::{ONE, Setup, Shape, TWO, quiet, temp, web};
use crate::snapshot::{Snapshot, difference, same};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Install,
    Update,
    FailingUpdate,
    Replacement,
    FailingReplacement,
    Rollback,
    Uninstall,
}

/// What systemd does not do until a replacement is being undone.
const BROKEN_VERB: &str = "tmpfiles-create";

const ALL: [Work; 7] = [
    Work::Install,
    Work::Update,
    Work::FailingUpdate,
    Work::Replacement,
    Work::FailingReplacement,
    Work::Rollback,
    Work::Uninstall,
];

impl Work {
    /// Whether the new deployment takes the slot of the current one.
    fn in_place(self) -> bool {
        matches!(self, Self::Replacement | Self::FailingReplacement)
    }

    /// The fewest places that the process is killed at.
    fn kills_min(self) -> usize {
        match self {
            Self::Install => 30,
            Self::Update => 40,
            Self::FailingUpdate => 70,
            Self::Replacement => 25,
            Self::FailingReplacement => 40,
            Self::Rollback => 30,
            Self::Uninstall => 30,
        }
    }
}

/// Everything that is there before the change.
fn prepare(work: Work, place: &Path) -> Setup {
    let setup = Setup::at(place);
    if work == Work::Install {
        return setup;
    }
    setup.install(&mut quiet(), ONE).expect("installed");
    setup.systemd.up("web.service");
    if work != Work::Uninstall {
        // Both slots are taken, so that an update has a victim.
        setup.update(&mut quiet(), TWO).expect("updated");
    }
    if work.in_place() {
        // The one in the other slot is the last that ran, and the current one never did.
        setup.systemd.stop("web.service").expect("stopped");
        let mut shape = Shape::new(1);
        shape.files.push(("usr/bin/never", "ran"));
        shape.make(&setup.repo, "example.org/web:never");
        setup
            .update(&mut quiet(), "example.org/web:never")
            .expect("updated");
    }
    if !matches!(work, Work::Rollback | Work::Uninstall) {
        let mut shape = Shape::new(1);
        shape.files.push(("usr/bin/another", "third"));
        if work == Work::FailingUpdate {
            shape.unit = shape
                .unit
                .replace("[Install]", &format!("{BROKEN}\n[Install]"));
        }
        shape.make(&setup.repo, "example.org/web:3");
    }
    setup
}

fn perform(work: Work, setup: &Setup, told: &mut dyn FnMut(Event<'_>)) {
    match work {
        Work::Install => setup.install(told, ONE).map(drop).expect("installed"),
        Work::Update | Work::Replacement => {
            let done = setup.update(told, "example.org/web:3");
            done.map(drop).expect("updated");
        }
        Work::FailingUpdate => {
            setup
                .update(told, "example.org/web:3")
                .expect_err("it does not come up");
        }
        Work::FailingReplacement => {
            setup.systemd.break_verb(BROKEN_VERB);
            let mut decisions = 0;
            let mut told = |event: Event<'_>| {
                if matches!(event, Event::Before(Step::Decide(_))) {
                    decisions += 1;
                    if decisions == 2 {
                        setup.systemd.mend_verb(BROKEN_VERB);
                    }
                }
                told(event);
            };
            setup
                .update(&mut told, "example.org/web:3")
                .expect_err("its directories cannot be made");
        }
        Work::Rollback => setup.rollback(told).map(drop).expect("rolled back"),
        Work::Uninstall => setup.uninstall(told).expect("uninstalled"),
    }
}

/// The process that is killed. It does nothing when it is run as one of the tests.
#[test]
fn child() {
    let Ok(job) = std::env::var("BERTH_KILL") else {
        return;
    };
    let mut words = job.splitn(3, ' ');
    let name = words.next().expect("a change");
    let at: usize = words
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a number");
    let place = Path::new(words.next().expect("a place"));
    let work = ALL
        .into_iter()
        .find(|it| format!("{it:?}") == name)
        .expect("a change");
    let setup = Setup::at(place);
    let mut seen = 0;
    perform(work, &setup, &mut |event| {
        if matches!(event, Event::Said(_)) {
            return;
        }
        seen += 1;
        if seen == at {
            std::fs::write(place.join("killed"), format!("{event:?}")).expect("note");
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).expect("kill");
        }
    });
}

/// Performs the change and kills it at event number `at`; which one that was, or `None` when it came to its end.
fn run(work: Work, at: usize, place: &Path) -> Option<String> {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env("BERTH_KILL", format!("{work:?} {at} {}", place.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("run");
    let status = output.status;
    if status.signal() == Some(9) {
        return Some(std::fs::read_to_string(place.join("killed")).expect("a note"));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(status.success(), "{work:?} {at}: {status}\n{said}");
    None
}

/// What the change makes of it when nobody interferes.
fn undisturbed(work: Work) -> (Snapshot, Snapshot) {
    let temp = temp();
    let setup = prepare(work, temp.path());
    let before = setup.snapshot();
    perform(work, &setup, &mut quiet());
    assert_eq!(setup.leftovers(), Vec::<String>::new());
    (before, setup.snapshot())
}

fn kill_everywhere(work: Work) {
    let (before, mut after) = undisturbed(work);
    if work == Work::FailingReplacement {
        // Whoever finds it before it failed does not meet what was broken.
        after = undisturbed(Work::Replacement).1;
    }
    let (mut olds, mut news) = (0, 0);
    for at in 1.. {
        let temp = temp();
        let setup = prepare(work, temp.path());
        same(&setup.snapshot(), &before, "each run begins the same");
        let Some(event) = run(work, at, temp.path()) else {
            break;
        };
        let what = format!("{work:?} killed at {at}: {event}");
        check_between(work, &setup, &what);
        setup.systemd.mend_all();
        setup.world(&mut quiet(), repair).expect(&what);
        let found = setup.snapshot();
        match (difference(&found, &before), difference(&found, &after)) {
            (None, _) => olds += 1,
            (_, None) => news += 1,
            (Some(old), Some(new)) => panic!("{what}: is neither\nnot old: {old}\nnot new: {new}"),
        }
        assert_eq!(setup.leftovers(), Vec::<String>::new(), "{what}");
        setup.world(&mut quiet(), repair).expect(&what);
        same(&setup.snapshot(), &found, &what);
    }
    match work {
        Work::FailingUpdate => assert_eq!(news, 0, "the old one stays"),
        _ => assert!(olds > 0 && news > 0, "{work:?}: {olds} old, {news} new"),
    }
    let kills = olds + news;
    assert!(kills >= work.kills_min(), "{work:?}: {kills} kills");
}

/// Before anybody repairs anything: the link and the unit on disk lead to deployments that are whole.
fn check_between(work: Work, setup: &Setup, what: &str) {
    let destination = |text: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("WorkingDirectory="));
        Path::new(line.expect("a directory")).to_owned()
    };
    if let Ok(text) = std::fs::read_to_string(setup.dir.join("units/web.service")) {
        let slot = destination(&text);
        let own = std::fs::read_to_string(slot.join("web.service"));
        if work.in_place() {
            // Until the unit is put, the old one leads to the new deployment.
            assert!(own.is_ok(), "{what}: the unit leads to a deployment");
            assert!(slot.join("rootfs/usr/bin/program").is_file(), "{what}");
            return;
        }
        assert_eq!(
            own.ok().as_deref(),
            Some(&*text),
            "{what}: the unit is its deployment's"
        );
        assert!(slot.join("rootfs/usr/bin/program").is_file(), "{what}");
    } else {
        assert!(
            matches!(work, Work::Install | Work::Uninstall),
            "{what}: there is a unit"
        );
    }
    match Service::find(&setup.places, &web()).expect(what) {
        Some(service) => assert!(
            service.current().is_ok(),
            "{what}: the link leads somewhere"
        ),
        None => assert!(
            matches!(work, Work::Install | Work::Uninstall),
            "{what}: there is a link"
        ),
    }
}

#[test]
fn a_killed_installation_is_whole_or_none() {
    kill_everywhere(Work::Install);
}

#[test]
fn a_killed_update_leaves_the_old_or_the_new() {
    kill_everywhere(Work::Update);
}

#[test]
fn a_killed_update_that_was_being_undone_leaves_the_old() {
    kill_everywhere(Work::FailingUpdate);
}

#[test]
fn a_killed_replacement_in_the_same_slot_leaves_the_old_or_the_new_and_never_an_empty_slot() {
    kill_everywhere(Work::Replacement);
}

#[test]
fn a_killed_replacement_that_was_being_undone_never_empties_the_slot() {
    kill_everywhere(Work::FailingReplacement);
}

#[test]
fn a_killed_rollback_leaves_the_one_or_the_other() {
    kill_everywhere(Work::Rollback);
}

#[test]
fn a_killed_uninstallation_is_whole_or_none() {
    kill_everywhere(Work::Uninstall);
}
