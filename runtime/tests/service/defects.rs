//! The defects of Atomic's that are about changing services, each by its number.

use runtime::service::{Event, Service, Step};
use rustix::fs::inotify;

use crate::setup::{ONE, Setup, Shape, TWO, quiet, web, words};
use crate::snapshot::same;

#[test]
fn defect_1_a_third_deployment_is_clean() {
    let setup = Setup::running(ONE);
    std::fs::write(setup.current().dir.join("left-behind"), "").expect("written");
    setup.update(&mut quiet(), TWO).expect("updated");
    setup.update(&mut quiet(), ONE).expect("updated");
    setup.update(&mut quiet(), TWO).expect("updated");
    let third = setup.update(&mut quiet(), ONE).expect("updated");
    assert_eq!(third.slot, 0);
    assert!(!third.dir.join("left-behind").exists());
    assert!(third.rootfs().join("usr/lib/first/only").is_file());
    assert!(
        !third.rootfs().join("usr/lib/second").exists(),
        "nothing of another image"
    );
}

#[test]
fn defect_2_a_failed_update_leaves_the_other_slot() {
    let setup = Setup::running(ONE);
    setup.update(&mut quiet(), TWO).expect("updated");
    let mut shape = Shape::new(1);
    shape.config = shape.config.replace("$WORD", "$MISSING");
    shape.make(&setup.repo, "example.org/web:3");
    let before = setup.snapshot();
    let error = setup
        .update(&mut quiet(), "example.org/web:3")
        .expect_err("undefined");
    assert_eq!(
        error.to_string(),
        "The template file 'exports/config.json.template' still contains an unreplaced value for: ''MISSING''"
    );
    same(&setup.snapshot(), &before, "nothing has changed");
    assert_eq!(setup.leftovers(), Vec::<String>::new());
    setup
        .rollback(&mut quiet())
        .expect("the other slot is whole");
    assert!(setup.unit().contains("web first"));
}

#[test]
fn defect_3_every_template_is_checked_before_anything_is_stopped() {
    let setup = Setup::running(ONE);
    let mut shape = Shape::new(2);
    shape.unit = shape.unit.replace("$WORD", "$MISSING");
    shape.make(&setup.repo, TWO);
    setup.systemd.forget_log();
    let mut steps = 0;
    let mut told = |event: Event<'_>| steps += usize::from(!matches!(event, Event::Said(_)));
    let error = setup.update(&mut told, TWO).expect_err("undefined");
    assert_eq!(
        error.to_string(),
        "The template file 'exports/service.template' still contains an unreplaced value for: ''MISSING''"
    );
    assert_eq!((steps, setup.systemd.log()), (0, vec![]));
    assert!(setup.systemd.running("web.service").is_some());
}

#[test]
fn defect_4_rollback_puts_rendered_host_files_back() {
    let setup = Setup::new();
    setup
        .install_as(&web(), &mut quiet(), ONE, &[("WORD", "mine")])
        .expect("installed");
    assert_eq!(setup.host("etc/web.conf").as_deref(), Some("1 mine\n"));
    setup
        .update_with(&mut quiet(), TWO, &[("WORD", "other")], 2)
        .expect("updated");
    assert_eq!(setup.host("etc/web.conf").as_deref(), Some("2 other\n"));
    assert_eq!(setup.host("usr/lib/first/only"), None);
    setup.rollback(&mut quiet()).expect("rolled back");
    assert_eq!(setup.host("etc/web.conf").as_deref(), Some("1 mine\n"));
    assert_eq!(setup.host("usr/lib/first/only").as_deref(), Some("first"));
    assert_eq!(setup.host("usr/lib/second/only"), None);
}

#[test]
fn defect_5_rollback_goes_by_the_lists_of_the_deployment_that_it_goes_to() {
    let setup = Setup::running(ONE);
    let mut shape = Shape::new(2);
    shape.manifest = shape
        .manifest
        .replace("/etc/$NAME.conf", "/etc/renamed-$NAME")
        .replace("/etc/web.conf", "/etc/renamed-web");
    shape.make(&setup.repo, TWO);
    setup.update(&mut quiet(), TWO).expect("updated");
    assert_eq!(setup.host("etc/renamed-web").as_deref(), Some("2 second\n"));
    assert_eq!(setup.host("etc/web.conf"), None);
    setup.rollback(&mut quiet()).expect("rolled back");
    assert_eq!(setup.host("etc/renamed-web"), None);
    assert_eq!(setup.host("etc/web.conf").as_deref(), Some("1 first\n"));
    setup
        .rollback(&mut quiet())
        .expect("twice is back at the newest");
    assert_eq!(setup.host("etc/renamed-web").as_deref(), Some("2 second\n"));
}

#[test]
fn defect_10_new_defaults_apply_unless_the_user_set_the_value() {
    let setup = Setup::running(ONE);
    setup.update(&mut quiet(), TWO).expect("updated");
    assert!(setup.unit().contains("web second"));
    setup
        .update_with(&mut quiet(), ONE, &[("WORD", "mine")], 2)
        .expect("updated");
    setup.update(&mut quiet(), TWO).expect("updated");
    assert!(setup.unit().contains("web mine"));
}

#[test]
fn defect_15_a_service_without_a_unit_rolls_back() {
    let setup = Setup::new();
    for (version, image) in [(1, ONE), (2, TWO)] {
        let mut shape = Shape::new(version);
        shape.manifest = shape
            .manifest
            .replacen('{', r#"{"noContainerService": true, "#, 1);
        shape.make(&setup.repo, image);
    }
    setup.install(&mut quiet(), ONE).expect("installed");
    setup.update(&mut quiet(), TWO).expect("updated");
    assert!(!setup.dir.join("units/web.service").exists());
    assert!(!setup.current().rootfs().exists(), "its root is not kept");
    setup.rollback(&mut quiet()).expect("rolled back");
    assert_eq!(setup.host("etc/web.conf").as_deref(), Some("1 first\n"));
    assert_eq!(setup.host("usr/lib/first/only").as_deref(), Some("first"));
    assert_eq!(setup.host("usr/lib/second/only"), None);
}

#[test]
fn defect_16_the_link_flips_by_rename() {
    let setup = Setup::running(ONE);
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
    let flags = inotify::WatchFlags::ALL_EVENTS;
    inotify::add_watch(&watch, &setup.places.checkouts, flags).expect("watched");
    setup.update(&mut quiet(), TWO).expect("updated");
    setup.rollback(&mut quiet()).expect("rolled back");
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1 << 14];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut of_link = Vec::new();
    while let Ok(event) = events.next() {
        if event.file_name().is_some_and(|it| it.to_bytes() == b"web") {
            of_link.push(event.events());
        }
    }
    use inotify::ReadFlags;
    assert_eq!(of_link, [ReadFlags::MOVED_TO, ReadFlags::MOVED_TO]);
}

#[test]
fn the_link_leads_somewhere_at_every_step() {
    let setup = Setup::running(ONE);
    let link = setup.places.link(&web());
    let mut flips = 0;
    setup
        .update(
            &mut |event| {
                assert!(link.join("rootfs/usr/bin/program").is_file(), "{event:?}");
                flips += u32::from(matches!(event, Event::After(Step::Flip(_))));
            },
            TWO,
        )
        .expect("updated");
    assert_eq!(flips, 1);
    let target = std::fs::read_link(&link).expect("a link");
    assert_eq!(target, setup.places.slot(&web(), 1), "absolute");
}

#[test]
fn a_rollback_without_another_deployment_says_where_it_looked() {
    let setup = Setup::running(ONE);
    let error = setup.rollback(&mut quiet()).expect_err("nothing there");
    let place = setup.places.slot(&web(), 1);
    assert_eq!(
        words(&error),
        format!(
            "Cannot find a previous deployment to rollback located at {}",
            place.display()
        )
    );
    setup.uninstall(&mut quiet()).expect("uninstalled");
    let error = setup.rollback(&mut quiet()).expect_err("not installed");
    assert_eq!(words(&error), "System container 'web' is not installed");
    assert!(
        Service::find(&setup.places, &web())
            .expect("read")
            .is_none()
    );
}
