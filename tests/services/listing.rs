//! `berth services`: Atomic's columns, keys and filters.

use serde_json::json;

use super::fake::Host;

fn host() -> Host {
    let host = Host::new();
    let info = |image: &str| json!({"image": image, "revision": "0123456789abcdef", "created": 1_500_000_000, "runtime": "/usr/bin/berth oci"});
    host.service(
        "web",
        &info("docker.io/library/web:latest"),
        "ActiveState=active SubState=running",
    );
    host.service(
        "broken",
        &info("broken"),
        "ActiveState=failed SubState=failed",
    );
    host.service("off", &info("Off"), "ActiveState=inactive SubState=dead");
    let mut files = info("files");
    files["has-container-service"] = json!(false);
    host.service("files", &files, "ActiveState=inactive");
    host
}

#[test]
fn defect_14_failed_is_told_from_running() {
    let host = host();
    let ran = host.berth(["services"]).ok();
    let expected = "\
CONTAINER ID  IMAGE                 NAME    COMMAND     CREATED           STATE       BACKEND  RUNTIME
broken        broken                broken  serve --al  2017-07-14 02:40  failed      ostree   /usr/bin/b
files         files                 files   serve --al  2017-07-14 02:40  no service  ostree   /usr/bin/b
web           docker.io/library/we  web     serve --al  2017-07-14 02:40  running     ostree   /usr/bin/b
";
    assert_eq!(ran.stdout, expected);
    let ran = host.berth(["services", "-a", "-q"]).ok();
    assert_eq!(ran.stdout, "broken\nfiles\noff\nweb\n");
    let ran = host
        .berth(["services", "--no-trunc", "-n", "-f", "container=web"])
        .ok();
    let row = "web  docker.io/library/web:latest  web  serve --all  2017-07-14 02:40  running  ostree  /usr/bin/berth oci\n";
    assert_eq!(ran.stdout, row);
    let ran = host
        .berth(["services", "--format", "{{.Name}}={{.State}}"])
        .ok();
    assert_eq!(ran.stdout, "broken=failed\nfiles=no service\nweb=running\n");
}

#[test]
fn json_has_atomics_keys() {
    let host = host();
    let rows = host
        .berth(["services", "--json", "-f", "state=failed"])
        .ok()
        .json();
    let expected = json!([{
        "id": "broken", "image_id": "0123456789abcdef", "image_name": "broken", "name": "broken",
        "command": "serve --all", "created": "2017-07-14 02:40", "state": "failed", "backend": "ostree",
        "runtime": "/usr/bin/berth oci", "vulnerable": false, "running": false,
    }]);
    assert_eq!(rows, expected);
}

#[test]
fn filters_are_parts_in_any_case_and_all_hold() {
    let host = host();
    let listed = |filters: &[&str]| {
        let args: Vec<&str> = filters.iter().flat_map(|it| ["-f", it]).collect();
        host.berth(["services", "-q"])
            .args(args)
            .ok()
            .stdout
            .replace('\n', " ")
    };
    assert_eq!(listed(&["image=LIBRARY"]), "web ");
    assert_eq!(listed(&["command=SERVE", "container=b"]), "broken web ");
    assert_eq!(listed(&["command=serve", "container=nothing"]), "");
    // A state that is asked for is shown without -a.
    assert_eq!(listed(&["state=inactive"]), "off ");
    let ran = host.berth(["services", "-f", "colour=red"]).fails(2);
    let keys = "['container', 'image', 'command', 'created', 'state', 'runtime', 'backend']";
    let expected = format!("error: The filter colour is not valid.  Please choose from {keys}\n");
    assert_eq!(ran.stderr, expected);
    let ran = host.berth(["services", "-f", "red"]).fails(2);
    assert_eq!(
        ran.stderr,
        "error: cannot use filter \"red\": expected KEY=VALUE\n"
    );
}

#[test]
fn nothing_is_an_empty_list_and_no_heading() {
    let host = Host::new();
    assert_eq!(host.berth(["services", "-a"]).ok().stdout, "");
    assert_eq!(host.berth(["services", "--json"]).ok().stdout, "[]\n");
}

#[test]
fn without_systemd_nothing_is_claimed() {
    let host = host();
    let ran = host
        .berth(["services", "-f", "container=e"])
        .env("PATH", "/nowhere")
        .ok();
    let rows: Vec<&str> = ran.stdout.lines().skip(1).collect();
    assert!(
        rows[0].contains("  unknown  ") && rows.len() == 3,
        "{rows:?}"
    );
    assert_eq!(
        ran.stderr,
        "warning: cannot reach systemd: systemctl is not on PATH: the states of services are unknown\n"
    );
}

#[test]
fn one_that_cannot_be_read_is_listed_and_said() {
    let host = host();
    let info = host.checkouts().join("web/info");
    std::fs::write(&info, "{").unwrap();
    let ran = host.berth(["services", "-q"]).ok();
    assert_eq!(ran.stdout, "broken\nfiles\nweb\n");
    let start = "warning: service web: ";
    assert!(
        ran.stderr.starts_with(start) && ran.stderr.contains("info is malformed"),
        "{}",
        ran.stderr
    );
}
