//! Two who change services at once.

use std::sync::mpsc;
use std::time::Duration;

use runtime::service::{Event, GateOptions, Step, World, WorldOptions};
use store::LockWait;

use crate::pretend::Still;
use crate::setup::{ONE, Setup, TWO, quiet, words};

#[test]
fn defect_17_of_two_at_once_one_waits() {
    let setup = Setup::running(ONE);
    let other = Setup::at(&setup.dir);
    let (inside, is_inside) = mpsc::channel();
    let (waits, is_waited_for) = mpsc::channel();
    let order = std::sync::Mutex::new(Vec::new());
    let note = |text: &str| order.lock().expect("unpoisoned").push(text.to_owned());
    std::thread::scope(|scope| {
        let (setup, other, note) = (&setup.dir, other, &note);
        scope.spawn(move || {
            let first = Setup::at(setup);
            let mut told = |event: Event<'_>| {
                if matches!(event, Event::After(Step::Decide(_))) {
                    inside.send(()).expect("heard");
                    is_waited_for.recv().expect("told");
                    note("first");
                }
            };
            first.update(&mut told, TWO).expect("updated");
        });
        is_inside.recv().expect("told");
        let clock = Still::new();
        let waiting = move |holder: &str| {
            assert_eq!(holder, "another process");
            waits.send(()).expect("heard");
        };
        let options = WorldOptions {
            repo: other.repo.path().to_owned(),
            gate: GateOptions::default(),
            clock: &clock,
            health: None,
            wait: LockWait {
                timeout: Some(Duration::from_secs(300)),
                waiting: &waiting,
            },
        };
        let mut told = quiet();
        let world = World::open(&other.places, &other.systemd, options, &mut told).expect("open");
        note("second");
        assert!(world.recovered().is_empty(), "the first has finished");
    });
    assert_eq!(*order.lock().expect("unpoisoned"), ["first", "second"]);
    assert_eq!(setup.current().slot, 1);
}

#[test]
fn who_does_not_wait_is_told_who_holds_it() {
    let setup = Setup::running(ONE);
    setup
        .world(&mut quiet(), |_| {
            let other = Setup::at(&setup.dir);
            let clock = Still::new();
            let options = WorldOptions {
                repo: other.repo.path().to_owned(),
                gate: GateOptions::default(),
                clock: &clock,
                health: None,
                wait: LockWait::NONE,
            };
            let mut told = quiet();
            let error = World::open(&other.places, &other.systemd, options, &mut told);
            let lock = setup.places.checkouts.join(".berth/lock");
            assert_eq!(
                words(&error.map(drop).expect_err("locked")),
                format!("cannot lock {}: another process holds it", lock.display())
            );
            Ok(())
        })
        .expect("open");
}

#[test]
fn the_directory_of_deployments_is_its_owners_alone_and_those_above_the_systems_are_everybodys() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut setup = Setup::new();
    let above = setup.dir.join("var/lib/containers");
    setup.places.checkouts = above.join("atomic");
    setup.world(&mut quiet(), |_| Ok(())).expect("opened");
    let mode = |path: &std::path::Path| {
        let meta = path.metadata().expect("there");
        meta.permissions().mode() & 0o777
    };
    let usual = if store::is_root() { 0o755 } else { 0o700 };
    assert_eq!(mode(&above), usual);
    assert_eq!(mode(&setup.dir.join("var")), usual);
    assert_eq!(mode(&setup.places.checkouts), 0o700);
    assert_eq!(mode(&setup.places.checkouts.join(".berth")), 0o700);
}
