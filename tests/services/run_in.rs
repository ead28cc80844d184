//! `berth run-in`: through a runtime that writes down how it was called.

use std::fs;

use serde_json::json;

use super::fake::Host;

const RUNTIME: &str = r#"#!/bin/sh
echo "$*" > "$FAKE/runtime"
cp config.json "$FAKE/bundle.json" 2> /dev/null
pwd > "$FAKE/where"
cat
exit 7
"#;

fn host(unit: &str) -> Host {
    let host = Host::new();
    host.home
        .sh("cat > bin/runtime && chmod 755 bin/runtime")
        .input(RUNTIME)
        .ok();
    let runtime = format!("{} oci", host.home.join("bin/runtime").display());
    host.service("etcd", &json!({"image": "etcd", "runtime": runtime}), unit);
    host
}

fn read(host: &Host, name: &str) -> String {
    fs::read_to_string(host.home.join("fake").join(name)).unwrap()
}

#[test]
fn in_a_service_that_runs_the_command_is_executed() {
    let host = host("ActiveState=active SubState=running MainPID=4711");
    let ran = host
        .berth(["run-in", "etcd", "etcdctl", "--help", "a b"])
        .input("stdin")
        .fails(7);
    assert_eq!(ran.text(), "stdin");
    assert_eq!(read(&host, "runtime"), "oci exec etcd etcdctl --help a b\n");
}

#[test]
fn in_one_that_does_not_run_a_temporary_container_of_its_bundle_has_it() {
    let host = host("ActiveState=failed SubState=failed");
    let ran = host
        .berth(["run-in", "etcd", "ls", "-l"])
        .input("stdin")
        .fails(7);
    assert_eq!(ran.text(), "stdin");
    let rootfs = host.checkouts().join("etcd.0/rootfs");
    let expected = json!({
        "process": {"args": ["ls", "-l"], "cwd": "/", "terminal": false},
        "root": {"path": rootfs},
    });
    assert_eq!(host.json("fake/bundle.json"), expected);
    let called = read(&host, "runtime");
    assert!(called.starts_with("oci run etcd-"), "{called}");
    let bundle = read(&host, "where");
    assert!(bundle.contains("/run/berth/run-in/etcd-"), "{bundle}");
    assert!(!fs::exists(bundle.trim()).unwrap());
    // The deployment is as it was.
    let config = fs::read_to_string(host.checkouts().join("etcd.0/config.json")).unwrap();
    assert!(config.contains("serve"), "{config}");
}

#[test]
fn what_is_no_service_or_has_no_container_is_told() {
    let host = host("ActiveState=inactive");
    let ran = host.berth(["run-in", "nobody", "ls"]).fails(125);
    assert_eq!(ran.stderr, "error: The container 'nobody' doesn't exist\n");
    let files = json!({"image": "files", "has-container-service": false});
    host.service("files", &files, "ActiveState=inactive");
    let ran = host.berth(["run-in", "files", "ls"]).fails(125);
    assert_eq!(
        ran.stderr,
        "error: cannot run a command in files: it has no container\n"
    );
    host.home.sh("rm bin/runtime").ok();
    let ran = host.berth(["run-in", "etcd", "ls"]).fails(125);
    let runtime = host.home.join("bin/runtime");
    let expected = format!(
        "error: cannot execute {}: No such file or directory\n",
        runtime.display()
    );
    assert_eq!(ran.stderr, expected);
    let left = fs::read_dir(host.home.join("run/berth/run-in"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

/// Nobody has made them for a service that does not run; what is not live state is not made up.
#[test]
fn missing_directories_of_live_state_are_made_where_the_deployment_has_them() {
    let host = host("ActiveState=inactive");
    let (live, other) = (host.home.join("live"), host.home.join("other"));
    let runtime = format!("{} oci", host.home.join("bin/runtime").display());
    let info = json!({"image": "web", "runtime": runtime, "values": {"RUN_DIRECTORY": live}});
    host.service("web", &info, "ActiveState=inactive");
    let bind = |source| json!({"destination": "/x", "type": "bind", "source": source});
    let config = json!({
        "process": {"args": ["serve"], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [bind(live.join("web/a")), bind(other.clone())],
    });
    let path = host.checkouts().join("web.0/config.json");
    fs::write(path, config.to_string()).unwrap();
    host.berth(["run-in", "web", "ls"]).fails(7);
    assert!(live.join("web/a").is_dir());
    assert!(!other.exists());
}
