//! The update timer: only for what somebody vouches for.

use std::fs;

use serde_json::json;

use super::fake::Host;

const UNITS: &str = ".config/systemd/user";

/// A host whose policy asks this of docker's registry.
fn host(requirement: &str) -> Host {
    let host = Host::new();
    host.home.sh("mkdir -p .config/containers").ok();
    let accepts = r#"[{"type": "insecureAcceptAnything"}]"#;
    let policy = format!(
        r#"{{"default": {accepts}, "transports": {{"docker": {{"h.test/signed": [{requirement}]}}}}}}"#
    );
    host.home.write(".config/containers/policy.json", policy);
    host
}

#[test]
fn the_timer_needs_a_digest_or_a_signature_policy() {
    let host = host(r#"{"type": "sigstoreSigned", "keyPath": "/key"}"#);
    let digest = "ab".repeat(32);
    host.service(
        "signed",
        &json!({"image": "h.test/signed/web:1"}),
        "ActiveState=active",
    );
    let pinned =
        json!({"image": "x", "berth-source": format!("docker://h.test/x@sha256:{digest}")});
    host.service("pinned", &pinned, "ActiveState=active");
    host.service(
        "tagged",
        &json!({"image": "h.test/tagged:1"}),
        "ActiveState=active",
    );
    let policy = host.home.join(".config/containers/policy.json");
    let ran = host.berth(["update", "--timer", "on"]).fails(1);
    let told = format!(
        "error: cannot update tagged unattended: h.test/tagged:1 has no digest, and {} accepts it unsigned\n\
         hint: have its signature asked for in policy.json, or name it as NAME@sha256:…\n\
         error: cannot turn the update timer on\n",
        policy.display()
    );
    assert_eq!(ran.stderr, told);
    assert!(!host.home.join(UNITS).exists() && host.asked().is_empty());
    // Nobody who looks away can update it either, and nothing is pulled to find that out.
    let ran = host
        .berth(["update", "--all", "--unattended", "--check"])
        .run();
    assert!(
        ran.stderr
            .contains("error: cannot update tagged unattended: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_timer_is_a_unit_that_is_turned_on_and_off() {
    let host = host(r#"{"type": "reject"}"#);
    host.service(
        "signed",
        &json!({"image": "h.test/signed/web:1"}),
        "ActiveState=active",
    );
    host.berth(["update", "--timer", "on"]).ok();
    let timer = fs::read_to_string(host.home.join(UNITS).join("berth-update.timer")).unwrap();
    assert!(
        timer.contains("\nOnCalendar=daily\n") && timer.contains("\nPersistent=true\n"),
        "{timer}"
    );
    let unit = fs::read_to_string(host.home.join(UNITS).join("berth-update.service")).unwrap();
    assert!(unit.contains(" update --all --unattended\n"), "{unit}");
    let asked = [
        "--user daemon-reload",
        "--user enable berth-update.timer",
        "--user start berth-update.timer",
    ];
    assert_eq!(host.asked(), asked);
    host.home.write(
        "fake/berth-update.timer",
        "LoadState=loaded\nActiveState=active\n",
    );
    let ran = host.berth(["update", "--timer", "status"]).ok();
    assert_eq!(ran.stdout, "berth-update.timer: active\n");
    host.berth(["update", "--timer", "off"]).ok();
    assert_eq!(fs::read_dir(host.home.join(UNITS)).unwrap().count(), 0);
    // A unit of somebody else's stays.
    host.home
        .write(&format!("{UNITS}/berth-update.timer"), "[Timer]\n");
    for wish in ["on", "off"] {
        let ran = host.berth(["update", "--timer", wish]).fails(1);
        assert!(
            ran.stderr.contains("berth-update.timer already exists."),
            "{}",
            ran.stderr
        );
    }
}
