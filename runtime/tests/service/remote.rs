//! Services that run from the root of another.

use runtime::service::{self, Service, ServiceName};

use crate::setup::{ONE, Setup, TWO, installer, quiet, words};

fn second() -> ServiceName {
    ServiceName::new("second").expect("a name")
}

fn install_second(setup: &Setup) {
    let given = setup.dir.join("checkouts/web");
    setup
        .order_remote(&second(), &given, &[], |order| {
            setup.world(&mut quiet(), |world| {
                let plan = service::plan_install(&setup.places, &installer(), order)?;
                service::install(world, &installer(), order, &plan)
            })
        })
        .expect("installed");
}

#[test]
fn it_follows_the_service_that_it_points_to() {
    let setup = Setup::running(ONE);
    install_second(&setup);
    setup.systemd.up("second.service");
    let program = setup.dir.join("checkouts/second/rootfs/usr/bin/program");
    let read = || std::fs::read_to_string(&program).expect("read");
    assert_eq!(read(), "first");
    let config = std::fs::read_to_string(setup.dir.join("checkouts/second/config.json"));
    let config: serde_json::Value = serde_json::from_str(&config.expect("read")).expect("JSON");
    let rootfs = setup.dir.join("checkouts/web/rootfs").display().to_string();
    assert_eq!(config["root"]["path"], rootfs);
    setup.systemd.forget_log();
    setup.update(&mut quiet(), TWO).expect("updated");
    assert_eq!(read(), "second");
    let log = setup.systemd.log();
    assert_eq!(
        log.last().map(String::as_str),
        Some("restart second.service")
    );
    setup.rollback(&mut quiet()).expect("rolled back");
    assert_eq!(read(), "first");
}

#[test]
fn what_others_run_from_is_not_uninstalled() {
    let setup = Setup::running(ONE);
    install_second(&setup);
    let before = setup.snapshot();
    let error = setup.uninstall(&mut quiet()).expect_err("it is used");
    assert_eq!(
        words(&error),
        "cannot uninstall service web: second runs from its root file system"
    );
    crate::snapshot::same(&setup.snapshot(), &before, "nothing changed");
    setup
        .world(&mut quiet(), |world| service::uninstall(world, &second()))
        .expect("uninstalled");
    assert!(
        setup.current().rootfs().join("usr/bin/program").is_file(),
        "the remote is not touched"
    );
    setup.uninstall(&mut quiet()).expect("uninstalled");
}

#[test]
fn defect_1_a_third_deployment_of_a_remote_root_works() {
    let setup = Setup::running(ONE);
    install_second(&setup);
    for word in ["a", "b", "c"] {
        let given = setup.dir.join("checkouts/web");
        setup
            .order_remote(&second(), &given, &[("WORD", word)], |order| {
                setup.world(&mut quiet(), |world| {
                    let service = Service::get(&setup.places, &second())?;
                    let plan =
                        service::plan_update(&setup.places, &installer(), &service, order, false)?;
                    service::update(world, &installer(), order, &plan.expect("a change"), true)
                })
            })
            .expect(word);
        let unit = std::fs::read_to_string(setup.dir.join("units/second.service"));
        assert!(unit.expect("read").contains(&format!("second {word}")));
        assert!(setup.dir.join("checkouts/second/rootfs").is_symlink());
    }
}

#[test]
fn a_place_without_a_root_is_refused() {
    let setup = Setup::running(ONE);
    let missing = setup.dir.join("missing");
    let error = service::find_remote(&setup.places, &missing).expect_err("missing");
    assert_eq!(
        words(&error),
        format!(
            "cannot use {}: the remote rootfs does not exist",
            missing.display()
        )
    );
    let empty = setup.dir.join("units");
    let error = service::find_remote(&setup.places, &empty).expect_err("empty");
    assert_eq!(
        words(&error),
        format!(
            "--rootfs was specified but the given location does not contain a rootfs: {}",
            empty.display()
        )
    );
}
