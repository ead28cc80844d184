//! `top`, `pause` and `unpause`.

use crate::exec::Idle;
use crate::needs;
use crate::run::busybox;

#[test]
fn top_shows_the_containers_processes_and_no_other() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for flags in [
        &["--ids", "single"][..],
        &["--ids", "single", "-u", "nobody"],
        &["--ids", "range", "-u", "nobody"],
    ] {
        if flags.contains(&"range") {
            needs!(Ranges);
        }
        let script = "echo ready; sleep 600 & exec sleep 601";
        let idle = Idle::running(&home, "idle", flags, &["busybox", "sh", "-c", script]);
        let _other = Idle::start(&home, "other", &[]);
        let user = if flags.contains(&"nobody") {
            "nobody"
        } else {
            "root"
        };
        let said = home.berth(["top", "idle"]).ok().stdout;
        let rows: Vec<Vec<&str>> = said
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            [
                "USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"
            ]
        );
        assert_eq!(rows.len(), 3, "{said}");
        assert_eq!(
            (rows[1][0], rows[1][1], rows[1][2]),
            (user, "1", "0"),
            "{said}"
        );
        assert_eq!(rows[1][7..], ["sleep", "601"], "{said}");
        assert_eq!((rows[2][0], rows[2][2]), (user, "1"), "{said}");
        assert_eq!(rows[2][7..], ["sleep", "600"], "{said}");
        // What it has made of its own files does not matter, and nothing of it is run.
        idle.exec(&["-u", "root"], &["rm", "-rf", "/bin", "/etc/passwd"])
            .run();
        let uid = if user == "root" { "0" } else { "65534" };
        let said = home.berth(["top", "idle", "user,pid", "comm"]).ok().stdout;
        assert!(
            said.lines()
                .any(|line| line.split_whitespace().eq([uid, "1", "sleep"])),
            "{said}"
        );
    }
    let id = {
        home.berth(["run", "--name", "ended", "busybox", "true"])
            .ok();
        home.berth(["ps", "-aq", "--no-trunc"])
            .ok()
            .text()
            .to_owned()
    };
    let refused = home.berth(["top", "ended"]).fails(1).one_error();
    assert_eq!(
        refused.stderr,
        format!("error: cannot look at container {id}: it is exited\n")
    );
    home.berth(["rm", "ended"]).ok();
}

#[test]
fn columns_that_are_not_known_are_refused() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let idle = Idle::start(&home, "idle", &[]);
    let _ = &idle;
    home.berth(["top", "idle", "nope"])
        .fails(1)
        .one_error()
        .err_has("cannot use column \"nope\": expected one of user, uid, pid");
}

/// Where the test runs there is no group of the container's own; tests/vm has one.
#[test]
fn without_a_control_group_pausing_is_refused_and_says_how() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let _idle = Idle::start(&home, "idle", &[]);
    let id = home
        .berth(["ps", "-q", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let ran = home.berth(["pause", "idle"]).run();
    if ran.exit() == 0 {
        // Here is one after all.
        home.berth(["exec", "idle", "true"])
            .fails(125)
            .err_has("it is paused");
        home.berth(["unpause", "idle"]).ok();
        home.berth(["exec", "idle", "true"]).ok();
        return;
    }
    assert_eq!(
        ran.code(1).stderr,
        format!(
            "error: cannot pause container {id}: this host gives it no control group\nhint: start the container with: systemd-run --user --scope -p Delegate=yes berth …\n"
        )
    );
    home.berth(["unpause", "idle"])
        .fails(1)
        .one_error()
        .err_has("it is running");
}
