//! Whom berth trusts and who it says it is, against a real registry.

use std::fs;
use std::path::Path;

use super::{conf, directory, honest};
use crate::needs;
use crate::pull::{push, two_layers};
use crate::support::Home;
use crate::support::image::Form;
use crate::support::registry::Registry;

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap()
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

#[test]
fn an_authority_is_found_where_the_host_keeps_it() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start_tls());
    push(&home, &registry, &two_layers(Form::Gzip), "app:latest");
    let (url, ca) = (registry.url("app"), read(registry.ca()));
    let pull = |args: &[&str]| home.berth(["pull", "-q"]).args(args).args([&url]);
    let unknown = "invalid peer certificate";
    pull(&[]).fails(1).one_error().err_has(unknown);

    let place = format!("user/.config/containers/certs.d/{}", registry.host());
    directory(&home, &place, &[("any name.crt", ca.clone())]);
    pull(&[]).env("HOME", home.join("user")).ok();
    directory(
        &home,
        "other/.config/containers/certs.d/127.0.0.1",
        &[("ca.crt", ca.clone())],
    );
    let ran = pull(&[]).env("HOME", home.join("other")).fails(1);
    ran.err_has(unknown);

    let named = directory(
        &home,
        "named",
        &[("ca.crt", ca.clone()), ("README", vec![])],
    );
    pull(&["--cert-dir", &text(&named)]).ok();
    let gone = text(home.join("gone"));
    let ran = pull(&["--cert-dir", &gone]).fails(1).one_error();
    ran.err_has(&format!("cannot list {gone}: No such file or directory\n"));

    let hashed = directory(
        &home,
        "hashed",
        &[("0a0b0c.0", ca), ("junk", b"junk".into())],
    );
    let list = format!("/nowhere:{}", hashed.display());
    pull(&[]).env("SSL_CERT_DIR", list).ok();
    let empty = home.write("empty.pem", "");
    pull(&[])
        .env("SSL_CERT_FILE", &empty)
        .fails(1)
        .err_has(unknown);
    let bad = text(home.write("bad.pem", "junk"));
    let ran = pull(&["--ca", &bad]).fails(1).one_error();
    ran.err_has(&format!(
        "certificate file {bad} is malformed: it holds no PEM certificate\n"
    ));
}

#[test]
fn a_certificate_of_ours_is_shown_to_a_registry_that_asks() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start_tls_for_clients());
    push(&home, &registry, &two_layers(Form::Gzip), "app:latest");
    let (url, ca) = (registry.url("app"), ("ca.crt", read(registry.ca())));
    let ours = |file: &str| read(registry.client(file));
    let pull = |name: &str, files: &[(&str, Vec<u8>)]| {
        let files: Vec<_> = files.iter().cloned().chain([ca.clone()]).collect();
        let path = text(directory(&home, name, &files));
        home.berth(["pull", "-q", "--cert-dir", &path, &url])
    };
    let ran = pull("none", &[]).fails(1).one_error();
    ran.err_has("received fatal alert")
        .err_has("hint: it may want a client certificate");
    for (name, certificate) in [
        ("pkcs8", "client.pem"),
        ("sec1", "client.pem"),
        ("pkcs1", "rsa.pem"),
    ] {
        pull(
            name,
            &[("me.cert", ours(certificate)), ("me.key", ours(name))],
        )
        .ok();
    }
    // of several, one that the registry's authority knows
    let stranger = Registry::start_tls();
    let strange = |file: &str| read(stranger.client(file));
    let both = [
        ("a.cert", strange("client.pem")),
        ("a.key", strange("pkcs8")),
        ("b.cert", ours("client.pem")),
        ("b.key", ours("pkcs8")),
    ];
    pull("both", &both).ok();
    pull("strange", &both[..2]).fails(1).one_error();

    let cert = ("me.cert", ours("client.pem"));
    let at = |name: &str| text(home.join(name));
    for (name, files, why) in [
        (
            "no-key",
            vec![cert.clone()],
            format!(
                "directory {} is malformed: me.cert has no key me.key\n",
                at("no-key")
            ),
        ),
        (
            "no-cert",
            vec![("me.key", ours("pkcs8"))],
            format!(
                "directory {} is malformed: me.key has no certificate me.cert\n",
                at("no-cert")
            ),
        ),
        (
            "other-key",
            vec![cert.clone(), ("me.key", ours("pkcs1"))],
            format!(
                "key {0}/me.key is malformed: it is not the key of {0}/me.cert\n",
                at("other-key")
            ),
        ),
        (
            "junk-key",
            vec![cert, ("me.key", b"junk".into())],
            format!(
                "key {}/me.key is malformed: it holds no PEM private key, or only an encrypted one\n",
                at("junk-key")
            ),
        ),
    ] {
        pull(name, &files).fails(1).one_error().err_has(&why);
    }
}

#[test]
fn an_insecure_registry_may_have_any_certificate() {
    needs!(Registry);
    let (home, registry) = (Home::new(), Registry::start_tls());
    push(&home, &registry, &two_layers(Form::Gzip), "app:latest");
    let url = registry.url("app");
    let entry = format!("[[registry]]\nlocation = \"{}\"\n", registry.host());
    let pull = |insecure: &str, flag: &str| {
        let file = conf(&home, &format!("{entry}insecure = {insecure}\n"));
        let run = match flag {
            "" => home.berth(["pull", "-q", &url]),
            flag => home.berth(["pull", "-q", flag, &url]),
        };
        run.env("CONTAINERS_REGISTRIES_CONF", file)
    };
    pull("true", "").ok();
    pull("false", "")
        .fails(1)
        .err_has("invalid peer certificate");
    pull("true", "--tls-verify=true")
        .fails(1)
        .err_has("invalid peer certificate");
    pull("false", "--tls-verify=false").ok();
    let plain = honest();
    home.berth(["pull", "-q", "--tls-verify=true", &plain.url()])
        .fails(1)
        .one_error();
    assert_eq!(plain.asked("").len(), 0, "not even on the loopback");
}
