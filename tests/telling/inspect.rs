//! `inspect` of containers, in podman's words.

use crate::needs;
use crate::run::{busybox, no_containers};

#[test]
fn a_container_is_told_in_podmans_words() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let flags = [
        "run",
        "--name",
        "web",
        "--label",
        "a=b",
        "-e",
        "X=1",
        "-w",
        "/srv",
        "-u",
        "nobody",
        "--hostname",
        "box",
        "-v",
        "data:/data:ro",
        "--restart",
        "on-failure:2",
        "--log-opt",
        "tag=mark",
        "busybox",
        "sh",
        "-c",
        "exit 4",
    ];
    home.berth(flags).fails(4);
    let shown = home.berth(["inspect", "web"]).ok().json();
    let list = shown.as_array().expect("a list");
    assert_eq!(list.len(), 1);
    let web = &list[0];
    for (path, expected) in [
        ("/Name", "\"web\""),
        ("/Path", "\"sh\""),
        ("/Args", r#"["-c","exit 4"]"#),
        ("/RestartCount", "2"),
        ("/State/Status", "\"exited\""),
        ("/State/Running", "false"),
        ("/State/ExitCode", "4"),
        ("/State/Pid", "0"),
        ("/State/OOMKilled", "false"),
        ("/Config/Hostname", "\"box\""),
        ("/Config/User", "\"nobody\""),
        ("/Config/WorkingDir", "\"/srv\""),
        ("/Config/Labels/a", "\"b\""),
        ("/Config/Cmd", r#"["sh","-c","exit 4"]"#),
        ("/Config/StopSignal", "15"),
        ("/Config/Tty", "false"),
        (
            "/HostConfig/RestartPolicy",
            r#"{"MaximumRetryCount":2,"Name":"on-failure"}"#,
        ),
        ("/HostConfig/Binds", r#"["data:/data:ro"]"#),
        ("/HostConfig/LogConfig/Type", "\"k8s-file\""),
        ("/HostConfig/LogConfig/Tag", "\"mark\""),
        ("/HostConfig/NetworkMode", "\"host\""),
        ("/Mounts/0/Type", "\"volume\""),
        ("/Mounts/0/Name", "\"data\""),
        ("/Mounts/0/Destination", "\"/data\""),
        ("/Mounts/0/RW", "false"),
        ("/NetworkSettings/Ports", "{}"),
    ] {
        let found = web.pointer(path).unwrap_or_else(|| panic!("no {path}"));
        assert_eq!(found.to_string(), expected, "{path}");
    }
    assert!(
        web["Config"]["Env"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it == "X=1")
    );
    for path in ["LowerDir", "UpperDir", "WorkDir"] {
        let dir = web["GraphDriver"]["Data"][path].as_str().unwrap();
        assert!(std::path::Path::new(dir).is_dir(), "{path}: {dir}");
    }
    let moment = |path: &str| web.pointer(path).unwrap().as_str().unwrap().to_owned();
    let (created, started, finished) = (
        moment("/Created"),
        moment("/State/StartedAt"),
        moment("/State/FinishedAt"),
    );
    assert!(
        [&created, &started, &finished]
            .iter()
            .all(|it| it.len() == 30 && it.ends_with('Z'))
    );
    assert!(
        created < finished && started <= finished,
        "{created} {started} {finished}"
    );
    home.berth(["rm", "web"]).ok();
    no_containers(&home);
}

#[test]
fn containers_come_before_images() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let image = home.berth(["inspect", "busybox"]).ok().json();
    assert!(image.get("layers").is_some(), "one image is no list");
    home.berth(["create", "--name", "busybox", "busybox", "true"])
        .ok();
    assert_eq!(
        home.berth(["inspect", "busybox"]).ok().json()[0]["Name"],
        "busybox"
    );
    let both = home
        .berth(["inspect", "--type", "image", "busybox"])
        .ok()
        .json();
    assert_eq!(both, image);
    home.berth(["create", "--name", "other", "busybox", "true"])
        .ok();
    let names = home
        .berth([
            "inspect",
            "--format",
            "{{.Name}} {{.State.Status}}",
            "busybox",
            "other",
        ])
        .ok();
    assert_eq!(names.stdout, "busybox created\nother created\n");
    assert_eq!(
        home.berth(["inspect", "busybox", "other"])
            .ok()
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    home.berth(["inspect", "--type", "container", "nosuch"])
        .fails(1)
        .one_error()
        .err_has("container nosuch not found");
    assert_eq!(
        home.berth(["inspect", "--format", "{{.State.StartedAt}}", "other"])
            .ok()
            .text(),
        "0001-01-01T00:00:00Z"
    );
    home.berth(["rm", "-a"]).ok();
}

#[test]
fn images_have_formats() {
    needs!(Images, Userns, Overlay);
    let home = busybox();
    let id = home.berth(["images", "-q"]).ok().text().to_owned();
    let table = home
        .berth(["images", "--format", "table {{.ID}}\\t{{.Repository}}"])
        .ok();
    assert_eq!(
        table.stdout,
        format!("IMAGE ID      REPOSITORY\n{id}  busybox\n")
    );
    let os = home
        .berth(["inspect", "--format", "{{.os}}/{{len .layers}}", "busybox"])
        .ok();
    assert_eq!(os.text(), "linux/1");
}
