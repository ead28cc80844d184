//! Credential helpers: programs that keep what a file would show.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{BASIC, any_password, hides_secrets, image, last_seen};
use crate::pull::double::{Answer, Double};
use crate::support::Home;
use crate::support::user::Run;

/// A helper called `test` that notes what it is asked, and then does what the script says.
fn helper(home: &Home, script: &str) {
    let text = format!(
        "#!/bin/sh\nprintf '%s ' \"$1\" >>'{0}/asked'\ncat >>'{0}/asked'\necho >>'{0}/asked'\n{script}\n",
        home.path().display()
    );
    let path = home.write("docker-credential-test", text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// berth, which finds the helper, with an auth file that names it.
fn berth(home: &Home, file: &str, args: &[&str]) -> Run {
    let path = format!("{}:/usr/bin:/bin", home.path().display());
    let file = home.write("auth.json", file);
    home.berth(args)
        .env("PATH", path)
        .env("REGISTRY_AUTH_FILE", file)
}

fn of_host(host: &str) -> String {
    format!(r#"{{"auths":{{"{host}":{{"auth":"YTo="}}}},"credHelpers":{{"{host}":"test"}}}}"#)
}

const ANSWER: &str = r#"echo '{"ServerURL":"x","Username":"user","Secret":"pass"}'"#;

#[test]
fn a_helper_is_asked_for_its_registry() {
    let double = any_password(&image());
    let home = Home::new();
    let host = double.host();
    helper(&home, ANSWER);
    berth(&home, &of_host(&host), &["pull", "-q", &double.url()]).ok();
    assert_eq!(
        last_seen(&double).unwrap(),
        BASIC,
        "it goes before the file's entry"
    );
    let asked = || fs::read_to_string(home.join("asked")).unwrap();
    assert_eq!(asked(), format!("get {host}\n"));
    // one for everything is asked when there is no entry
    fs::remove_file(home.join("asked")).unwrap();
    let listed = format!(r#"{{"auths":{{"{host}":{{}}}},"credsStore":"test"}}"#);
    berth(&home, &listed, &["pull", "-q", &double.url()]).ok();
    assert_eq!(last_seen(&double).unwrap(), BASIC);
    assert_eq!(asked(), format!("get {host}\n"));
    let known = format!(r#"{{"auths":{{"{host}":{{"auth":"YTo="}}}},"credsStore":"test"}}"#);
    berth(&home, &known, &["pull", "-q", &double.url()]).ok();
    assert_eq!(last_seen(&double).unwrap(), "Basic YTo=");
}

#[test]
fn a_helper_that_knows_nothing_is_no_error() {
    let open = Double::serve(&image(), |_| None);
    let home = Home::new();
    helper(
        &home,
        "echo 'credentials not found in native keychain'; exit 1",
    );
    let file = format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, open.host());
    berth(&home, &file, &["pull", "-q", &open.url()]).ok();
    assert_eq!(last_seen(&open), None);
}

#[test]
fn a_helper_that_fails_says_why() {
    let double = any_password(&image());
    let home = Home::new();
    let host = double.host();
    let file = of_host(&host);
    let table = [
        (
            "echo \"  key\x1bring is locked\"; exit 1",
            "it said \"keyring is locked\"",
        ),
        ("exit 3", "it failed"),
        ("echo secret; exit 0", "its answer is malformed"),
        (
            r#"echo '{"Username":"user","pass":"secret"}'"#,
            "its answer is malformed",
        ),
        ("yes secret", "it answered more than 65536 bytes"),
    ];
    for (script, why) in table {
        helper(&home, script);
        let ran = berth(&home, &file, &["pull", &double.url()])
            .fails(1)
            .one_error();
        hides_secrets(&ran);
        let line =
            format!("cannot get the credentials of {host} with docker-credential-test: {why}\n");
        ran.err_has(&line);
    }
    fs::remove_file(home.join("docker-credential-test")).unwrap();
    let ran = berth(&home, &file, &["pull", &double.url()])
        .fails(1)
        .one_error();
    ran.err_has("with docker-credential-test: it is not installed\n")
        .err_has("hint: install it");
    let file = format!(r#"{{"credHelpers":{{"{host}":"../test"}}}}"#);
    let ran = berth(&home, &file, &["pull", &double.url()])
        .fails(1)
        .one_error();
    ran.err_has("docker-credential-../test: its name is malformed\n");
}

#[test]
fn the_helper_of_another_program_may_be_missing() {
    let open = Double::serve(&image(), |_| None);
    let home = Home::new();
    let stranger = r#"{"auths":{"elsewhere.example":{}},"credsStore":"desktop"}"#;
    berth(&home, stranger, &["pull", "-q", &open.url()]).ok();
    let listed = format!(
        r#"{{"auths":{{"{}":{{}}}},"credsStore":"desktop"}}"#,
        open.host()
    );
    let ran = berth(&home, &listed, &["pull", &open.url()])
        .fails(1)
        .one_error();
    ran.err_has("with docker-credential-desktop: it is not installed\n");
}

#[test]
fn a_helper_may_answer_as_much_as_the_limit() {
    let double = any_password(&image());
    let home = Home::new();
    let file = of_host(&double.host());
    for (size, code) in [(65536, 0), (65537, 1)] {
        let start = r#"{"Username":"user","Secret":"pass"}"#;
        let blanks = size - start.len();
        helper(&home, &format!("printf '%s%{blanks}s' '{start}' ''"));
        berth(&home, &file, &["pull", "-q", &double.url()]).fails(code);
    }
}

#[test]
fn a_helper_may_have_an_identity_token() {
    let tokens = Double::serve(&image(), |asked| {
        (asked.method == "POST").then(|| Answer::ok(r#"{"access_token":"good"}"#))
    });
    let realm = format!("Bearer realm=\"http://{}/token\"", tokens.host());
    let double = Double::serve(&image(), move |asked| {
        let known = asked.header("authorization") == Some("Bearer good");
        (!known).then(|| Answer::status(401).with("WWW-Authenticate", &realm[..]))
    });
    let home = Home::new();
    helper(&home, r#"echo '{"Username":"<token>","Secret":"refresh"}'"#);
    berth(
        &home,
        &of_host(&double.host()),
        &["pull", "-q", &double.url()],
    )
    .ok();
    let body = String::from_utf8(tokens.asked("/token").remove(0).body).unwrap();
    assert!(body.contains("&refresh_token=refresh&"), "{body}");
}

#[test]
fn login_and_logout_tell_the_helper() {
    let double = any_password(&image());
    let home = Home::new();
    let host = double.host();
    let asked = || {
        let text = fs::read_to_string(home.join("asked")).unwrap_or_default();
        let _ = fs::remove_file(home.join("asked"));
        text
    };
    let login = ["login", "-u", "user", "-p", "pass", &host];
    let stored =
        format!("store {{\"ServerURL\":\"{host}\",\"Username\":\"user\",\"Secret\":\"pass\"}}\n");
    helper(
        &home,
        "[ \"$1\" = get ] && { echo credentials not found; exit 1; }; exit 0",
    );
    for file in [
        format!(r#"{{"credHelpers":{{"{host}":"test"}}}}"#),
        r#"{"credsStore":"test"}"#.to_owned(),
    ] {
        berth(&home, &file, &login)
            .ok()
            .out_has("Login Succeeded!\n");
        assert!(asked().ends_with(&stored));
        let kept = fs::read_to_string(home.join("auth.json")).unwrap();
        assert!(
            !kept.contains("auth\":"),
            "no secret is in the file: {kept}"
        );
        let listed = kept.contains(&format!("\"{host}\": {{}}"));
        assert_eq!(listed, file.contains("credsStore"), "{kept}");
        berth(&home, &kept, &["logout", &host]).ok();
        assert_eq!(asked(), format!("erase {host}\n"));
        berth(&home, &kept, &["logout", "--all"]).ok();
        assert_eq!(asked(), format!("erase {host}\n"));
        let ran = berth(
            &home,
            &file,
            &["login", "-u", "user", "-p", "pass", &format!("{host}/app")],
        );
        ran.fails(1)
            .one_error()
            .err_has("gives 127.0.0.1:")
            .err_has(" to a credential helper");
    }
}
