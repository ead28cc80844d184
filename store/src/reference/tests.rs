//! Docker's rules, one row for each.

use super::*;

const HEX: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
const SHAPE: &str = "expected [HOST[:PORT]/]PATH[:TAG][@DIGEST]";
const HOST: &str = "a host is words of letters, digits and inner `-`, joined by `.`; an IPv6 address is in brackets";
const IPV6: &str = "in brackets stands an IPv6 address, without a zone";
const PORT: &str = "a port is a number up to 65535";
const TAG: &str =
    "a tag is 1 to 128 letters, digits, `_`, `.` or `-`, and does not start with `.` or `-`";

/// What is typed, the canonical name, the familiar one.
#[rustfmt::skip]
const NAMES: [(&str, &str, &str); 32] = [
    // no host, no tag
    ("redis", "docker.io/library/redis:latest", "redis:latest"),
    ("redis:7", "docker.io/library/redis:7", "redis:7"),
    ("a/b", "docker.io/a/b:latest", "a/b:latest"),
    ("a/b/c:1", "docker.io/a/b/c:1", "a/b/c:1"),
    ("library/redis", "docker.io/library/redis:latest", "redis:latest"),
    // docker's own host, and its old name
    ("docker.io/redis", "docker.io/library/redis:latest", "redis:latest"),
    ("docker.io/library/redis", "docker.io/library/redis:latest", "redis:latest"),
    ("index.docker.io/redis", "docker.io/library/redis:latest", "redis:latest"),
    ("index.docker.io/a/b:t", "docker.io/a/b:t", "a/b:t"),
    // what is a host: with a dot, with a port, or localhost
    ("quay.io/x", "quay.io/x:latest", "quay.io/x:latest"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x/y:z", "localhost:5000/x/y:z", "localhost:5000/x/y:z"),
    ("a:5/x", "a:5/x:latest", "a:5/x:latest"),
    ("Registry.Example/x", "Registry.Example/x:latest", "Registry.Example/x:latest"),
    ("a-b.c--d.e/x", "a-b.c--d.e/x:latest", "a-b.c--d.e/x:latest"),
    ("1.2.3.4/x", "1.2.3.4/x:latest", "1.2.3.4/x:latest"),
    // what is none
    ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
    ("quay.io", "docker.io/library/quay.io:latest", "quay.io:latest"),
    ("docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"),
    ("local/x", "docker.io/local/x:latest", "local/x:latest"),
    // a number behind the last colon is a tag, unless a path follows it
    ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ("host:5000/x", "host:5000/x:latest", "host:5000/x:latest"),
    ("host:5000/x:5000", "host:5000/x:5000", "host:5000/x:5000"),
    // IPv6
    ("[::1]/x", "[::1]/x:latest", "[::1]/x:latest"),
    ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
    ("[2001:DB8::1f]:5000/x/y:t", "[2001:DB8::1f]:5000/x/y:t", "[2001:DB8::1f]:5000/x/y:t"),
    // components and their separators
    ("127.0.0.1:5000/a_b/c--d/e.f/g__h/0", "127.0.0.1:5000/a_b/c--d/e.f/g__h/0:latest", "127.0.0.1:5000/a_b/c--d/e.f/g__h/0:latest"),
    ("a-----b", "docker.io/library/a-----b:latest", "a-----b:latest"),
    // tags
    ("x:_A.b-c", "docker.io/library/x:_A.b-c", "x:_A.b-c"),
    ("x:0", "docker.io/library/x:0", "x:0"),
    ("x:T_1", "docker.io/library/x:T_1", "x:T_1"),
    ("host:0080/x", "host:0080/x:latest", "host:0080/x:latest"),
];

fn parse(text: &str) -> Reference {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let error = text.parse::<Reference>().expect_err(text).to_string();
    let shown: String = text.chars().take(120).collect();
    assert_eq!(
        error,
        format!("image reference {shown:?} is malformed: {why}")
    );
}

#[test]
fn references_follow_dockers_rules() {
    for (text, canonical, familiar) in NAMES {
        let reference = parse(text);
        assert_eq!(reference.canonical().as_str(), canonical, "{text}");
        let short = reference.familiar();
        assert_eq!(parse(short.as_str()), reference, "{text}: {short}");
        assert_eq!(parse(canonical), reference, "{text}");
        assert_eq!(short.as_str(), familiar, "{text}");
    }
}

#[test]
fn a_digest_decides_and_the_tag_is_remembered() {
    let digest = format!("sha256:{HEX}");
    for (name, tag, canonical) in [
        ("redis", None, "docker.io/library/redis"),
        ("redis:7", Some("7"), "docker.io/library/redis"),
        ("host:5000/x", None, "host:5000/x"),
        ("host:5000/x:7", Some("7"), "host:5000/x"),
        ("[::1]:5000/x:7", Some("7"), "[::1]:5000/x"),
    ] {
        let reference = parse(&format!("{name}@{digest}"));
        assert_eq!(reference.tag.as_deref(), tag, "{name}");
        assert_eq!(reference.digest, Some(digest.parse().expect("digest")));
        assert_eq!(
            reference.canonical().as_str(),
            format!("{canonical}@{digest}")
        );
    }
}

#[test]
fn wrong_references_say_why() {
    for (text, why) in [
        ("", SHAPE),
        ("/", SHAPE),
        ("/x", SHAPE),
        ("x/", SHAPE),
        ("a//b", SHAPE),
        ("a___b", SHAPE),
        ("a..b", SHAPE),
        ("a._b", SHAPE),
        ("-a", SHAPE),
        ("a-", SHAPE),
        ("a b", SHAPE),
        ("é", SHAPE),
        ("localhost:5000/", SHAPE),
        ("../etc", HOST),
        ("Redis", "a repository is lower case"),
        ("UPPER/case", "a repository is lower case"),
        ("quay.io/Upper", "a repository is lower case"),
        ("host:5000/a/B:tag", "a repository is lower case"),
        ("-a.b/c", HOST),
        ("a-.b/c", HOST),
        ("a..b/c", HOST),
        ("a.b./c", HOST),
        ("under_score.example/x", HOST),
        ("::1/x", HOST),
        ("https://quay.io/x", PORT),
        ("host:/x", PORT),
        ("host:port/x", PORT),
        ("host:65536/x", PORT),
        ("host:+80/x", PORT),
        ("host:1:2/x", PORT),
        ("[::1]:/x", PORT),
        ("[::1]:+5/x", PORT),
        (
            "[::1]5/x",
            "behind an IPv6 address stands a port or nothing",
        ),
        ("[::1/x", IPV6),
        ("[fe80::1%eth0]/x", IPV6),
        ("[::ffff:1.2.3.4]/x", IPV6),
        ("[1.2.3.4]/x", IPV6),
        ("[::g]:5/x", IPV6),
        ("[::1]", SHAPE),
        ("redis:", TAG),
        ("redis:.a", TAG),
        ("redis:-a", TAG),
        ("redis:a b", TAG),
        ("redis:a+b", TAG),
        (HEX, "64 hex digits are an image id, not a name"),
    ] {
        refused(text, why);
    }
}

#[test]
fn only_a_bare_id_is_no_name() {
    for text in [
        format!("{HEX}:tag"),
        format!("docker.io/{HEX}"),
        format!("library/{HEX}"),
        HEX[1..].to_owned(),
    ] {
        let reference = parse(&text);
        assert_eq!(parse(reference.familiar().as_str()), reference, "{text}");
    }
}

#[test]
fn digests_are_sha256_in_lower_case() {
    for (digest, error) in [
        (
            format!("sha512:{HEX}{HEX}"),
            "cannot use digest algorithm sha512: not supported".to_owned(),
        ),
        (
            "md5:00".into(),
            "cannot use digest algorithm md5: not supported".into(),
        ),
        (
            HEX.into(),
            format!("digest {HEX:?} is malformed: expected sha256:<hex>"),
        ),
    ] {
        let error_found = format!("x@{digest}").parse::<Reference>().expect_err("bad");
        assert_eq!(error_found.to_string(), error);
    }
    for digest in [
        format!("sha256:{}", HEX.to_uppercase()),
        format!("sha256:{}", &HEX[1..]),
        format!("sha256:{HEX}0"),
        format!("sha256:{HEX}@sha256:{HEX}"),
        format!("sha256:{HEX}:tag"),
        "sha256:".into(),
    ] {
        assert!(
            format!("x@{digest}").parse::<Reference>().is_err(),
            "{digest}"
        );
    }
}

#[test]
fn lengths_have_limits() {
    let name = |length: usize| "a".repeat(length);
    parse(&format!("host:1/{}", name(255)));
    refused(
        &format!("host:1/{}", name(256)),
        "its repository is longer than 255 bytes",
    );
    // `library/` counts
    parse(&name(247));
    refused(&name(248), "its repository is longer than 255 bytes");
    parse(&format!("x:{}", name(128)));
    refused(&format!("x:{}", name(129)), TAG);
    let host = vec!["a"; 384].join(".");
    parse(&format!("{host}/{}", name(255)));
    refused(
        &format!("{host}{host}/{}", name(255)),
        "it is longer than 1024 bytes",
    );
}
