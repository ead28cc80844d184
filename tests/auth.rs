//! Who berth is at a registry: where it looks for credentials, how it proves them, and to whom it never shows them.

mod credential_helper;
mod login;
mod tokens;

use crate::pull::double::{Answer, Asked, Double};
use crate::support::Home;
use crate::support::image::{Image, Tar};
use crate::support::user::{Ran, Run};

fn image() -> Image {
    Image::of(Tar::new().file("hello", "hello\n"))
}

/// `user` with the password `pass`, as Basic has it.
const BASIC: &str = "Basic dXNlcjpwYXNz";

/// What must never be said.
const SECRETS: [&str; 3] = ["pass", "dXNlcjpw", "secret"];

/// Nothing that was printed holds a secret of these tests.
#[track_caller]
fn hides_secrets(ran: &Ran) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    let said = said.replace("password", "");
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret:?} is in\n{said}");
    }
}

/// A registry that asks everybody for a password, and takes any.
fn any_password(image: &Image) -> Double {
    Double::serve(image, |asked| {
        let known = asked.header("authorization").is_some();
        (!known).then(|| Answer::status(401).with("WWW-Authenticate", "Basic realm=\"r\""))
    })
}

/// Whom the registry saw last, as `USER:PASSWORD` in base64.
fn last_seen(double: &Double) -> Option<String> {
    let asked: Option<Asked> = double.asked("/v2/app/").pop();
    Some(asked?.header("authorization")?.to_owned())
}

/// An auth file for one key and user, whose password is empty.
fn auths(key: &str, auth: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"auth":"{auth}"}}}}}}"#)
}

/// A file below the home folder, with its folders.
fn place(home: &Home, path: &str, text: &str) {
    let folder = home.join(path);
    let folder = folder.parent().unwrap().to_owned();
    home.sh(&format!("mkdir -p '{}'", folder.display())).ok();
    home.write(path, text);
}

/// berth with a home of its own, so that it finds files there.
fn at_home(home: &Home, args: &[&str]) -> Run {
    home.berth(args)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("DOCKER_CONFIG", home.join("docker"))
}

#[test]
fn files_are_searched_in_podmans_order() {
    let double = any_password(&image());
    let home = Home::new();
    // YTo= is a:, and so on
    let places = [
        ("run/containers/auth.json", "YTo="),
        ("config/containers/auth.json", "Yjo="),
        ("docker/config.json", "Yzo="),
        (".dockercfg", "ZDo="),
    ];
    for (path, auth) in places {
        let text = match path {
            ".dockercfg" => format!(r#"{{"http://{}/v1/":{{"auth":"{auth}"}}}}"#, double.host()),
            _ => auths(&double.host(), auth),
        };
        place(&home, path, &text);
    }
    for (path, auth) in places {
        at_home(&home, &["pull", "-q", &double.url()]).ok();
        assert_eq!(
            last_seen(&double).unwrap(),
            format!("Basic {auth}"),
            "{path}"
        );
        // one that knows only others is passed over as one that is missing
        home.write(
            path,
            match path {
                ".dockercfg" => "{}".to_owned(),
                _ => auths("elsewhere.example", auth),
            },
        );
    }
    let ran = at_home(&home, &["pull", &double.url()])
        .fails(1)
        .one_error();
    ran.err_has("refuses access to app").err_has("hint: ");
    std::os::unix::fs::symlink("nowhere", home.join("run/containers/link")).unwrap();
    home.sh("mv run/containers/link run/containers/auth.json")
        .ok();
    // one that is there and cannot be read is no missing one
    home.sh("chmod 000 docker/config.json").ok();
    let path = home.join("docker/config.json");
    let ran = at_home(&home, &["pull", &double.url()]).fails(1);
    ran.err_has(&format!(
        "cannot open {}: Permission denied",
        path.display()
    ));
    home.sh("chmod 000 docker").ok();
    let ran = at_home(&home, &["pull", &double.url()]).fails(1);
    ran.err_has("refuses access to app");
    home.sh("chmod 700 docker").ok();
}

#[test]
fn files_are_where_home_is_without_the_xdg_variables() {
    let double = any_password(&image());
    let home = Home::new();
    for (path, auth) in [
        (".config/containers/auth.json", "Yjo="),
        (".docker/config.json", "Yzo="),
    ] {
        place(&home, path, &auths(&double.host(), auth));
        home.berth(["pull", "-q", &double.url()])
            .env("HOME", home.path())
            .ok();
        assert_eq!(
            last_seen(&double).unwrap(),
            format!("Basic {auth}"),
            "{path}"
        );
        std::fs::remove_file(home.join(path)).unwrap();
    }
}

#[test]
fn a_file_that_is_named_is_the_only_one() {
    let double = any_password(&image());
    let home = Home::new();
    place(
        &home,
        "run/containers/auth.json",
        &auths(&double.host(), "YTo="),
    );
    place(&home, "named.json", &auths(&double.host(), "Yjo="));
    place(&home, "other.json", &auths("elsewhere.example", "Yzo="));
    let pull = |name: &str| {
        let path = home.join(name);
        let flag = format!("--authfile={}", path.display());
        let by_flag = at_home(&home, &["pull", "-q", &flag, &double.url()]).run();
        let by_variable = at_home(&home, &["pull", "-q", &double.url()])
            .env("REGISTRY_AUTH_FILE", &path)
            .run();
        assert_eq!(by_flag.stderr, by_variable.stderr);
        by_flag
    };
    pull("named.json").code(0);
    assert_eq!(last_seen(&double).unwrap(), "Basic Yjo=");
    pull("other.json").code(1).err_has("refuses access to app");
    let missing = home.join("missing.json");
    pull("missing.json").code(1).one_error().err_has(&format!(
        "cannot open {}: No such file or directory",
        missing.display()
    ));
    at_home(&home, &["pull", "-q", &double.url()])
        .env("REGISTRY_AUTH_FILE", "")
        .ok();
    assert_eq!(
        last_seen(&double).unwrap(),
        "Basic YTo=",
        "empty is not set"
    );
}

#[test]
fn a_namespace_may_have_credentials_of_its_own() {
    let double = any_password(&image());
    let home = Home::new();
    let host = double.host();
    let file = format!(
        r#"{{"auths":{{"{host}":{{"auth":"YTo="}},"{host}/app":{{"auth":"Yjo="}},"{host}/ap":{{"auth":"Yzo="}}}}}}"#
    );
    place(&home, "run/containers/auth.json", &file);
    at_home(&home, &["pull", "-q", &double.url()]).ok();
    assert_eq!(last_seen(&double).unwrap(), "Basic Yjo=");
}

#[test]
fn a_broken_file_is_named_and_not_quoted() {
    let double = any_password(&image());
    let home = Home::new();
    let path = home.join("run/containers/auth.json");
    for (text, why) in [
        ("{\"auths\": secret", "expected JSON with auths".to_owned()),
        (
            &auths(&double.host(), "secret!"),
            "an auth is not base64 of USER:PASSWORD".to_owned(),
        ),
    ] {
        place(&home, "run/containers/auth.json", text);
        let ran = at_home(&home, &["pull", &double.url()])
            .fails(1)
            .one_error();
        hides_secrets(&ran);
        ran.err_has(&format!("auth file {} is malformed: {why}", path.display()));
    }
}

/// Runs a command on a terminal of its own, types one line when it has said `prompt`, and prints what was shown.
const TERMINAL: &str = "
import os, pty, sys
prompt, answer = sys.argv[1].encode(), sys.argv[2].encode()
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
shown = b''
try:
    while prompt not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, answer)
    while True:
        more = os.read(terminal, 1024)
        if not more:
            break
        shown += more
except OSError:
    pass
os.write(1, shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// A program on a terminal, where somebody types `answer` at `prompt`.
fn on_terminal(home: &Home, prompt: &str, answer: &str, args: &[&str]) -> Run {
    let berth = home.program("python3");
    let root = home.root();
    let program = crate::support::user::berth();
    berth
        .args(["-c", TERMINAL, prompt, answer])
        .args([program.as_os_str(), "--root".as_ref(), root.as_os_str()])
        .args(args)
        .env("HOME", home.path())
}

#[test]
fn a_password_that_is_missing_is_asked_for() {
    let double = any_password(&image());
    let home = Home::new();
    let url = double.url();
    let prompt = "Password for user: ";
    // the x is taken back
    let ran = on_terminal(
        &home,
        prompt,
        "passx\x7f\r",
        &["pull", "--creds", "user", &url, &url],
    )
    .ok();
    assert_eq!(last_seen(&double).unwrap(), BASIC);
    assert_eq!(ran.stdout.matches(prompt).count(), 1, "{}", ran.stdout);
    let said = ran.stdout.replace(prompt, "");
    assert!(!said.contains("pass"), "nothing is echoed: {said}");
    let ran = on_terminal(&home, prompt, "pa\x03", &["pull", "--creds", "user", &url]).fails(130);
    assert!(ran.stdout.contains("error: interrupted"), "{}", ran.stdout);
    home.berth(["pull", "--creds", "user", &url])
        .input("pass\n")
        .fails(1)
        .one_error()
        .err_has("cannot ask for the password for user: standard input is not a terminal")
        .err_has("hint: give it as --creds USER:PASSWORD");
    home.berth(["pull", "--creds", ":pass", &url])
        .fails(2)
        .err_has("a user's name is not empty and holds no colon");
}
