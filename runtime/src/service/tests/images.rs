//! Templates of system images that Project Atomic published, written anew from what is known of them.

use serde_json::json;

use super::*;

const KERNEL: &str = r#"{"type": "proc", "source": "proc", "destination": "/proc"},
    {"type": "tmpfs", "source": "tmpfs", "destination": "/dev", "options": ["nosuid", "mode=755"]},
    {"type": "devpts", "source": "devpts", "destination": "/dev/pts", "options": ["newinstance", "gid=5"]},
    {"type": "cgroup", "source": "cgroup", "destination": "/sys/fs/cgroup", "options": ["ro"]}"#;

/// The place of capabilities before 1.0, and the program without a word on them.
#[test]
fn hello_world() {
    let config = old_config(
        "0.3.0",
        &["pid", "ipc", "mount"],
        &format!(
            r#""process": {{"terminal": false, "user": {{}}, "args": ["/usr/bin/run.sh"], "cwd": "/",
            "env": ["PATH=/usr/bin", "PORT=$PORT", "RECEIVER=$RECEIVER"]}}, "mounts": [{KERNEL}]"#
        ),
    )
    .replace(
        r#""linux": {"#,
        r#""linux": {"capabilities": ["CAP_NET_BIND_SERVICE"], "#,
    );
    let case = Case::of(&[
        ("config.json.template", &config),
        ("service.template", UNIT),
        (
            "manifest.json",
            r#"{"version": "1.0", "defaultValues": {"PORT": "8081", "RECEIVER": "World"}}"#,
        ),
    ]);
    let case = case.set("RECEIVER", "Berth");
    let document = case.document();
    assert_eq!(
        document["process"]["env"],
        json!(["PATH=/usr/bin", "PORT=8081", "RECEIVER=Berth", "HOME=/root"])
    );
    assert_eq!(
        document["process"]["capabilities"]["bounding"],
        json!(["CAP_NET_BIND_SERVICE"])
    );
    assert_eq!(document["ociVersion"], "1.0.2");
    assert!(!case.rendered().said.is_empty());
    let unit = case.unit();
    assert!(unit.contains("ExecStart=/usr/bin/berth oci run -d --pid-file /run/container-web.pid 'web'\nExecStop=\nExecStopPost=/usr/bin/berth oci delete 'web'\n"));
    let without = Case {
        runtime: runc(),
        ..case
    };
    assert_eq!(without.document()["ociVersion"], "0.3.0");
}

const ETCD_VARIABLES: [&str; 34] = [
    "NAME",
    "DATA_DIR",
    "WAL_DIR",
    "SNAPSHOT_COUNT",
    "HEARTBEAT_INTERVAL",
    "ELECTION_TIMEOUT",
    "LISTEN_PEER_URLS",
    "LISTEN_CLIENT_URLS",
    "MAX_SNAPSHOTS",
    "MAX_WALS",
    "CORS",
    "INITIAL_ADVERTISE_PEER_URLS",
    "INITIAL_CLUSTER",
    "INITIAL_CLUSTER_STATE",
    "INITIAL_CLUSTER_TOKEN",
    "ADVERTISE_CLIENT_URLS",
    "DISCOVERY",
    "DISCOVERY_SRV",
    "DISCOVERY_FALLBACK",
    "DISCOVERY_PROXY",
    "STRICT_RECONFIG_CHECK",
    "PROXY",
    "PROXY_FAILURE_WAIT",
    "PROXY_REFRESH_INTERVAL",
    "PROXY_DIAL_TIMEOUT",
    "PROXY_WRITE_TIMEOUT",
    "PROXY_READ_TIMEOUT",
    "CERT_FILE",
    "KEY_FILE",
    "CLIENT_CERT_AUTH",
    "TRUSTED_CA_FILE",
    "PEER_CERT_FILE",
    "PEER_KEY_FILE",
    "DEBUG",
];

fn etcd() -> Case {
    let env: Vec<String> = ETCD_VARIABLES
        .iter()
        .map(|it| format!("\"ETCD_{it}=$ETCD_{it}\""))
        .collect();
    let config = old_config(
        "1.0.0",
        &["pid", "ipc", "mount"],
        &format!(
            r#""process": {{"terminal": false, "user": {{"uid": 0, "gid": 0}}, "args": ["/usr/bin/etcd"], "cwd": "/",
            "env": [{}], "rlimits": [{{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}}]}},
            "mounts": [{KERNEL},
            {{"type": "bind", "source": "${{STATE_DIRECTORY}}/etcd/${{NAME}}.etcd", "destination": "/var/lib/etcd", "options": ["rbind", "rw", "mode=755"]}},
            {{"type": "bind", "source": "${{RUN_DIRECTORY}}/${{NAME}}", "destination": "/run", "options": ["rbind", "rw", "mode=755"]}},
            {{"type": "bind", "source": "$CONF_DIRECTORY/$NAME", "destination": "/etc/etcd", "options": ["rbind", "ro"]}}
            $ADDTL_MOUNTS]"#,
            env.join(", ")
        ),
    );
    let defaults: Vec<String> = ETCD_VARIABLES
        .iter()
        .map(|it| format!("\"ETCD_{it}\": \"\""))
        .collect();
    let manifest = format!(
        r#"{{"version": "1.0", "defaultValues": {{{}, "CONF_DIRECTORY": "/etc", "ADDTL_MOUNTS": ""}},
        "renameFiles": {{"/usr/local/bin/etcdctl": "/usr/local/bin/${{NAME}}ctl",
            "/etc/etcd/etcd.conf": "$CONF_DIRECTORY/$NAME/etcd.conf"}},
        "installedFilesTemplate": ["/usr/local/bin/webctl"]}}"#,
        defaults.join(", ")
    );
    Case::of(&[
        ("config.json.template", &config),
        (
            "service.template",
            &UNIT.replace("[Service]\n", "[Service]\nRuntimeDirectory=$NAME\n"),
        ),
        (
            "tmpfiles.template",
            "d    ${STATE_DIRECTORY}/etcd 0700 $HOST_UID $HOST_GID - -\nZ    ${STATE_DIRECTORY}/etcd/${NAME}.etcd - $HOST_UID $HOST_GID - -\n",
        ),
        ("manifest.json", &manifest),
        (
            "hostfs/usr/local/bin/etcdctl",
            "#!/bin/sh\nexec $RUNTIME exec $NAME /usr/bin/etcdctl $$@\n",
        ),
        ("hostfs/etc/etcd/etcd.conf", "ETCD_NAME=default\n"),
    ])
}

#[test]
fn etcd_has_its_variables_files_and_additional_mounts() {
    let more = r#", {"type": "bind", "source": "/srv/certs", "destination": "/certs", "options": ["rbind", "ro"]}"#;
    let case = etcd()
        .set("ADDTL_MOUNTS", more)
        .set("ETCD_DATA_DIR", "/var/lib/etcd/default");
    let document = case.document();
    let env = document["process"]["env"].to_string();
    assert!(env.contains("ETCD_DATA_DIR=/var/lib/etcd/default") && env.contains("\"ETCD_DEBUG=\""));
    assert_eq!(mount(&document, "/certs")["source"], "/srv/certs");
    assert_eq!(
        mount(&document, "/var/lib/etcd")["source"],
        "/var/lib/etcd/web.etcd"
    );
    assert_eq!(mount(&document, "/etc/etcd")["source"], "/etc/web");
    let rendered = case.rendered();
    assert_eq!(
        rendered.tmpfiles.as_deref(),
        Some("d    /var/lib/etcd 0700 0 0 - -\nZ    /var/lib/etcd/web.etcd - 0 0 - -\n")
    );
    let script = b"#!/bin/sh\nexec /usr/bin/berth oci exec web /usr/bin/etcdctl $@\n";
    let contents: Vec<_> = rendered
        .host_files
        .iter()
        .map(|file| match &file.what {
            HostFileKind::File { content, .. } => {
                (file.path.to_str().expect("UTF-8"), content.clone())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        contents,
        [
            (
                "/etc/web/etcd.conf",
                HostContent::Exported("exports/hostfs/etc/etcd/etcd.conf".into())
            ),
            (
                "/usr/local/bin/webctl",
                HostContent::Rendered(script.to_vec())
            ),
        ]
    );
    let variables = case.exports.variables().expect("valid");
    assert!(
        variables.without_default.is_empty() && variables.with_default.len() == 40,
        "{variables:?}"
    );
}

/// Half of the boot depends on it: another unit comes after it, and it says itself when it is ready.
#[test]
fn flannel_keeps_its_type_and_order() {
    let config = old_config(
        "1.0.0",
        &["ipc", "uts", "mount"],
        r#""hostname": "acme", "process": {"args": ["/usr/bin/flanneld-run.sh"], "cwd": "/",
        "capabilities": {"bounding": ["CAP_NET_ADMIN"], "effective": ["CAP_NET_ADMIN"], "permitted": ["CAP_NET_ADMIN"]},
        "env": ["FLANNELD_ETCD_ENDPOINTS=$FLANNELD_ETCD_ENDPOINTS"]}, "mounts": [
        {"type": "bind", "source": "/dev", "destination": "/dev", "options": ["rbind", "rw", "mode=755"]},
        {"type": "bind", "source": "${RUN_DIRECTORY}/${NAME}", "destination": "/run/flannel", "options": ["rbind", "rw"]}]"#,
    );
    let unit = "[Unit]\nDescription=flannel\nBefore=docker.service\nAfter=$AFTER\n\n[Service]\nType=notify\nNotifyAccess=all\n\
        ExecStart=$EXEC_START\nExecStop=$EXEC_STOP\nExecStopPost=/usr/bin/rm -f ${RUN_DIRECTORY}/${NAME}/subnet.env\n\
        WorkingDirectory=$DESTDIR\n\n[Install]\nRequiredBy=$REQUIRED_BY\n";
    let case = Case::of(&[
        ("config.json.template", &config),
        ("service.template", unit),
        (
            "tmpfiles.template",
            "D ${RUN_DIRECTORY}/${NAME} - - - - -\nr ${RUN_DIRECTORY}/${NAME}/subnet.env\n",
        ),
        (
            "manifest.json",
            r#"{"defaultValues": {"AFTER": "etcd.service", "REQUIRED_BY": "docker.service", "FLANNELD_ETCD_ENDPOINTS": "http://127.0.0.1:2379"}}"#,
        ),
        ("hostfs/etc/sysconfig/flanneld", "X=y\n"),
    ]);
    let unit = case.unit();
    for line in [
        "Before=docker.service",
        "After=etcd.service",
        "Type=notify",
        "RequiredBy=docker.service",
        "ExecStart=/usr/bin/berth oci run 'web'",
        "ExecStop=/usr/bin/berth oci kill 'web'",
        "ExecStopPost=/usr/bin/rm -f /run/web/subnet.env",
    ] {
        assert!(unit.lines().any(|it| it == line), "{line} is not in {unit}");
    }
    let document = case.document();
    assert_eq!(document["hostname"], "acme");
    assert_eq!(options(&document, "/dev"), ["rbind", "rw"]);
}

#[test]
fn docker_keeps_how_mounts_spread() {
    let config = old_config(
        "1.0.0",
        &["mount"],
        r#""process": {"args": ["/usr/bin/init.sh"], "cwd": "/", "selinuxLabel": "system_u:system_r:container_runtime_t:s0"},
        "mounts": [
        {"type": "bind", "source": "/", "destination": "/host", "options": ["rbind", "rshared", "rw", "mode=755"]},
        {"type": "bind", "source": "${RUN_DIRECTORY}", "destination": "/run", "options": ["rshared", "rbind", "rw"]},
        {"type": "bind", "source": "${STATE_DIRECTORY}", "destination": "/var/lib", "options": ["rshared", "rbind", "rw"]}
        $ADDTL_MOUNTS]"#,
    )
    .replace(r#""linux": {"#, r#""linux": {"rootfsPropagation": "rslave", "resources": {"devices": [{"allow": true, "access": "rwm"}]}, "#);
    let unit = "[Service]\nType=notify\nEnvironmentFile=-/etc/sysconfig/docker\nExecStartPre=/bin/bash $DESTDIR/rootfs/set_mounts.sh\n\
        ExecStart=$EXEC_START\nExecStop=$EXEC_STOP\nSELinuxContext=system_u:system_r:container_runtime_t:s0\nDelegate=yes\n\
        LimitNOFILE=1048576\nWorkingDirectory=$DESTDIR\n";
    let case = Case::of(&[
        ("config.json.template", &config),
        ("service.template", unit),
        (
            "manifest.json",
            r#"{"defaultValues": {"ADDTL_MOUNTS": ""}}"#,
        ),
    ]);
    let document = case.document();
    assert_eq!(document["linux"]["rootfsPropagation"], "slave");
    assert!(options(&document, "/host").contains(&"rshared".to_owned()));
    assert!(!options(&document, "/host").contains(&"mode=755".to_owned()));
    assert_eq!(mount(&document, "/var/lib")["source"], "/var/lib");
    assert_eq!(
        case.unit(),
        unit.replace("$DESTDIR", "/checkouts/web.0")
            .replace("$EXEC_START\n", "/usr/bin/berth oci run 'web'\n")
            .replace("$EXEC_STOP\n", "/usr/bin/berth oci kill 'web'\n")
    );
}

/// Users without a number, a tree of mounts that the host sees too, a bind of a directory that is not there.
#[test]
fn kubelet_makes_the_directories_that_are_missing() {
    let config = old_config(
        "1.0.0",
        &["mount"],
        r#""process": {"args": ["/usr/bin/kubelet-docker.sh"], "cwd": "/", "user": {},
        "capabilities": {"bounding": [$ALL_PROCESS_CAPABILITIES]}}, "mounts": [
        {"type": "tmpfs", "source": "/tmp", "destination": "/tmp", "options": ["mode=755", "size=65536k"]},
        {"type": "bind", "source": "/", "destination": "/rootfs", "options": ["rbind", "rslave", "ro"]},
        {"type": "bind", "source": "${STATE_DIRECTORY}/kubelet", "destination": "/var/lib/kubelet", "options": ["rshared", "rbind", "rw"]}
        ${ADDTL_MOUNTS}]"#,
    );
    let case = Case {
        missing: vec!["/var/lib/kubelet"],
        ..Case::of(&[
            ("config.json.template", &config),
            ("service.template", UNIT),
            (
                "manifest.json",
                r#"{"defaultValues": {"ADDTL_MOUNTS": ""}}"#,
            ),
        ])
    };
    let document = case.document();
    assert_eq!(
        document["process"]["capabilities"]["bounding"]
            .as_array()
            .map(Vec::len),
        Some(41)
    );
    assert!(options(&document, "/tmp").contains(&"mode=755".to_owned()));
    assert!(options(&document, "/var/lib/kubelet").contains(&"rshared".to_owned()));
    assert_eq!(
        case.rendered().tmpfiles.as_deref(),
        Some("d    /var/lib/kubelet   0700 0 0 - -\n")
    );
}

/// One list of capabilities, and types among the modes of devices, as release candidate 3 had them.
#[test]
fn qemu_guest_agent_is_put_into_todays_words() {
    let config = old_config(
        "1.0.0-rc3",
        &["mount"],
        r#""process": {"args": ["/usr/bin/qemu-ga.sh"], "cwd": "/", "capabilities": ["CAP_SYS_ADMIN", "CAP_SYS_TIME"]},
        "mounts": [{"type": "bind", "source": "/", "destination": "/host", "options": ["bind", "rw"]}]"#,
    )
    .replace(r#""linux": {"#, r#""linux": {"devices": [{"path": "/dev/vport", "type": "c", "major": 250, "minor": 1, "fileMode": 8576}], "seccomp": {"defaultAction": ""}, "#);
    let document = Case::of(&[("config.json", &config)]).document();
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(
            document["process"]["capabilities"][set],
            json!(["CAP_SYS_ADMIN", "CAP_SYS_TIME"])
        );
    }
    assert_eq!(document["linux"]["devices"][0]["fileMode"], 0o600);
    assert!(
        document["linux"]
            .get("seccomp")
            .is_none_or(serde_json::Value::is_null)
    );
}

#[test]
fn open_vm_tools_binds_single_files() {
    let config = old_config(
        "1.0.0",
        &["ipc", "mount"],
        r#""process": {"args": ["/usr/bin/vmtoolsd"], "cwd": "/", "user": {}}, "mounts": [
        {"type": "proc", "source": "proc", "destination": "/hostproc"},
        {"type": "bind", "source": "/etc/passwd", "destination": "/etc/passwd", "options": ["rw", "rbind", "rprivate", "ro"]},
        {"type": "bind", "source": "/dev/rtc", "destination": "/dev/rtc", "options": ["rbind"]}]"#,
    );
    let unit = UNIT.replace("[Unit]\n", "[Unit]\nConditionVirtualization=vmware\n");
    let case = Case::of(&[
        ("config.json.template", &config),
        ("service.template", &unit),
    ]);
    let rendered = case.rendered();
    assert_eq!((rendered.tmpfiles, rendered.host_files), (None, Vec::new()));
    assert!(
        rendered
            .unit
            .expect("a unit")
            .starts_with("[Unit]\nConditionVirtualization=vmware\n")
    );
    assert_eq!(
        mount(&case.document(), "/etc/passwd")["source"],
        "/etc/passwd"
    );
}

/// Only a unit, which calls a program of the host: no runtime at all.
#[test]
fn azure_has_no_configuration_of_its_own() {
    let unit = "[Service]\nExecStart=/usr/bin/python3 -u bin/waagent -daemon\nWorkingDirectory=${DESTDIR}/rootfs\n";
    let case = Case::of(&[("service.template", unit)]);
    assert!(
        case.unit()
            .ends_with("WorkingDirectory=/checkouts/web.0/rootfs\n")
    );
    assert_eq!(case.document()["root"]["path"], "rootfs");
}
