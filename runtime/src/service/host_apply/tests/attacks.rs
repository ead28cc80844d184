//! Places that lead elsewhere. Each begins with a program that trusts the path, to show that it does.

use super::*;

/// Writes as a program does that trusts the path.
fn trusting(place: &Place, path: &str, text: &str) -> std::io::Result<()> {
    fs::write(place.on_host(path), text)
}

#[test]
fn a_link_on_the_way_leads_nowhere_outside() {
    let mut place = Place::new();
    symlink(place.outside(), place.on_host("/etc/absolute")).expect("linked");
    symlink("../../outside", place.on_host("/etc/up")).expect("linked");
    trusting(&place, "/etc/absolute/control", "").expect("written");
    trusting(&place, "/etc/up/control2", "").expect("written");
    assert!(place.outside().join("control").exists() && place.outside().join("control2").exists());
    for way in ["absolute", "up"] {
        let from = place.deployment(&[]);
        let files = kept(&from, &[file(&format!("/etc/{way}/conf"), "x")]);
        // There is nothing where the link leads on this host.
        let planned = files.plan(&place.host(), &[]);
        if let Ok(plan) = planned {
            plan.apply(&place.host(), &from, &mut |_| {})
                .expect_err("no such place");
        }
        assert!(!place.outside().join("conf").exists(), "{way}");
    }
    // Where it leads to a place of the host, that is where the file goes.
    fs::create_dir_all(place.host().join("outside")).expect("made");
    let from = place.deployment(&[]);
    place.change(&from, &kept(&from, &[file("/etc/up/conf", "x")]), &[]);
    assert!(place.host().join("outside/conf").is_file() && !place.outside().join("conf").exists());
}

#[test]
fn a_destination_that_becomes_a_link_is_not_written_through() {
    let mut place = Place::new();
    let one = place.deployment(&[]);
    let done = place.change(&one, &kept(&one, &[file("/etc/a", "1")]), &[]);
    let two = place.deployment(&[]);
    let files = kept(&two, &[file("/etc/a", "2"), file("/etc/b", "2")]);
    let plan = files.plan(&place.host(), &done.tracked).expect("planned");
    // The same bytes behind it, so that only what is at the path itself tells.
    fs::write(place.outside().join("a"), "1").expect("written");
    let swap = || {
        for name in ["a", "b"] {
            let path = place.host().join("etc").join(name);
            let _ = fs::remove_file(&path);
            symlink(place.outside().join(name), path).expect("linked");
        }
    };
    swap();
    trusting(&place, "/etc/b", "control").expect("written");
    assert!(place.outside().join("b").exists());
    fs::remove_file(place.outside().join("b")).expect("removed");
    // Swapped when the step has already begun.
    plan.apply(&place.host(), &two, &mut |told| {
        if let HostTold::Before(_) = told {
            swap();
        }
    })
    .expect("applied");
    assert_eq!(
        fs::read_to_string(place.outside().join("a")).expect("there"),
        "1"
    );
    assert!(!place.outside().join("b").exists());
    // The draft's name may be a link as well.
    let from = place.deployment(&[]);
    let files = kept(&from, &[file("/etc/fresh", "x")]);
    let draft = place.host().join("etc").join(draft_of("/etc/fresh"));
    symlink(place.outside().join("draft"), &draft).expect("linked");
    place.change(&from, &files, &[]);
    assert!(!place.outside().join("draft").exists() && !draft.exists());
    assert_eq!(
        fs::read_to_string(place.on_host("/etc/fresh")).expect("there"),
        "x"
    );
}

#[test]
fn paths_with_dots_are_refused_wherever_they_come_from() {
    let mut place = Place::new();
    trusting(&place, "/etc/../../outside/control", "").expect("written");
    assert!(place.outside().join("control").exists());
    for bad in ["/etc/../../outside/x", "etc/x", "/", "/etc/./../x", ""] {
        let from = place.deployment(&[]);
        let error = HostFiles::keep(&from, &[file(bad, "x")], KeepOptions::default());
        let error = error.expect_err(bad).to_string();
        let why = "it is not an absolute path without ..";
        assert_eq!(error, format!("cannot install {bad:?} on the host: {why}"));
        let tracked = Tracked {
            path: bad.into(),
            sha256: "0".into(),
        };
        assert!(
            HostFiles::default()
                .plan(&place.host(), &[tracked])
                .is_err(),
            "{bad}"
        );
    }
}

#[test]
fn a_link_of_the_image_is_no_source() {
    let mut place = Place::new();
    fs::write(place.outside().join("secret"), "secret").expect("written");
    let from = place.deployment(&[("exports/hostfs/etc/x", "")]);
    let path = from.join("rootfs/exports/hostfs/etc/x");
    fs::remove_file(&path).expect("removed");
    symlink(place.outside().join("secret"), &path).expect("linked");
    assert_eq!(fs::read_to_string(&path).expect("control"), "secret");
    let files = [exported("/etc/x", "exports/hostfs/etc/x")];
    assert!(HostFiles::keep(&from, &files, KeepOptions::default()).is_err());
    // Nor is another file of the image put in its place.
    fs::remove_file(&path).expect("removed");
    fs::write(from.join("rootfs/other"), "other").expect("written");
    symlink("/other", &path).expect("linked");
    assert!(HostFiles::keep(&from, &files, KeepOptions::default()).is_err());
    // A directory on its way that is a link ends in the image.
    fs::remove_file(&path).expect("removed");
    fs::remove_dir(path.parent().expect("one")).expect("removed");
    symlink(place.outside(), from.join("rootfs/exports/hostfs/etc")).expect("linked");
    let files = [exported("/etc/x", "exports/hostfs/etc/secret")];
    assert!(HostFiles::keep(&from, &files, KeepOptions::default()).is_err());
}
