//! `ps`: columns, filters, orders, templates.

use crate::needs;
use crate::run::{busybox, no_containers};
use crate::support::Home;

/// Three containers: `old` exited with 3, `new` never started, `up` runs.
fn three() -> Home {
    let home = busybox();
    home.berth([
        "run", "--name", "old", "--label", "app=web", "busybox", "sh", "-c", "exit 3",
    ])
    .fails(3);
    home.berth([
        "create",
        "--name",
        "new",
        "--label",
        "app=db",
        "-v",
        "data:/data",
        "--network",
        "none",
        "busybox",
        "true",
    ])
    .ok();
    home.berth([
        "run", "-d", "--name", "up", "--label", "app=web", "--label", "x", "busybox", "sleep",
        "1000",
    ])
    .ok();
    home
}

/// The names that `ps -a` lists with these flags, sorted.
#[track_caller]
fn names(home: &Home, flags: &[&str]) -> String {
    let begin = ["ps", "--format", "{{.Names}}", "--sort", "names"];
    let args = begin.iter().chain(flags);
    home.berth(args).ok().stdout.replace('\n', " ")
}

#[test]
fn filters_choose() {
    needs!(Images, Userns, Overlay);
    let home = three();
    let id = home
        .berth(["ps", "-q", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    for (flags, expected) in [
        (&["-a"][..], "new old up "),
        (&[], "up "),
        (&["-l"], "up "),
        (&["-a", "-f", "name=o"], "old "),
        (&["-a", "-f", "name=e", "-f", "name=u"], "new up "),
        (&["-a", "-f", "name=^.p$"], "up "),
        (&["-a", "-f", "name=^(new|ol)"], "new old "),
        (&["-a", "-f", "name=^e"], ""),
        (&["-f", "status=exited"], "old "),
        (&["-f", "status=exited", "-f", "status=created"], "new old "),
        (&["-f", "exited=3"], "old "),
        (&["-f", "exited=0"], ""),
        (&["-a", "-f", "label=app"], "new old up "),
        (&["-a", "-f", "label=app=web"], "old up "),
        (&["-a", "-f", "label=app=web", "-f", "label=x"], "up "),
        (&["-a", "-f", "label!=x"], "new old "),
        (&["-a", "-f", "ancestor=busybox"], "new old up "),
        (&["-a", "-f", "ancestor=redis"], ""),
        (&["-a", "-f", "volume=data"], "new "),
        (&["-a", "-f", "volume=/data"], "new "),
        (&["-a", "-f", "network=none"], "new "),
        (&["-a", "-f", "health=none"], "new old up "),
        (&["-a", "-f", "health=healthy"], ""),
        (&["-f", &format!("id={}", &id[..6])], "up "),
    ] {
        assert_eq!(names(&home, flags), expected, "{flags:?}");
    }
    let said = home.berth(["ps", "-f", "nosuch=1"]).fails(2).stderr;
    assert_eq!(
        said,
        "error: cannot use filter \"nosuch=1\": the keys are ancestor, before, exited, health, id, label, name, \
         network, since, status, until, volume\n"
    );
    home.berth(["ps", "-f", "status=dancing"])
        .fails(2)
        .err_has("the states are created, running,");
    home.berth(["ps", "-f", "name"])
        .fails(2)
        .err_has("expected KEY=VALUE");
    let said = home.berth(["ps", "-f", "name=(o"]).fails(2).stderr;
    assert_eq!(
        said,
        "error: cannot use filter \"name=(o\": unclosed group\n"
    );
    home.berth(["ps", "-f", "name=(((x{99}){99}){99}){99}"])
        .fails(2)
        .err_has("size limit");
    home.berth(["ps", "-f", "since=nosuch"])
        .fails(1)
        .err_has("container nosuch not found");
    home.berth(["rm", "-f", "-a"]).ok();
    no_containers(&home);
}

#[test]
fn templates_and_tables_tell_the_same() {
    needs!(Images, Userns, Overlay);
    let home = three();
    let id = home.berth(["ps", "-q"]).ok().text().to_owned();
    let table = home
        .berth(["ps", "--format", "table {{.ID}}\\t{{.Names}}\\t{{.State}}"])
        .ok();
    assert_eq!(
        table.stdout,
        format!("CONTAINER ID  NAMES  STATE\n{id}  up     running\n")
    );
    let line = home
        .berth([
            "ps",
            "-a",
            "-f",
            "name=old",
            "--format",
            "{{.ExitCode}} {{.Exited}} {{.Labels}} {{.Command}}",
        ])
        .ok();
    assert_eq!(line.stdout, "3 true map[app:web] sh -c exit 3\n");
    let line = home
        .berth([
            "ps",
            "--format",
            "{{json .Labels}} {{index .Labels \"app\"}}",
        ])
        .ok();
    assert_eq!(line.stdout, "{\"app\":\"web\",\"x\":\"\"} web\n");
    let rows = home.berth(["ps", "--format", "json"]).ok().json();
    assert_eq!(
        (rows[0]["Names"].as_str(), rows[0]["ID"].as_str()),
        (Some("up"), Some(id.as_str()))
    );
    let plain = home.berth(["ps", "-a"]).ok().stdout;
    let head: Vec<&str> = plain
        .lines()
        .next()
        .unwrap()
        .split("  ")
        .filter(|it| !it.is_empty())
        .map(str::trim)
        .collect();
    assert_eq!(
        head,
        [
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "PORTS",
            "NAMES"
        ]
    );
    assert!(
        plain.contains("Exited (3) ") && plain.contains("Created") && plain.contains("Up "),
        "{plain}"
    );
    home.berth(["ps", "--format", "{{.Nmaes}}"])
        .fails(1)
        .one_error()
        .err_has("there is no field Nmaes; there are Command,");
    home.berth(["ps", "--format", "{{.Names"])
        .fails(2)
        .one_error()
        .err_has("an action does not end: }} is missing");
    home.berth(["rm", "-f", "-a"]).ok();
    no_containers(&home);
}

#[test]
fn what_was_written_has_a_size() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth([
        "run",
        "--name",
        "fat",
        "busybox",
        "sh",
        "-c",
        "head -c 250000 /dev/zero >/big",
    ])
    .ok();
    home.berth(["create", "--name", "thin", "busybox", "true"])
        .ok();
    let shown = home
        .berth([
            "ps",
            "-a",
            "-s",
            "--sort",
            "size",
            "--format",
            "{{.Names}} {{.Size}}",
        ])
        .ok();
    assert_eq!(shown.stdout, "thin 0B\nfat 250kB\n");
    home.berth(["rm", "-a"]).ok();
}

#[test]
fn health_is_shown_where_it_was_noted() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    home.berth(["run", "-d", "--name", "up", "busybox", "sleep", "1000"])
        .ok();
    let id = home
        .berth(["ps", "-q", "--no-trunc"])
        .ok()
        .text()
        .to_owned();
    let note = home.root().join("containers").join(&id).join("health.json");
    std::fs::write(note, r#"{"Status":"healthy","FailingStreak":0,"Log":[]}"#).unwrap();
    let status = home.berth(["ps", "--format", "{{.Status}}"]).ok().stdout;
    assert!(
        status.starts_with("Up ") && status.ends_with(" (healthy)\n"),
        "{status}"
    );
    assert_eq!(names(&home, &["-f", "health=healthy"]), "up ");
    let health = home
        .berth(["inspect", "--format", "{{.State.Health.Status}}", "up"])
        .ok();
    assert_eq!(health.text(), "healthy");
    home.berth(["rm", "-f", "up"]).ok();
    no_containers(&home);
}
