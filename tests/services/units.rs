//! Services under the commands of containers: start, stop, restart, inspect, logs, exec, and the one name space.

use serde_json::json;

use super::fake::Host;

fn host() -> Host {
    let host = Host::new();
    let info = json!({"image": "docker.io/web", "revision": "ab12", "created": 1_500_000_000});
    host.service(
        "web",
        &info,
        "ActiveState=active SubState=running MainPID=4711 NRestarts=2",
    );
    host.service(
        "db",
        &json!({"image": "db"}),
        "ActiveState=inactive SubState=dead MainPID=0",
    );
    host
}

#[test]
fn start_stop_and_restart_reach_systemd() {
    let host = host();
    for verb in ["start", "restart", "stop"] {
        let ran = host.berth([verb, "web", "db"]).ok();
        assert_eq!(ran.stdout, "web\ndb\n");
    }
    let asked = [
        "--user start web.service",
        "--user start db.service",
        "--user restart web.service",
        "--user restart db.service",
        "--user stop web.service",
        "--user stop db.service",
    ];
    assert_eq!(host.asked(), asked);
}

#[test]
fn a_unit_that_systemd_refuses_fails_and_the_others_are_done() {
    let host = host();
    host.home.write("fake/refuse-web.service", "");
    let ran = host.berth(["start", "web", "db"]).fails(1);
    assert_eq!(ran.stdout, "db\n");
    assert_eq!(
        ran.stderr,
        "error: systemctl --user start web.service failed: Job for web.service failed.\n"
    );
    // What is neither is told as before.
    let ran = host.berth(["stop", "db", "nobody"]).fails(1);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("db\n", "error: container nobody not found\n")
    );
}

#[test]
fn a_host_without_systemd_is_told_so() {
    let host = host();
    let ran = host
        .berth(["start", "web"])
        .env("PATH", "/nowhere")
        .fails(1);
    assert_eq!(
        ran.stderr,
        "error: cannot reach systemd: systemctl is not on PATH\n\
         hint: with --no-systemd berth does the rest and prints what it would run\n"
    );
}

#[test]
fn a_service_is_inspected_as_a_container_is() {
    let host = host();
    let shown = host.berth(["inspect", "web"]).ok().json();
    let web = &shown[0];
    assert_eq!(
        (
            &web["Name"],
            &web["Kind"],
            &web["Image"],
            &web["ImageName"],
            &web["Unit"]
        ),
        (
            &json!("web"),
            &json!("service"),
            &json!("ab12"),
            &json!("docker.io/web"),
            &json!("web.service")
        )
    );
    assert_eq!(web["State"]["Status"], "running");
    assert_eq!(
        (&web["State"]["Pid"], &web["RestartCount"]),
        (&json!(4711), &json!(2))
    );
    assert_eq!(
        (&web["Path"], &web["Args"]),
        (&json!("serve"), &json!(["--all"]))
    );
    assert_eq!(web["Info"]["image"], "docker.io/web");
    let ran = host
        .berth(["inspect", "--format", "{{.State.Status}}", "web", "db"])
        .ok();
    assert_eq!(ran.stdout, "running\ninactive\n");
    let ran = host
        .berth(["inspect", "--type", "service", "nobody"])
        .fails(1);
    assert_eq!(
        ran.stderr,
        "error: System container 'nobody' is not installed\n"
    );
}

#[test]
fn logs_and_exec_of_a_service_tell_the_way() {
    let host = host();
    let ran = host.berth(["logs", "web"]).fails(1);
    assert_eq!(
        ran.stderr,
        "error: container web not found\nhint: web is a service: journalctl --user -u web\n"
    );
    let ran = host.berth(["exec", "web", "ls"]).fails(125);
    assert_eq!(
        ran.stderr,
        "error: container web not found\nhint: web is a service: berth run-in web COMMAND\n"
    );
}

#[test]
fn a_container_cannot_have_the_name_of_a_service() {
    let host = host();
    let told = "error: cannot use name web: the service web has it\n\
                hint: choose another name; `berth services -a` lists the services\n";
    let ran = host
        .berth(["create", "--name", "web", "no-such-image"])
        .run();
    assert_eq!(ran.stderr, told);
    let ran = host.berth(["rename", "nobody", "web"]).fails(1);
    assert_eq!(ran.stderr, told);
}
