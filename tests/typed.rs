//! What users of docker and podman type without thinking.

use std::fs;

use crate::life::{World, berth};
use crate::needs;
use crate::run::{busybox, no_containers, run};
use crate::support::images;

#[test]
fn h_is_the_host_name_and_no_help() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let ran = run(&home, &["-h", "box", "busybox", "hostname"]).ok();
    assert_eq!(ran.stdout, "box\n");
    home.berth(["create", "-h", "box", "--name", "new", "busybox", "true"])
        .ok();
    let name = ["inspect", "-f", "{{.Config.Hostname}}", "new"];
    assert_eq!(home.berth(name).ok().stdout, "box\n");
    for command in ["run", "create"] {
        let help = home.berth([command, "--help"]).ok();
        assert!(help.stdout.contains("-h, --hostname"), "{}", help.stdout);
        home.berth([command, "-h"])
            .fails(2)
            .err_has("a value is required for '--hostname");
    }
    home.berth(["exec", "-h"]).ok().out_has("Usage");
    home.berth(["rm", "new"]).ok();
}

#[test]
fn a_name_can_be_taken_over() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let first = world.run_d("web", &["busybox", "sleep", "1000"]);
    berth(&world, "run -d --name web busybox true").fails(125);
    // The start of an id is no name.
    berth(
        &world,
        &format!("create --replace --name {} busybox true", &first[..12]),
    )
    .ok();
    assert_eq!(world.names().len(), 2);
    // What cannot be replaced stays.
    berth(&world, "create --replace --name web nosuch:image true").fails(125);
    assert_eq!(world.id("web"), first);
    let second = world.run_d("web", &["--replace", "busybox", "sleep", "1000"]);
    assert_ne!(first, second);
    assert_eq!((world.id("web"), world.names().len()), (second, 2));
    assert!(!world.dir(&first).exists(), "the first one is gone");
    berth(&world, "create --replace --name new busybox true").ok();
    berth(&world, "create --replace busybox true")
        .fails(2)
        .err_has("--name");
}

#[test]
fn a_pull_can_be_quiet() {
    needs!(Images, Userns, Overlay);
    let home = crate::support::Home::new();
    let source = images::get("busybox").source();
    let args = ["--progress", "plain", "run", "--rm"];
    let said = |more: &[&str]| {
        let args = args.iter().chain(more).copied();
        home.berth(args).args([&source, "true"]).ok().stderr
    };
    assert!(!said(&[]).is_empty());
    assert_eq!(said(&["-q"]), "");
}

#[test]
fn ids_come_from_files() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    berth(&world, "run -d --cidfile id busybox sleep 1000").ok();
    let id = fs::read_to_string(world.join("id")).unwrap();
    let said = |line: &str| berth(&world, line).ok().stdout;
    assert_eq!(said("kill -s CONT --cidfile id"), format!("{id}\n"));
    assert_eq!(said("stop -t 0 --cidfile id"), format!("{id}\n"));
    assert_eq!(said("rm --cidfile id"), format!("{id}\n"));
    no_containers(&world);
    let none = berth(&world, "rm --cidfile none").fails(1).one_error();
    assert_eq!(
        none.stderr,
        "error: cannot read none: No such file or directory\n"
    );
    for line in ["rm -f", "rm -i", "stop -i"] {
        let ran = berth(&world, &format!("{line} --cidfile none --cidfile id")).ok();
        assert_eq!(ran.stdout, "", "{line}: neither file nor container");
    }
    berth(&world, "kill --all --cidfile id").fails(2);
    berth(&world, "stop").fails(2);
}

#[test]
fn all_of_them_are_meant() {
    needs!(Images, Userns, Overlay);
    let world = World::new();
    let said = |line: &str| -> Vec<String> {
        let said = berth(&world, line).ok().stdout;
        let mut lines: Vec<String> = said.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    };
    let up = world.run_d("up", &["busybox", "sleep", "1000"]);
    berth(&world, "create --name new busybox sleep 1000").ok();
    let new = world.id("new");
    let mut both = [up.clone(), new.clone()];
    both.sort();
    let init = world.pid_of(&up, "init");
    assert_eq!(said("restart --running -t 0"), [up.as_str()]);
    assert_ne!(world.pid_of(&up, "init"), init, "it is another life");
    assert_eq!(world.status("new").0, "created");
    assert_eq!(said("start --all"), both);
    assert_eq!(world.status("new").0, "running");
    let inits = [&up, &new].map(|id| world.pid_of(id, "init"));
    assert_eq!(said("restart --all -t 0"), both);
    let now = [&up, &new].map(|id| world.pid_of(id, "init"));
    assert!(
        inits[0] != now[0] && inits[1] != now[1],
        "{inits:?} {now:?}"
    );
    assert_eq!(said("unpause --all"), [] as [&str; 0]);
    for line in [
        "start --all up",
        "restart -a up",
        "start",
        "restart",
        "pause",
    ] {
        berth(&world, line).fails(2);
    }
    // Images, too; those in use stay, and keep none of the others.
    berth(&world, "tag busybox other").ok();
    let ran = berth(&world, "rmi --all").fails(1);
    assert_eq!(
        berth(&world, "images -q").ok().text().lines().count(),
        1,
        "{ran:?}"
    );
    berth(&world, "rmi nosuch").fails(1);
    assert_eq!(berth(&world, "rmi --ignore nosuch").ok().stdout, "");
    berth(&world, "rm -f up new").ok();
    berth(&world, "rmi -a").ok();
    assert_eq!(berth(&world, "images -q").ok().stdout, "");
}

#[test]
fn a_command_that_is_cut_says_so() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    for (name, command) in [
        ("fits", "123456789012345678"),
        ("long", "1234567890123456789"),
    ] {
        home.berth(["create", "--name", name, "busybox", "x", command])
            .ok();
    }
    let shown = |flags: &[&str]| {
        let args = ["ps", "-a", "--sort", "names", "--format", "{{.Command}}"];
        home.berth(args.iter().chain(flags)).ok().stdout
    };
    assert_eq!(shown(&[]), "x 123456789012345678\nx 123456789012345...\n");
    assert_eq!(
        shown(&["--no-trunc"]),
        "x 123456789012345678\nx 1234567890123456789\n"
    );
    let names = |filter: &str| {
        let args = ["ps", "-aq", "-f", filter];
        home.berth(args).ok().stdout.lines().count()
    };
    assert_eq!((names("until=1h"), names("until=0s")), (0, 2));
    home.berth(["rm", "-a"]).ok();
}

#[test]
fn fields_that_scripts_ask_for_are_there() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth([
        "create",
        "--name",
        "web",
        "--uts",
        "host",
        "--health-cmd",
        "true",
        "--health-interval",
        "2s",
        "--dns",
        "10.0.0.1",
        "--group-add",
        "7",
        "-v",
        "data:/data",
        "--network",
        "none",
        "busybox",
        "true",
    ])
    .ok();
    for (template, expected) in [
        ("{{.NetworkSettings.IPAddress}}|", "|"),
        (
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}|",
            "|",
        ),
        (
            "{{range .Mounts}}{{.Type}} {{.Driver}} {{.Destination}}{{end}}",
            "volume local /data",
        ),
        (
            "{{.HostConfig.Dns}} {{.HostConfig.GroupAdd}}",
            "[10.0.0.1] [7]",
        ),
        (
            "{{.HostConfig.PidMode}} {{.HostConfig.UTSMode}} {{.HostConfig.NetworkMode}}",
            "private host none",
        ),
        (
            "{{json .Config.Healthcheck}}",
            r#"{"Interval":2000000000,"Retries":3,"StartPeriod":0,"Test":["CMD-SHELL","true"],"Timeout":30000000000}"#,
        ),
        ("{{.State.Health.Status}}|{{.State.Running}}", "|false"),
        ("{{.RestartCount}} {{.Config.Image}}", "0 busybox"),
    ] {
        let said = home.berth(["inspect", "-f", template, "web"]).ok().stdout;
        assert_eq!(said, format!("{expected}\n"), "{template}");
    }
    home.berth(["rm", "web"]).ok();
}
