//! Limits of resources: flags that are read, limits that hold where the group is ours, and the word where it is not.

use std::process::Command;

use crate::needs;
use crate::run::{busybox, no_containers, run, sh};
use crate::support::Home;
use crate::support::user::berth;

#[test]
fn what_is_no_limit_is_refused_by_its_flag() {
    let home = Home::new();
    for (flags, said) in [
        (
            ["--memory", "5m"],
            "cannot use --memory \"5m\": the least is 6291456 bytes",
        ),
        (
            ["--memory", "lots"],
            "cannot use --memory \"lots\": expected a size such as 67108864, 64m or 1.5g",
        ),
        (
            ["-m", "99999999p"],
            "cannot use --memory \"99999999p\": it is larger than any memory",
        ),
        (
            ["--memory-swap", "64m"],
            "cannot use --memory-swap \"67108864\": it takes --memory",
        ),
        (
            ["--cpus", "0.001"],
            "cannot use --cpus \"0.001\": expected a number of processors from 0.01 to 8192",
        ),
        (
            ["-c", "1"],
            "cannot use --cpu-shares \"1\": expected a number from 2 to 262144",
        ),
        (
            ["--pids-limit", "-2"],
            "cannot use --pids-limit \"-2\": expected a number up to 4194304, or -1 for no limit",
        ),
        (
            ["--cpuset-cpus", "3-1"],
            "cannot use --cpuset-cpus \"3-1\": expected numbers and ranges such as 0-2,5",
        ),
        (
            ["--oom-score-adj", "2000"],
            "cannot use --oom-score-adj \"2000\": expected a number from -1000 to 1000",
        ),
    ] {
        let args = ["run"].into_iter().chain(flags).chain(["busybox"]);
        home.berth(args).fails(2).one_error().err_has(said);
    }
    let both = ["run", "--cpus", "1", "--cpu-quota", "5000", "busybox"];
    home.berth(both)
        .fails(2)
        .err_has("it says the same as --cpu-quota");
}

#[test]
fn a_limit_that_does_not_hold_is_said_once() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = [
        "-m",
        "64m",
        "--memory-swap",
        "-1",
        "--pids-limit",
        "5",
        "--cpus",
        "0.5",
    ];
    let ran = run(&home, &[&flags[..], &["busybox", "echo", "ran"]].concat())
        .ok()
        .out_has("ran");
    // Whoever runs this where the group is delegated has nothing to be told.
    for what in ["memory limit", "swap limit", "pids limit", "cpu limit"] {
        let line = format!("warning: {what} not applied: ");
        let lines: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|it| it.starts_with(&line))
            .collect();
        assert!(lines.len() <= 1, "{lines:?}");
        assert_eq!(lines.len() == 1, hybrid(), "{what}\n{}", ran.stderr);
        assert!(
            lines
                .iter()
                .all(|it| it.ends_with("here (boot with systemd.unified_cgroup_hierarchy=1)")),
            "{lines:?}"
        );
    }
    assert_eq!(
        run(&home, &["busybox", "true"]).ok().stderr,
        "",
        "nothing was asked for"
    );
    let doctor = home.berth(["doctor"]).run().stdout;
    assert_eq!(
        hybrid(),
        doctor.contains("boot with systemd.unified_cgroup_hierarchy=1"),
        "{doctor}"
    );
    no_containers(&home);
}

fn hybrid() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts
        .lines()
        .rfind(|line| line.contains(" /sys/fs/cgroup "))
        .is_none_or(|line| !line.contains(" - cgroup2 "))
}

#[test]
fn limits_of_the_process_hold() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for ids in [&["--ids", "single", "-u", "1000"][..], &[]] {
        let flags = [
            "--ulimit",
            "nofile=7:9",
            "--ulimit",
            "core=0",
            "--oom-score-adj",
            "7",
        ];
        let script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj";
        assert_eq!(sh(&home, &[ids, &flags].concat(), script), "7\n9\n0\n7");
    }
    let hard = home.sh("ulimit -Hn").ok().text().to_owned();
    let ran = run(
        &home,
        &[
            "--ulimit",
            "nofile=99999999",
            "busybox",
            "sh",
            "-c",
            "ulimit -n",
        ],
    )
    .ok();
    assert_eq!(ran.text(), hard, "as many as the user may have");
    let said = format!(
        "warning: ulimit nofile not applied: it is {hard}, the most that this user may have\n"
    );
    assert_eq!(ran.stderr, said);
    let ran = run(&home, &["--oom-score-adj", "-900", "busybox", "true"]).ok();
    assert!(
        ran.stderr.starts_with("warning: oom score not applied: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn shared_memory_has_the_size_that_was_asked_for() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "df -k /dev/shm | tail -n 1 | awk '{print $2}'";
    assert_eq!(sh(&home, &[], script), "65536");
    assert_eq!(sh(&home, &["--shm-size", "1.5m"], script), "1536");
}

/// A group of a control group tree that is the test user's, as systemd delegates one, in a mount namespace where the tree
/// is the only one. Controllers belong to version 1 here; everything else is as on a real host.
fn delegated(home: &Home, script: &str) -> Vec<String> {
    let setup = "mount -t cgroup2 none /sys/fs/cgroup && mount -o remount,nsdelegate /sys/fs/cgroup
        g=/sys/fs/cgroup/berth-it-$$; mkdir $g
        trap 'echo $$ >/sys/fs/cgroup/cgroup.procs; find $g -depth -type d -exec rmdir {} \\;' EXIT
        chown $USER_ID $g $g/cgroup.procs $g/cgroup.subtree_control
        echo $$ >$g/cgroup.procs
        export G=$g
        b() { setpriv --reuid $USER_ID --regid $USER_ID --clear-groups env HOME=$WHERE $BERTH --root $WHERE/root --run-dir $WHERE/run \"$@\"; }";
    let out = Command::new("unshare")
        .args(["-m", "sh", "-euc", &format!("{setup}\n{script}")])
        .env("BERTH", berth())
        .env("WHERE", home.path())
        .env("USER_ID", home.user.uid.to_string())
        .output()
        .unwrap();
    let (said, err) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{said}\n{err}");
    said.lines().map(str::to_owned).collect()
}

#[test]
fn in_a_group_of_ours_a_container_has_a_group_of_its_own() {
    needs!(Root, Images, Userns, Overlay);
    let home = busybox();
    let said = delegated(
        &home,
        "b run --rm -m 64m busybox sh -c 'grep ^0: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs | head -n 1; mkdir /sys/fs/cgroup/x 2>/dev/null || echo read-only' 2>$WHERE/err
         grep -c '^warning: memory limit not applied: the controller memory is not delegated to this user' $WHERE/err
         ls $G | grep -c '^berth-'; grep ^0: /proc/self/cgroup | sed 's/.*berth-sup/moved/'",
    );
    assert_eq!(said, ["0::/", "1", "read-only", "1", "1", "moved"]);
    no_containers(&home);
}

#[test]
fn containers_of_one_scope_work_beside_each_other() {
    needs!(Root, Images, Userns, Overlay);
    let home = busybox();
    let said = delegated(
        &home,
        "for n in 1 2 3; do
            b run --rm --name n$n busybox sh -c 'echo up; while ! test -e /tmp/end; do sleep 0.05; done' >$WHERE/out$n & pids=\"${pids:-} $!\"
         done
         for n in 1 2 3; do while ! grep -q up $WHERE/out$n; do sleep 0.05; done; done
         ls $G | grep -c '^berth-[0-9a-f]'
         cat $G/cgroup.procs | wc -l
         b rm -f n1 n2 n3 >/dev/null
         for pid in $pids; do wait $pid || echo $?; done
         ls $G | grep '^berth-'",
    );
    assert_eq!(said, ["3", "0", "137", "137", "137", "berth-sup"]);
    no_containers(&home);
}

#[test]
fn a_killed_supervisor_leaves_a_group_that_rm_removes() {
    needs!(Root, Images, Userns, Overlay);
    let home = busybox();
    let said = delegated(
        &home,
        "b run --name orphan busybox sh -c 'echo up; exec sleep 1000' >$WHERE/out & pid=$!
         while ! grep -q up $WHERE/out; do sleep 0.05; done
         kill -KILL $(sed 's/.*\"supervisor\":{\"pid\":\\([0-9]*\\).*/\\1/' $WHERE/root/containers/*/state.json)
         wait $pid || echo $?
         b rm -f orphan >/dev/null; ls $G | grep '^berth-'",
    );
    assert_eq!(said, ["137", "berth-sup"]);
    no_containers(&home);
}
