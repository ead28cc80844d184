//! Tokens: from a service beside the registry, each in a process of ours that remembers what it saw.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{BASIC, hides_secrets, image};
use crate::pull::double::{Answer, Asked, Double};
use crate::support::Home;

/// A service that gives `token`, or what `script` says.
fn service(script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Double {
    Double::serve(&image(), move |asked| {
        let is_token = asked.path.starts_with("/token");
        is_token.then(|| script(asked).unwrap_or_else(|| Answer::ok(r#"{"token":"good"}"#)))
    })
}

fn challenge(service: &Double, rest: &str) -> String {
    format!(
        "Bearer realm=\"http://{}/token\",service=\"the registry\"{rest}",
        service.host()
    )
}

fn refusal(challenge: &str) -> Answer {
    Answer::status(401).with("WWW-Authenticate", challenge)
}

/// A registry that lets in whoever has the token `good`.
fn guarded(challenge: String) -> Double {
    Double::serve(&image(), move |asked| {
        let known = asked.header("authorization") == Some("Bearer good");
        (!known).then(|| refusal(&challenge))
    })
}

fn pull(double: &Double, args: &[&str]) -> crate::support::user::Ran {
    let home = Home::new();
    let url = double.url();
    let ran = home
        .berth(["--log-level=trace", "pull", "--progress=json", &url])
        .args(args)
        .run();
    hides_secrets(&ran);
    ran
}

/// With this auth file.
fn pull_with(double: &Double, entry: &str) -> crate::support::user::Ran {
    let home = Home::new();
    let file = format!(r#"{{"auths":{{"{}":{entry}}}}}"#, double.host());
    let file = home.write("auth.json", file);
    let ran = home
        .berth(["pull", "--authfile", &file.to_string_lossy(), &double.url()])
        .run();
    hides_secrets(&ran);
    ran
}

#[test]
fn nobody_gets_a_token_too() {
    let tokens = service(|_| None);
    // a scope that the registry mentions at first is not what counts
    let double = guarded(challenge(&tokens, ",scope=\"repository:other:delete\""));
    pull(&double, &[]).code(0);
    let asked = tokens.asked("");
    let asked: Vec<&Asked> = asked.iter().filter(|it| it.path != "/v2/").collect();
    assert_eq!(asked.len(), 1, "one token serves the whole pull");
    assert_eq!(
        asked[0].path,
        "/token?service=the+registry&scope=repository%3Aapp%3Apull"
    );
    assert_eq!(
        (&asked[0].method[..], asked[0].header("authorization")),
        ("GET", None)
    );
    let refused = double.asked("/v2/app/");
    let refused = refused
        .iter()
        .filter(|it| it.header("authorization").is_none());
    assert_eq!(refused.count(), 1, "only the first request goes without");
}

#[test]
fn a_password_goes_to_the_token_service_alone() {
    let elsewhere = Double::serve(&image(), |_| None);
    let target = elsewhere.host();
    let tokens = service(|_| Some(Answer::ok(r#"{"access_token":"good","token":""}"#)));
    let guard = challenge(&tokens, "");
    let double = Double::serve(&image(), move |asked| {
        if asked.header("authorization") != Some("Bearer good") {
            return Some(refusal(&guard));
        }
        let moved = asked.path.contains("/blobs/");
        moved
            .then(|| Answer::status(307).with("Location", format!("http://{target}{}", asked.path)))
    });
    pull(&double, &["--creds", "user:pass"]).code(0);
    let asked = tokens.asked("/token").remove(0);
    assert_eq!(asked.header("authorization"), Some(BASIC));
    assert!(asked.path.ends_with("&account=user"), "{}", asked.path);
    for asked in double.asked("") {
        assert_ne!(asked.header("authorization"), Some(BASIC), "{}", asked.path);
    }
    let fetched = elsewhere.asked("/blobs/");
    assert_eq!(fetched.len(), 2, "a config and a layer");
    assert!(
        fetched
            .iter()
            .all(|it| it.header("authorization").is_none())
    );
}

#[test]
fn whoever_a_redirect_leads_to_cannot_ask_for_credentials() {
    for scheme in ["Basic realm=\"r\"", "Bearer realm=\"http://{}/token\""] {
        let evil = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
        let own = std::sync::Arc::clone(&evil);
        let thief = Double::serve(&image(), move |_| {
            Some(refusal(&scheme.replace("{}", own.get().unwrap())))
        });
        evil.set(thief.host()).unwrap();
        let target = thief.host();
        let double = Double::serve(&image(), move |asked| {
            let moved = asked.path.contains("/blobs/");
            moved.then(|| Answer::status(307).with("Location", format!("http://{target}/stolen")))
        });
        let ran = pull(&double, &["--creds", "user:pass"]).code(1).one_error();
        ran.err_has(&format!("{} refuses access to app", thief.host()));
        let asked = thief.asked("");
        assert!(
            !asked.is_empty() && asked.iter().all(|it| it.path == "/stolen"),
            "{asked:?}"
        );
        assert!(asked.iter().all(|it| it.header("authorization").is_none()));
    }
}

#[test]
fn an_identity_token_is_traded() {
    let tokens = service(|_| Some(Answer::ok(r#"{"access_token":"good","expires_in":300}"#)));
    let double = guarded(challenge(&tokens, ""));
    pull_with(
        &double,
        r#"{"auth":"MDAwOg==","identitytoken":"secret&refresh"}"#,
    )
    .code(0);
    let asked = tokens.asked("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&asked[0].method[..], &asked[0].path[..]),
        ("POST", "/token")
    );
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(
        asked[0].header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        String::from_utf8_lossy(&asked[0].body),
        "grant_type=refresh_token&refresh_token=secret%26refresh&client_id=berth\
         &service=the+registry&scope=repository%3Aapp%3Apull"
    );
}

#[test]
fn an_identity_token_is_not_sent_on() {
    for status in [301, 302, 303, 307, 308] {
        let thief = service(|_| None);
        let target = format!("http://{}/token", thief.host());
        let tokens = service(move |_| Some(Answer::status(status).with("Location", &target[..])));
        let double = guarded(challenge(&tokens, ""));
        let ran = pull_with(&double, r#"{"identitytoken":"secret"}"#)
            .code(1)
            .one_error();
        ran.err_has("its token service redirects a refresh token");
        assert!(thief.asked("").is_empty());
    }
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let tokens = service(|_| None);
    let double = guarded(challenge(&tokens, ""));
    pull_with(&double, r#"{"registrytoken":"good"}"#).code(0);
    pull_with(&double, r#"{"registrytoken":"secret"}"#)
        .code(1)
        .err_has("refuses access to app");
    pull_with(&double, r#"{"registrytoken":"secret\r\nX: y"}"#)
        .code(1)
        .one_error()
        .err_has("the registrytoken that is kept for it is malformed");
    assert!(tokens.asked("").is_empty(), "nobody was asked for another");
}

/// A service whose tokens are called `t1`, `t2`, …, with these times.
fn counted(times: &'static str) -> Double {
    let count = AtomicUsize::new(0);
    service(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let reply = format!(r#"{{"token":"t{number}"{times}}}"#);
        Some(Answer::ok(reply).with("Date", "Sun, 22 Nov 2026 12:00:00 GMT"))
    })
}

/// A registry that takes any token.
fn any_token(tokens: &Double) -> Double {
    let guard = challenge(tokens, "");
    Double::serve(&image(), move |asked| {
        let known = asked.header("authorization").is_some();
        (!known).then(|| refusal(&guard))
    })
}

#[test]
fn a_token_is_used_until_it_expires() {
    for (times, all_the_same) in [
        ("", true),
        (
            r#","expires_in":300,"issued_at":"2026-11-22T11:59:00Z""#,
            true,
        ),
        (r#","expires_in":0"#, true),
        (
            r#","expires_in":300,"issued_at":"2026-11-22T11:00:00Z""#,
            false,
        ),
    ] {
        let tokens = counted(times);
        let double = any_token(&tokens);
        pull(&double, &[]).code(0);
        let sent = double.asked("/v2/app/");
        let sent: Vec<&str> = sent
            .iter()
            .filter_map(|it| it.header("authorization"))
            .collect();
        assert_eq!(sent.len(), 3, "a manifest, a config, a layer");
        let refused = double.asked("/v2/app/").len() - sent.len();
        assert_eq!(refused, 1, "what has expired is not even tried");
        let mut different = sent.clone();
        different.sort_unstable();
        different.dedup();
        let expected = if all_the_same { 1 } else { 3 };
        assert_eq!(different.len(), expected, "{times}: {sent:?}");
    }
}

#[test]
fn a_token_that_stops_working_is_renewed() {
    let tokens = counted("");
    let guard = challenge(&tokens, ",error=\"invalid_token\"");
    let double = Double::serve(&image(), move |asked| {
        let wanted = match asked.path.contains("/blobs/") {
            true => "Bearer t2",
            false => "Bearer t1",
        };
        let known = asked.header("authorization") == Some(wanted);
        (!known).then(|| refusal(&guard))
    });
    pull(&double, &[]).code(0);
    assert_eq!(tokens.asked("/token").len(), 2);
}

#[test]
fn a_scope_that_is_missing_is_added() {
    let tokens = service(|asked| {
        let enough = asked.path.contains("scope=aws")
            && asked.path.contains("scope=repository%3Aapp%3Apull%2Cpush");
        (!enough).then(|| Answer::ok(r#"{"token":"little"}"#))
    });
    let more = ",scope=\"repository:app:push aws\",error=\"insufficient_scope\"";
    let double = guarded(challenge(&tokens, more));
    pull(&double, &[]).code(0);
    assert_eq!(tokens.asked("/token").len(), 2);
    // one that is never content is left
    let tokens = service(|_| Some(Answer::ok(r#"{"token":"little"}"#)));
    let count = AtomicUsize::new(0);
    let guard = challenge(&tokens, "");
    let double = Double::serve(&image(), move |asked| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let greedy = format!("{guard},scope=\"repository:r{number}:pull\"");
        (asked.path != "/v2/").then(|| refusal(&greedy))
    });
    pull(&double, &[])
        .code(1)
        .one_error()
        .err_has("refuses access to app");
    assert_eq!(double.asked("/v2/app/").len(), 3, "the first, and two more");
    assert_eq!(tokens.asked("/token").len(), 2);
}

#[test]
fn a_password_is_not_sent_in_plain_to_another_host() {
    let tokens = service(|_| None);
    let port = tokens.host().rsplit(':').next().unwrap().to_owned();
    for realm in [
        format!("http://localhost:{port}/token"),
        format!("ftp://127.0.0.1:{port}/token"),
    ] {
        let double = guarded(format!("Bearer realm=\"{realm}\""));
        for args in [&["--creds", "user:pass"][..], &[]] {
            let ran = pull(&double, args).code(1).one_error();
            ran.err_has("its token service does not speak TLS");
        }
    }
    assert!(tokens.asked("").is_empty());
    let double = guarded("Bearer realm=\"nonsense\"".into());
    let ran = pull(&double, &[]).code(1).one_error();
    ran.err_has("the URL of its token service is malformed");
}

#[test]
fn challenges_that_cannot_be_answered_are_passed_over() {
    let tokens = service(|_| None);
    let bearer = challenge(&tokens, "");
    let double = guarded(format!("Negotiate, Basic realm=\"a, b\", {bearer}"));
    pull(&double, &[]).code(0);
    assert_eq!(double.asked("/v2/app/").len(), 4);
    pull_with(&double, r#"{"auth":"MDAwOg==","identitytoken":"refresh"}"#).code(0);
    assert_eq!(
        tokens.asked("/token")[1].method,
        "POST",
        "no password, so not Basic"
    );
}

#[test]
fn a_token_is_read_up_to_the_limit() {
    const LIMIT: usize = 1 << 20;
    for (size, error) in [
        (LIMIT, None),
        (
            LIMIT + 1,
            Some("token is too large: the limit is 1048576 bytes"),
        ),
    ] {
        let tokens = service(move |_| {
            let reply = r#"{"token":"good"}"#;
            Some(Answer::ok(format!(
                "{reply}{}",
                " ".repeat(size - reply.len())
            )))
        });
        let ran = pull(&guarded(challenge(&tokens, "")), &[]);
        match error {
            None => ran.code(0),
            Some(error) => ran.code(1).one_error().err_has(error),
        };
    }
}

#[test]
fn what_is_no_token_is_told() {
    let table = [
        (r#"{"token":"secret\r\nX: y"}"#, "its token is malformed"),
        (r#"{"token":{"secret":1}}"#, "its token is malformed"),
        ("secret", "its token is malformed"),
        ("{}", "its token service gave no token"),
    ];
    for (reply, why) in table {
        let tokens = service(move |_| Some(Answer::ok(reply)));
        let ran = pull(&guarded(challenge(&tokens, "")), &[])
            .code(1)
            .one_error();
        ran.err_has(why);
    }
    let tokens = service(|_| Some(Answer::status(404)));
    let ran = pull(&guarded(challenge(&tokens, "")), &[]);
    ran.code(1)
        .one_error()
        .err_has("its token service is not there");
    let tokens = service(|_| Some(Answer::status(401)));
    let double = guarded(challenge(&tokens, ""));
    let ran = pull(&double, &["--creds", "user:pass"]).code(1).one_error();
    ran.err_has(&format!("{} refuses access to app", tokens.host()));
}
