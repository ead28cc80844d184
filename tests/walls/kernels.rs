//! What is the kernel's in a container, `/proc` and `/sys`, is the kernel's own.

use serde_json::json;

use super::{on_busybox, with};
use crate::needs;
use crate::run::{busybox, no_containers, run, sh};
use crate::support::image::Tar;

/// The lesson of CVE-2019-16884 with a link: a volume's place is plain to read, and where it leads is not.
#[test]
fn cve_2023_28642_no_link_leads_a_volume_over_proc() {
    needs!(Images, Userns, Overlay);
    let top = || {
        Tar::new()
            .symlink("links-proc", "/proc")
            .symlink("links-up", "../../proc")
            .symlink("links-settings", "/proc/sys")
            .symlink("links-self", "/proc/self")
            .symlink("links-sys", "/sys")
            .symlink("links-fine", "/srv")
            .dir("srv")
    };
    let home = busybox();
    home.sh("mkdir own && echo own >own/file").ok();
    for (place, over) in [
        ("/links-proc", "/proc"),
        ("/links-up", "/proc"),
        ("/links-settings", "/proc/sys"),
        ("/links-self", "/proc/self"),
        ("/links-proc/self", "/proc/self"),
        ("/links-sys", "/sys"),
    ] {
        let why = format!("cannot start the container: {over} in it is not the kernel's own");
        on_busybox(
            &home,
            "app",
            top(),
            json!({"Cmd": ["true"], "Volumes": {place: {}}}),
        );
        for flags in [&[][..], &["--image-volume", "tmpfs"], &["--privileged"]] {
            let args = [flags, &["app", "true"]].concat();
            run(&home, &args).fails(125).one_error().err_has(&why);
        }
        run(&home, &["-v", &format!("./own:{place}"), "app", "true"])
            .fails(125)
            .one_error()
            .err_has(&why);
        run(&home, &["--tmpfs", place, "app", "true"])
            .fails(125)
            .one_error()
            .err_has(&why);
    }
    // The control: a link elsewhere does lead the volume, and who asks for it by name may replace /sys.
    on_busybox(&home, "app", top(), json!({"Cmd": ["true"]}));
    for place in ["/links-fine:/srv", "/sys:/sys"] {
        let (place, at) = place.split_once(':').unwrap();
        let volume = format!("./own:{place}");
        let said = run(&home, &["-v", &volume, "app", "cat", &format!("{at}/file")]).ok();
        assert_eq!(said.text(), "own");
    }
    no_containers(&home);
}

/// The root of a container is not its image's alone: what was changed in it since counts as much.
#[test]
fn cve_2023_27561_proc_is_looked_at_at_every_start() {
    needs!(Images, Userns, Overlay);
    let home = with(
        Tar::new().whiteout("proc").dir("fake").dir("fake/self"),
        json!({"Cmd": ["true"]}),
    );
    home.sh("mkdir in && ln -s /fake in/proc && tar -C in -cf in.tar proc")
        .ok();
    home.berth(["create", "--name", "box", "app"]).ok();
    home.sh("\"$BERTH\" --root \"$ROOT\" cp - box:/ <in.tar")
        .ok();
    let why = "its /proc is not a directory";
    home.berth(["start", "-a", "box"])
        .fails(125)
        .one_error()
        .err_has(why);
    home.berth(["rm", "box"]).ok();
    // The control: without the link it starts, and while the kernel's own is mounted nothing replaces it.
    home.berth(["run", "-d", "--name", "box", "app", "sleep", "1000"])
        .ok();
    let said = home
        .sh("\"$BERTH\" --root \"$ROOT\" cp - box:/ <in.tar")
        .fails(1)
        .one_error();
    assert!(
        said.stderr.contains("cannot overwrite directory"),
        "{}",
        said.stderr
    );
    home.berth(["rm", "-f", "box"]).ok();
    no_containers(&home);
}

/// A setting of the kernel was written into another file, which a link or mount had put in its place.
#[test]
fn cve_2025_52881_settings_are_written_to_the_kernel_alone() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = ["--sysctl", "kernel.shmmax=12345"];
    home.sh("mkdir -p own/sys/kernel && echo mine >own/sys/kernel/shmmax")
        .ok();
    on_busybox(
        &home,
        "app",
        Tar::new().symlink("links", "/proc"),
        json!({"Cmd": ["true"]}),
    );
    let args = [&flags[..], &["-v", "./own:/links", "app", "true"]].concat();
    run(&home, &args).fails(125).one_error();
    assert_eq!(
        sh(&home, &flags, "cat /proc/sys/kernel/shmmax"),
        "12345",
        "the control"
    );
    no_containers(&home);
}
