//! `login` and `logout` at a real registry, beside skopeo, which reads and writes the same files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{at_home, hides_secrets, image, on_terminal, place};
use crate::needs;
use crate::support::image::Layout;
use crate::support::registry::Registry;
use crate::support::user::Run;
use crate::support::{Home, read_json};

/// `user:pass:word`.
const AUTH: &str = "dXNlcjpwYXNzOndvcmQ=";

/// A registry with `app` and `team/app`, for one user.
fn private(home: &Home) -> Registry {
    let registry = Registry::start_private();
    let layout = home.join("layout");
    Layout::with(&layout, &image());
    registry.push_layout(&layout, "app:latest");
    registry.push_layout(&layout, "team/app:latest");
    registry
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn skopeo(home: &Home, args: &[&str]) -> Run {
    home.program("skopeo")
        .args(args)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.join("run"))
}

#[test]
fn login_is_for_berth_and_skopeo_alike() {
    needs!(Registry, Skopeo);
    let home = Home::new();
    let registry = private(&home);
    let (host, url) = (registry.host(), registry.url("app"));
    home.sh("mkdir run").ok();
    let file = home.join("run/containers/auth.json");
    at_home(&home, &["pull", &url])
        .fails(1)
        .err_has("hint: check the name; a private image needs `berth login`");
    let ran = at_home(&home, &["login", "-u", "user", "-p", "secret", &host])
        .fails(1)
        .one_error();
    hides_secrets(&ran);
    ran.err_has(&format!(
        "error: cannot log in to {host}: invalid user name or password\n"
    ));
    assert!(!file.exists(), "nothing is kept that does not work");
    let ran = at_home(&home, &["login", "-u", "user", "-p", "pass:word", &host]).ok();
    assert_eq!(ran.stdout, "Login Succeeded!\n");
    assert_eq!(
        read_json(&file),
        serde_json::json!({"auths": {&host: {"auth": AUTH}}})
    );
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    let ran = at_home(&home, &["login", "--get-login", &host]).ok();
    assert_eq!(ran.stdout, "user\n");
    at_home(&home, &["pull", &url]).ok();
    let inspect = ["inspect", "--tls-verify=false", &url];
    skopeo(&home, &inspect).ok().out_has("\"Name\": ");
    let ran = at_home(&home, &["logout", &host]).ok();
    assert_eq!(
        ran.stdout,
        format!("Removed login credentials for {host}\n")
    );
    assert_eq!(read_json(&file), serde_json::json!({"auths": {}}));
    skopeo(&home, &inspect).fails(1);
    let ran = at_home(&home, &["logout", &host]).fails(1).one_error();
    assert_eq!(ran.stderr, format!("error: not logged in to {host}\n"));
    at_home(&home, &["login", "--get-login", &host])
        .fails(1)
        .err_has("not logged in to");
    at_home(&home, &["pull", &url]).fails(1);
}

#[test]
fn what_skopeo_wrote_is_read() {
    needs!(Registry, Skopeo);
    let home = Home::new();
    let registry = private(&home);
    let (host, url) = (registry.host(), registry.url("app"));
    home.sh("mkdir run").ok();
    let login = [
        "login",
        "--tls-verify=false",
        "-u",
        "user",
        "-p",
        "pass:word",
        &host,
    ];
    skopeo(&home, &login).ok().out_has("Login Succeeded!\n");
    at_home(&home, &["pull", &url]).ok();
    let ran = at_home(&home, &["login", &host]).ok();
    assert!(
        ran.stdout.ends_with(&format!(
            "Existing credentials are valid. Already logged in to {host}\n"
        )),
        "{}",
        ran.stdout
    );
    at_home(&home, &["logout", "--all"])
        .ok()
        .out_has("Removed login credentials for all registries\n");
    skopeo(&home, &["login", "--get-login", &host]).fails(1);
}

#[test]
fn a_namespace_is_logged_in_to_alone() {
    needs!(Registry);
    let home = Home::new();
    let registry = private(&home);
    let key = format!("{}/team", registry.host());
    let file = home.join("new/auth.json");
    let flag = format!("--authfile={}", file.display());
    home.berth(["login", &flag, "-u", "user", "-p", "pass:word", &key])
        .ok();
    home.berth(["pull", &flag, &registry.url("team/app")]).ok();
    home.berth(["pull", &flag, &registry.url("app")]).fails(1);
    let ran = home.berth(["logout", &flag, &registry.host()]).fails(1);
    ran.err_has("not logged in to");
    home.berth(["logout", &flag, &key]).ok();
    for bad in ["registry", "127.0.0.1:5000/App", "quay.io/app:1"] {
        home.berth(["login", "-u", "u", "-p", "p", bad])
            .fails(2)
            .err_has(&format!(
                "registry \"{bad}\" is malformed: expected HOST[:PORT][/NAMESPACE]"
            ));
    }
}

#[test]
fn without_a_session_credentials_last() {
    needs!(Registry);
    let home = Home::new();
    let registry = private(&home);
    let host = registry.host();
    let login = |home: &Home| {
        home.berth(["login", "-u", "user", "--password-stdin", &host])
            .input("pass:word\n")
            .env("HOME", home.path())
    };
    let file = home.join(".config/containers/auth.json");
    login(&home).ok();
    assert_eq!(mode(&file), 0o600);
    fs::remove_file(&file).unwrap();
    login(&home).env("XDG_RUNTIME_DIR", home.join("gone")).ok();
    assert_eq!(read_json(&file)["auths"][&host]["auth"], AUTH);
    let own = r#"{"auths":{"elsewhere.example":{"auth":"YTo="}},"credHelpers":{"h.example":"x"}}"#;
    place(&home, "config/auth.json", own);
    let named = home.join("config/auth.json");
    fs::set_permissions(&named, fs::Permissions::from_mode(0o644)).unwrap();
    login(&home).env("REGISTRY_AUTH_FILE", &named).ok();
    let mut expected: serde_json::Value = serde_json::from_str(own).unwrap();
    expected["auths"][&host]["auth"] = AUTH.into();
    assert_eq!(read_json(&named), expected, "the rest stays");
    assert_eq!(mode(&named), 0o600);
    // what one file has, logging out of another does not remove
    let other = format!("--authfile={}", home.join("other.json").display());
    home.berth(["logout", &other, &host])
        .fails(1)
        .err_has("not logged in to");
    home.sh("mkdir run").ok();
    let ran = home.berth(["logout", &host]);
    let ran = ran
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.join("run"));
    let hint = format!(
        "hint: {} has credentials for it: name it with --authfile\n",
        file.display()
    );
    ran.fails(1).one_error().err_has(&hint);
}

#[test]
fn what_is_missing_is_asked_for() {
    needs!(Registry);
    let home = Home::new();
    let registry = private(&home);
    let host = registry.host();
    let ran = on_terminal(
        &home,
        "Password: ",
        "pass:word\r",
        &["login", "-u", "user", &host],
    )
    .ok();
    assert!(ran.stdout.contains("Login Succeeded!"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("pass:"), "{}", ran.stdout);
    let file = format!("--authfile={}", home.join("a.json").display());
    let args = ["login", &file, &host];
    on_terminal(&home, "Username: ", "user\rpass:word\r", &args).ok();
    assert_eq!(
        read_json(&home.join("a.json"))["auths"][&host]["auth"],
        AUTH
    );
    let file = format!("--authfile={}", home.join("b.json").display());
    for args in [
        &["login", &host, &file][..],
        &["login", &file, "-u", "user", &host],
    ] {
        let ran = home.berth(args).input("user\n").fails(1).one_error();
        ran.err_has("standard input is not a terminal")
            .err_has("hint: use --username and --password-stdin");
    }
    home.berth(["login", "--password-stdin", &host]).fails(2);
    home.berth(["login", "-p", "x", "--password-stdin", "-u", "user", &host])
        .fails(2);
    home.berth(["logout"]).fails(2);
}

#[test]
fn login_over_tls_knows_the_authority() {
    needs!(Registry);
    let home = Home::new();
    let registry = Registry::start_tls();
    let host = registry.host();
    let file = format!("--authfile={}", home.join("a.json").display());
    let login = ["login", &file, "-u", "user", "-p", "pass", &host];
    home.berth(login)
        .fails(1)
        .one_error()
        .err_has("invalid peer certificate");
    home.berth(login).args(["--tls-verify=false"]).ok();
    let ca = home.write("ca.pem", fs::read(registry.ca()).unwrap());
    home.berth(login).args(["--ca", &ca.to_string_lossy()]).ok();
}
