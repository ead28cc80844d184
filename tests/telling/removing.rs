//! `rename`, `prune`, and the finer points of `rm`.

use crate::needs;
use crate::run::{busybox, no_containers};

#[test]
fn a_container_gets_another_name() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth(["create", "--name", "one", "busybox", "true"])
        .ok();
    home.berth(["run", "-d", "--name", "two", "busybox", "sleep", "1000"])
        .ok();
    assert_eq!(home.berth(["rename", "one", "web"]).ok().stdout, "");
    home.berth(["rename", "web", "web"]).ok();
    home.berth(["rename", "two", "three"]).ok();
    assert_eq!(
        home.berth(["ps", "-a", "--sort", "names", "--format", "{{.Names}}"])
            .ok()
            .stdout,
        "three\nweb\n"
    );
    home.berth(["rename", "one", "x"])
        .fails(1)
        .one_error()
        .err_has("container one not found");
    home.berth(["rename", "web", "three"])
        .fails(1)
        .one_error()
        .err_has("cannot use name three: container");
    home.berth(["rename", "web", "-x"]).fails(2);
    home.berth(["rename", "web", "a/b"])
        .fails(1)
        .one_error()
        .err_has("a name has letters, digits and _.- only");
    home.berth(["create", "--name", "one", "busybox", "true"])
        .ok();
    home.berth(["rm", "-f", "three"]).ok();
    home.berth(["start", "web"]).ok();
    home.berth(["wait", "web"]).ok();
    home.berth(["rm", "web", "one"]).ok();
    no_containers(&home);
}

#[test]
fn what_does_not_run_is_pruned() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let id = |name: &str| {
        home.berth(["inspect", "--format", "{{.Id}}", name])
            .ok()
            .text()
            .to_owned()
    };
    home.berth(["run", "-d", "--name", "up", "busybox", "sleep", "1000"])
        .ok();
    home.berth(["run", "--name", "old", "--label", "keep", "busybox", "true"])
        .ok();
    home.berth(["create", "--name", "new", "busybox", "true"])
        .ok();
    let said = home.berth(["prune"]).fails(1);
    assert_eq!(
        said.stderr,
        "error: cannot ask whether to remove all containers that do not run: standard input is not a terminal\n\
         hint: use --force to remove them without being asked\n"
    );
    assert_eq!(
        home.berth(["prune", "-f", "--filter", "until=1h"])
            .ok()
            .stdout,
        ""
    );
    let new = id("new");
    assert_eq!(
        home.berth(["prune", "-f", "--filter", "label!=keep"])
            .ok()
            .text(),
        new
    );
    let old = id("old");
    assert_eq!(home.berth(["prune", "-f"]).ok().text(), old);
    assert_eq!(
        home.berth(["ps", "-a", "--format", "{{.Names}}"])
            .ok()
            .text(),
        "up"
    );
    home.berth(["prune", "-f", "--filter", "name=x"])
        .fails(2)
        .err_has("the keys are label, until");
    let asked = |answer: &str| {
        let typed = format!(
            "printf '{answer}\\n' | script -qec '\"$BERTH\" --root \"$ROOT\" prune' /dev/null"
        );
        home.sh(&typed).ok().stdout
    };
    home.berth(["create", "--name", "new", "busybox", "true"])
        .ok();
    assert!(asked("n").contains("Are you sure? [y/N]"));
    let new = id("new");
    assert!(asked("y").contains(&new));
    home.berth(["rm", "-f", "up"]).ok();
    no_containers(&home);
}

#[test]
fn one_that_cannot_be_removed_keeps_none_of_the_others() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for name in ["a", "b"] {
        home.berth(["create", "--name", name, "busybox", "true"])
            .ok();
    }
    home.berth(["run", "-d", "--name", "up", "busybox", "sleep", "1000"])
        .ok();
    let said = home.berth(["rm", "a", "nosuch", "up", "b"]).fails(1);
    assert_eq!(said.stdout, "a\nb\n");
    assert!(
        said.stderr
            .starts_with("error: container nosuch not found\n"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr
            .contains(": it is running\nhint: stop it first, or use berth rm -f\n"),
        "{}",
        said.stderr
    );
    assert_eq!(home.berth(["rm", "--ignore", "nosuch"]).ok().stdout, "");
    home.berth(["rm", "-a"]).fails(1);
    home.berth(["rm", "-a", "up"]).fails(2);
    home.berth(["rm", "-a", "-f"]).ok();
    no_containers(&home);
}

#[test]
fn one_may_be_given_time_to_end() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let script = "trap 'echo said >/mine/end; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let run = |name: &str| {
        let flags = ["-v", "mine:/mine", "--name", name];
        let args = ["run", "--rm"].iter().chain(&flags);
        let mut running = home
            .berth(args)
            .args(["busybox", "sh", "-c", script])
            .start();
        running.until_stdout("up");
        running
    };
    let end = home.root().join("volumes/mine/end");
    let running = run("one");
    home.berth(["rm", "-t", "60", "one"])
        .fails(2)
        .err_has("--force");
    home.berth(["rm", "-f", "one"]).ok();
    running.wait().code(137);
    assert!(!end.exists(), "killed at once");
    let running = run("two");
    home.berth(["rm", "-f", "-t", "60", "two"]).ok();
    running.wait().code(0);
    assert!(end.exists(), "asked first");
    no_containers(&home);
}
