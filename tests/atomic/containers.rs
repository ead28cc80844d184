//! `atomic containers list|delete`, `run` and `stop`, on a host whose systemd is a script.

use serde_json::json;

use crate::services::fake::Host;
use crate::support::user::Run;

fn host() -> Host {
    let host = Host::new();
    let info = |image: &str| json!({"image": image, "revision": "0123456789abcdef", "created": 1_500_000_000, "runtime": "/bin/runc"});
    host.service(
        "web",
        &info("docker.io/library/web:latest"),
        "ActiveState=active SubState=running MainPID=1",
    );
    host.service(
        "broken",
        &info("broken"),
        "ActiveState=failed SubState=failed",
    );
    host.service("off", &info("Off"), "ActiveState=inactive SubState=dead");
    host
}

fn atomic(host: &Host, words: &str) -> Run {
    host.berth(["atomic"]).args(words.split_whitespace())
}

/// A line of the list, in Atomic's widths.
fn line(cells: [&str; 9]) -> String {
    let [
        flag,
        id,
        image,
        name,
        command,
        created,
        state,
        backend,
        runtime,
    ] = cells;
    format!(
        "{flag:<2} {id:<12} {image:<20} {name:<10} {command:<10} {created:<16} {state:<10} {backend:<10} {runtime:<10}\n"
    )
}

#[test]
fn containers_are_listed_in_atomics_columns() {
    let host = host();
    let row = |id: &str, image: &str, state: &str| {
        line([
            "",
            id,
            image,
            id,
            "serve --al",
            "2017-07-14 02:40",
            state,
            "ostree",
            "/bin/runc",
        ])
    };
    let heading = line([
        " ",
        "CONTAINER ID",
        "IMAGE",
        "NAME",
        "COMMAND",
        "CREATED",
        "STATE",
        "BACKEND",
        "RUNTIME",
    ]);
    let running = row("web", "docker.io/library/we", "running");
    let failed = row("broken", "broken", "failed");
    let listed = atomic(&host, "containers list").ok();
    assert_eq!(listed.stdout, format!("{heading}{failed}{running}"));
    let all = atomic(&host, "containers list -a -n").ok();
    let off = row("off", "Off", "inactive");
    assert_eq!(all.stdout, format!("{failed}{off}{running}"));
    let quiet = atomic(&host, "containers list -aq --json").ok();
    assert_eq!(quiet.stdout, "broken\noff\nweb\n");
    let full = atomic(&host, "containers list -n --no-trunc -f container=web").ok();
    let expected = "   web          docker.io/library/web:latest web        serve --all 2017-07-14 02:40 running    ostree     /bin/runc \n";
    assert_eq!(full.stdout, expected);
    let none = atomic(&host, "containers list -f container=idonotexist").ok();
    assert_eq!(none.stdout, "");
    let none = atomic(&host, "containers list --json -f container=idonotexist").ok();
    assert_eq!(none.stdout, "[]\n");
    let json = atomic(&host, "containers list --json -f state=RUN").ok();
    assert_eq!(json.json()[0]["image_id"], "0123456789abcdef");
    assert!(
        json.stdout.starts_with("[\n    {\n        \"id\""),
        "{}",
        json.stdout
    );
    let bad = atomic(&host, "containers list -f x=y").fails(1);
    assert_eq!(
        bad.stderr,
        "The filter x is not valid.  Please choose from ['container', 'image', 'command', 'created', 'state', 'runtime', 'backend']\nSome operations for 'containers' require root access.\n"
    );
}

#[test]
fn containers_are_deleted_when_yes_is_said() {
    let host = host();
    let table = format!(
        "   {:<12} {:<20} {:<25} {:<10}\n   {:<12} {:<20} {:<25} {:<10}\n",
        "ID", "NAME", "IMAGE_NAME", "STORAGE", "off", "off", "Off", "ostree"
    );
    let ran = atomic(&host, "containers delete off")
        .input("no\n")
        .fails(2);
    assert_eq!(
        ran.stdout,
        format!("Do you wish to delete the following containers?\n\n{table}\nConfirm (y/N) ")
    );
    assert_eq!(ran.stderr, "User aborted delete operation for ['off']\n");
    assert!(host.checkouts().join("off").exists());
    for (words, text) in [
        (
            "-y containers delete",
            "You must select --all or provide a list of containers to delete.",
        ),
        (
            "-y containers delete nothing",
            "Unable to find backend associated with container 'nothing'",
        ),
        (
            "-y containers delete --storage ostree nothing",
            "Unable to find nothing in the ostree backend",
        ),
    ] {
        let ran = atomic(&host, words).fails(1);
        assert_eq!(
            ran.stderr.lines().next(),
            Some(text),
            "{words}: {}",
            ran.stderr
        );
    }
    let ran = atomic(&host, "-y containers delete off").ok();
    assert!(
        ran.stdout.starts_with(&format!(
            "The following containers will be deleted.\n\n{table}"
        )),
        "{}",
        ran.stdout
    );
    assert!(!host.checkouts().join("off").exists());
    assert!(host.checkouts().join("web").exists());
}

#[test]
fn run_and_stop_reach_systemd() {
    let host = host();
    atomic(&host, "run off").ok();
    atomic(&host, "stop web").ok();
    let asked = host.asked();
    for wanted in ["start off.service", "stop web.service"] {
        assert!(asked.iter().any(|it| it.ends_with(wanted)), "{asked:?}");
    }
    for (words, text) in [
        ("run nothing", "The container 'nothing' doesn't exist"),
        (
            "run -d off true",
            "Cannot use --detach with not running containers",
        ),
        (
            "run --name x web",
            "--name is not supported by this backend",
        ),
        (
            "stop nothing",
            "Unable to find backend associated with container 'nothing'",
        ),
        ("mount web .", "Need to be root to mount a container."),
    ] {
        let ran = atomic(&host, words).fails(1);
        assert_eq!(ran.stderr.lines().next(), Some(text), "{words}");
    }
}
