//! How many deployments are kept, and which.

use runtime::service;

use crate::pretend::BROKEN;
use crate::setup::Shape;
use crate::setup::{ONE, Setup, TWO, quiet};

#[test]
fn as_many_deployments_are_kept_as_was_asked_for() {
    for (keep, expected) in [(2, vec![0, 1]), (3, vec![0, 1, 2]), (4, vec![0, 1, 2, 3])] {
        let setup = Setup::running(ONE);
        for update in 0..5 {
            let image = if update % 2 == 0 { TWO } else { ONE };
            let now = setup
                .update_with(&mut quiet(), image, &[], keep)
                .expect("updated");
            assert_eq!(now.slot, (update + 1) % keep);
            let word = if update % 2 == 0 {
                "web second"
            } else {
                "web first"
            };
            assert!(setup.unit().contains(word));
        }
        assert_eq!(setup.slots(), expected);
        let pins = std::fs::read_dir(setup.dir.join("repo/refs/heads/berth/used"));
        assert_eq!(
            pins.expect("read").count(),
            keep as usize,
            "each holds its image"
        );
    }
}

#[test]
fn one_that_never_ran_makes_room_before_the_last_that_did() {
    let setup = Setup::running(ONE);
    // Stopped by its user: nobody sees the new one run.
    setup.systemd.forget_log();
    let path = setup.dir.join("systemd/active/web.service");
    setup.update(&mut quiet(), TWO).expect("updated");
    assert!(setup.current().info.good, "it came up");
    std::fs::remove_file(&path).expect("stopped");
    setup.update(&mut quiet(), ONE).expect("updated");
    assert_eq!(
        (setup.current().slot, setup.current().info.good),
        (0, false)
    );
    setup.update(&mut quiet(), TWO).expect("updated");
    assert_eq!(
        setup.current().slot,
        0,
        "in place: the other one is the last that ran"
    );
    assert_eq!(setup.slots(), [0, 1]);
    let mut broken = Shape::new(1);
    broken.unit = broken
        .unit
        .replace("[Install]", &format!("{BROKEN}\n[Install]"));
    broken.make(&setup.repo, ONE);
    setup
        .update(&mut quiet(), ONE)
        .expect("updated, not started");
    setup.systemd.up("web.service");
    let back = setup.rollback(&mut quiet()).expect("rolled back");
    assert_eq!((back.slot, back.info.good), (1, true));
    let service = runtime::service::Service::get(&setup.places, &crate::setup::web());
    let failed = service
        .expect("installed")
        .deployments
        .into_iter()
        .find(|it| it.slot == 0);
    assert_eq!(
        failed.expect("there").info.failed.as_deref(),
        Some("it had failed when it was rolled back")
    );
}

#[test]
fn an_update_that_changes_nothing_is_none() {
    let setup = Setup::running(ONE);
    let before = setup.snapshot();
    setup.update(&mut quiet(), ONE).expect("nothing to do");
    crate::snapshot::same(&setup.snapshot(), &before, "nothing changed");
    let uuid = setup.current().info.values["UUID"].clone();
    setup.update(&mut quiet(), TWO).expect("updated");
    assert_eq!(setup.current().info.values["UUID"], uuid);
}

/// `web.0` is a deployment of `web`: no service of that name can stand beside it, whichever comes first.
#[test]
fn a_service_is_not_called_like_a_deployment_of_another() {
    let name = |text: &str| service::ServiceName::new(text).expect("valid");
    let install = |setup: &Setup, text: &str| {
        let installed = setup.install_as(&name(text), &mut quiet(), ONE, &[]);
        installed.map(drop).map_err(|error| error.to_string())
    };
    let setup = Setup::new();
    assert_eq!(install(&setup, "web"), Ok(()));
    for taken in ["web.0", "web.1"] {
        let refused =
            format!("cannot install {taken} beside web: web.0, web.1 … are deployments of web");
        assert_eq!(install(&setup, taken), Err(refused));
    }
    assert_eq!(install(&setup, "web.one"), Ok(()), "no deployment");
    assert_eq!(install(&setup, "web.01"), Ok(()), "nor is that");
    assert_eq!(setup.slots(), [0]);

    let setup = Setup::new();
    assert_eq!(install(&setup, "web.1"), Ok(()));
    let refused = "cannot install web beside web.1: web.0, web.1 … are deployments of web";
    assert_eq!(install(&setup, "web"), Err(refused.to_owned()));
    assert_eq!(
        install(&setup, "web.1"),
        Err("web.1 already present".to_owned())
    );
}
