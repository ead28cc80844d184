//! Steps that fail: what was done is undone, and said.

use runtime::service::{Event, Step, refused_images, repair};

use crate::pretend::BROKEN;
use crate::setup::{ONE, Setup, Shape, TWO, quiet, web, words};
use crate::snapshot::same;

/// Fails when systemd is told this verb, until the change is being undone.
fn breaking<'s>(setup: &'s Setup, verb: &'s str) -> impl FnMut(Event<'_>) + 's {
    let mut decisions = 0;
    setup.systemd.break_verb(verb);
    move |event| {
        if matches!(event, Event::Before(Step::Decide(_))) {
            decisions += 1;
            if decisions == 2 {
                setup.systemd.mend_verb(verb);
            }
        }
    }
}

#[test]
fn a_failed_installation_leaves_nothing() {
    for verb in ["daemon-reload", "tmpfiles-create", "enable"] {
        let setup = Setup::new();
        let before = setup.snapshot();
        let error = setup
            .install(&mut breaking(&setup, verb), ONE)
            .expect_err(verb);
        assert_eq!(
            words(&error),
            format!(
                "cannot install service web, everything is as it was before: cannot do what systemd was told: {verb} is broken"
            )
        );
        same(&setup.snapshot(), &before, verb);
        assert_eq!(setup.leftovers(), Vec::<String>::new());
    }
}

#[test]
fn a_failed_update_leaves_the_old_one_running() {
    for verb in [
        "tmpfiles-remove",
        "daemon-reload",
        "tmpfiles-create",
        "enable",
        "start",
    ] {
        let setup = Setup::running(ONE);
        setup.update(&mut quiet(), TWO).expect("updated");
        Shape::new(1).make(&setup.repo, "example.org/web:3");
        std::fs::write(setup.dir.join("host/etc/web.conf"), "edited").expect("written");
        let before = setup.snapshot();
        let told = &mut breaking(&setup, verb);
        setup.update(told, "example.org/web:3").expect_err(verb);
        same(&setup.snapshot(), &before, verb);
        assert_eq!(setup.host("etc/web.conf").as_deref(), Some("edited"));
        assert!(
            setup
                .systemd
                .running("web.service")
                .is_some_and(|it| it.contains("second"))
        );
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_undoes_the_change() {
    let setup = Setup::running(ONE);
    let before = setup.snapshot();
    let (units, aside) = (setup.dir.join("units"), setup.dir.join("aside"));
    let mut decisions = 0;
    let error = setup.update(
        &mut |event| match event {
            Event::Before(Step::PutUnit(_)) if decisions == 1 => {
                std::fs::rename(&units, &aside).expect("moved");
                std::fs::write(&units, "no directory").expect("written");
            }
            Event::Before(Step::Decide(_)) => {
                decisions += 1;
                if decisions == 2 {
                    std::fs::remove_file(&units).expect("removed");
                    std::fs::rename(&aside, &units).expect("moved back");
                }
            }
            _ => {}
        },
        TWO,
    );
    let units = setup.dir.join("units").display().to_string();
    let text = words(&error.expect_err("no unit can be written"));
    assert!(
        text.starts_with("cannot update service web, everything is as it was before: cannot "),
        "{text}"
    );
    assert!(text.contains(&units), "{text}");
    same(&setup.snapshot(), &before, "undone");
}

#[test]
fn a_host_file_that_was_deleted_stays_deleted_when_an_update_fails() {
    let setup = Setup::running(ONE);
    std::fs::remove_file(setup.dir.join("host/etc/web.conf")).expect("removed");
    let before = setup.snapshot();
    setup
        .update(&mut breaking(&setup, "enable"), TWO)
        .expect_err("it fails");
    same(&setup.snapshot(), &before, "undone");
}

#[test]
fn a_service_that_does_not_come_up_is_rolled_back() {
    let setup = Setup::running(ONE);
    setup.systemd.depend("user.service", "web.service");
    setup.systemd.up("user.service");
    let mut shape = Shape::new(2);
    shape.unit = shape
        .unit
        .replace("[Install]", &format!("{BROKEN}\n[Install]"));
    let broken = shape.make(&setup.repo, TWO);
    let before = setup.snapshot();
    let error = setup
        .update(&mut quiet(), TWO)
        .expect_err("it does not come up");
    assert_eq!(
        words(&error),
        "cannot update service web, everything is as it was before: service web did not come up: it failed: exit code 3"
    );
    same(&setup.snapshot(), &before, "rolled back");
    assert!(
        setup
            .systemd
            .running("web.service")
            .is_some_and(|it| it.contains("first"))
    );
    assert!(
        setup.systemd.running("user.service").is_some(),
        "it runs again"
    );
    assert_eq!(
        refused_images(&setup.places, &web()).expect("read"),
        [broken.id.hex()]
    );
    // Who asks for it by name gets it tried again.
    setup.update(&mut quiet(), TWO).expect_err("still broken");
    Shape::new(2).make(&setup.repo, TWO);
    setup.update(&mut quiet(), TWO).expect("mended");
    assert!(
        setup
            .systemd
            .running("web.service")
            .is_some_and(|it| it.contains("second"))
    );
}

#[test]
fn a_change_that_can_be_neither_finished_nor_undone_is_taken_up_later() {
    let setup = Setup::running(ONE);
    let before = setup.snapshot();
    setup.systemd.break_verb("daemon-reload");
    let error = setup.update(&mut quiet(), TWO).expect_err("no reload");
    assert_eq!(
        words(&error),
        "cannot update service web, nor undo what was done: cannot do what systemd was told: daemon-reload is broken"
    );
    let error = setup.rollback(&mut quiet()).expect_err("still stuck");
    assert!(
        words(&error).contains("nor undo what was done"),
        "{}",
        words(&error)
    );
    setup.systemd.mend_verb("daemon-reload");
    let done = setup.world(&mut quiet(), repair).expect("repaired");
    let told: Vec<String> = done.recovered.iter().map(|it| it.words()).collect();
    assert_eq!(
        told,
        [
            "undid what had been cut off: update web: cannot do what systemd was told: daemon-reload is broken"
        ]
    );
    same(&setup.snapshot(), &before, "undone");
}

#[test]
fn an_uninstallation_that_fails_leaves_the_service() {
    let setup = Setup::running(ONE);
    setup.update(&mut quiet(), TWO).expect("updated");
    let before = setup.snapshot();
    setup
        .uninstall(&mut breaking(&setup, "tmpfiles-remove"))
        .expect_err("it fails");
    same(&setup.snapshot(), &before, "it is there as before");
}

#[test]
fn an_uninstallation_keeps_what_was_edited() {
    let setup = Setup::running(ONE);
    std::fs::write(setup.dir.join("host/etc/web.conf"), "edited").expect("written");
    let mut said = Vec::new();
    let mut told = |event: Event<'_>| {
        if let Event::Said(text) = event {
            said.push(text.to_owned());
        }
    };
    setup.uninstall(&mut told).expect("uninstalled");
    assert_eq!(
        said,
        ["Will not delete /etc/web.conf as it was manually modified."]
    );
    assert_eq!(setup.host("etc/web.conf").as_deref(), Some("edited"));
    assert!(!setup.dir.join("host/usr").exists(), "nothing else stays");
    let left: Vec<String> = setup.snapshot().into_keys().collect();
    assert_eq!(
        left,
        [
            "checkouts",
            "host",
            "host/etc",
            "host/etc/web.conf",
            "systemd/active",
            "systemd/failed",
            "tmpfiles",
            "units",
            "units/multi-user.target.wants"
        ]
    );
}

#[test]
fn an_update_that_adds_to_the_host_is_for_somebody_to_agree_to() {
    let setup = Setup::running(ONE);
    let mut shape = Shape::new(1);
    shape.files.push(("usr/bin/another", "changed"));
    shape.make(&setup.repo, "example.org/web:3");
    setup
        .update_unasked("example.org/web:3")
        .expect("it adds nothing");
    let mut shape = Shape::new(2);
    shape
        .tmpfiles
        .push_str("L /etc/cron.d/mine - - - - /bin/sh\n");
    shape.make(&setup.repo, TWO);
    let before = setup.snapshot();
    let error = setup.update_unasked(TWO).expect_err("it adds files");
    assert_eq!(
        words(&error),
        "cannot update service web: it would add to the host: /etc/cron.d/mine, /usr/lib/second/only"
    );
    same(&setup.snapshot(), &before, "nothing changed");
}
