//! Each rule finds what breaks it, and an image that keeps to all of them has no findings.

use store::oci::History;

use super::*;
use crate::service::lint::{Linted, lint};

const CONFIG: &str = r#"{"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": true},
    "process": {"terminal": false, "args": ["/run.sh"], "env": ["PORT=$PORT"]},
    "mounts": [{"type": "bind", "source": "${STATE_DIRECTORY}/x", "destination": "/x", "options": ["rbind"]}]}"#;
const MANIFEST: &str = r#"{"version": "1.0", "defaultValues": {"PORT": "80"}}"#;

fn findings(changes: &[(&str, &str)], history: &[&str]) -> Vec<String> {
    let mut files = BTreeMap::from([
        ("config.json.template", CONFIG),
        ("manifest.json", MANIFEST),
        ("service.template", UNIT),
    ]);
    files.extend(changes.iter().copied());
    let files: Vec<_> = files.into_iter().collect();
    let exports = Case::of(&files).exports;
    told(&exports, history)
}

fn told(exports: &Exports, history: &[&str]) -> Vec<String> {
    let step = |by: &&str| History {
        created_by: Some((*by).to_owned()),
        ..History::default()
    };
    let found = lint(&Linted {
        exports,
        config: None,
        history: &history.iter().map(step).collect::<Vec<_>>(),
        dockerfile: None,
    });
    let shown = |it: &Finding| format!("{}: {}", it.file, it.why);
    found.iter().map(shown).collect()
}

#[test]
fn a_tidy_image_has_no_findings() {
    let history = [
        "/bin/sh -c #(nop) COPY file:ab in /exports/ ",
        "RUN /bin/sh -c make ADD x",
    ];
    assert_eq!(findings(&[], &history), [""; 0]);
}

/// A file, its text with one part changed, and what is found.
type Rule = (
    &'static str,
    (&'static str, &'static str, &'static str),
    &'static str,
);

const RULES: &[Rule] = &[
    (
        "config.json.template",
        (CONFIG, "/x\"", "/$OTHER\""),
        "exports/config.json.template: the variable OTHER has no default",
    ),
    (
        "config.json.template",
        (CONFIG, "false", "true"),
        "exports/config.json.template: process.terminal is true: a service has no terminal",
    ),
    (
        "config.json.template",
        (CONFIG, "true}", "false}"),
        "exports: Invalid configuration file.  Only readonly images are supported",
    ),
    (
        "config.json.template",
        (CONFIG, "rootfs", "/"),
        "exports: Invalid configuration file.  Path must be 'rootfs'",
    ),
    (
        "config.json.template",
        (CONFIG, "${STATE_DIRECTORY}", "/var/lib"),
        "exports/config.json.template: /var/lib/ is $STATE_DIRECTORY:",
    ),
    (
        "config.json.template",
        (
            CONFIG,
            "\"mounts\"",
            "\"selinuxProcessLabel\": \"\", \"mounts\"",
        ),
        "exports/config.json.template: selinuxProcessLabel is process.selinuxLabel",
    ),
    (
        "service.template",
        (UNIT, "$EXEC_START\n", "/usr/bin/x\n"),
        "exports/service.template: ExecStart does not come from $EXEC_START",
    ),
    (
        "service.template",
        (UNIT, "$EXEC_STOP\n", "/usr/bin/x\n"),
        "exports/service.template: ExecStop does not come from $EXEC_STOP",
    ),
    (
        "service.template",
        (UNIT, "$DESTDIR", "/srv"),
        "exports/service.template: WorkingDirectory does not come from $DESTDIR",
    ),
    (
        "service.template",
        (UNIT, "$DESTDIR", "${A:-b}"),
        "exports: cannot render exports/service.template: Invalid placeholder in string: line 10, col 18",
    ),
    (
        "tmpfiles.template",
        ("d /run/x 0700\n", "", ""),
        "exports/tmpfiles.template: /run/ is $RUN_DIRECTORY: d /run/x 0700",
    ),
    (
        "manifest.json",
        (MANIFEST, "80\"", "80\", \"X\": \"\""),
        "exports/manifest.json: no template has the variable X",
    ),
    (
        "manifest.json",
        (MANIFEST, "80\"", "80\", \"CONF_DIRECTORY\": \"/etc\""),
        "exports/manifest.json: the default of CONF_DIRECTORY has no effect: the host gives it a value",
    ),
    (
        "manifest.json",
        (MANIFEST, "}}", "}, \"renameFiles\": {\"/a\": \"/b\"}}"),
        "exports/manifest.json: renameFiles names /a, which is not in hostfs",
    ),
    (
        "manifest.json",
        (MANIFEST, "}}", "}, \"installedFilesTemplate\": [\"/a\"]}"),
        "exports/manifest.json: installedFilesTemplate names /a, where no file goes",
    ),
];

#[test]
fn each_rule_finds_what_breaks_it() {
    for (file, (text, from, to), found) in RULES {
        let text = match from.is_empty() {
            true => (*text).to_owned(),
            false => text.replace(from, to),
        };
        let all = findings(&[(file, &text)], &[]);
        assert!(
            all.iter().any(|it| it.starts_with(found)),
            "{found} is not in {all:?}"
        );
    }
}

#[test]
fn how_an_image_was_built_counts_too() {
    for (step, found) in [
        (
            "/bin/sh -c #(nop)  MAINTAINER me",
            "history: MAINTAINER is obsolete: use the label maintainer",
        ),
        (
            "/bin/sh -c #(nop) ADD file:ab in /x ",
            "history: COPY does what ADD is used for: ADD file:ab in /x",
        ),
        (
            "COPY a /exports # buildkit",
            "history: a directory is written with a slash at its end: COPY a /exports",
        ),
        (
            "COPY a b /exports",
            "history: a directory is written with a slash at its end: COPY a b /exports",
        ),
        (
            "COPY a /export/",
            "history: the directory is called exports: COPY a /export/",
        ),
    ] {
        let all = findings(&[], &[step]);
        assert_eq!(all, [found]);
    }
}

#[test]
fn a_misspelt_directory_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("export")).expect("made");
    let exports = Exports::of_directory(dir.path()).expect("readable");
    assert_eq!(
        told(&exports, &[])[0],
        "export: the directory is called exports"
    );
}

#[test]
fn sources_of_an_image_are_read_as_its_exports() {
    let dir = tempfile::tempdir().expect("a directory");
    for (file, text) in [
        ("config.json.template", CONFIG),
        ("manifest.json", MANIFEST),
        ("service.template", UNIT),
    ] {
        std::fs::write(dir.path().join(file), text).expect("written");
    }
    let exports = Exports::of_sources(dir.path()).expect("readable");
    assert!(exports.present);
    assert_eq!(told(&exports, &[]), [""; 0]);
}

#[test]
fn variables_are_told_apart_by_who_gives_their_values() {
    let exports = Case::of(&[
        ("config.json.template", "$A $B $NAME $RUN_DIRECTORY"),
        ("manifest.json", r#"{"defaultValues": {"A": "1", "RUN_DIRECTORY": "/x"}, "installedFilesTemplate": ["/etc/t"],
            "renameFiles": {"/etc/s": "$C/t"}}"#),
        ("hostfs/etc/t", "$D"),
        ("hostfs/etc/s", "$E"),
        ("hostfs/etc/u", "$F"),
    ])
    .exports;
    let variables = exports.variables().expect("valid");
    assert_eq!(
        variables.with_default,
        BTreeMap::from([
            ("A".into(), Some("1".into())),
            ("RUN_DIRECTORY".into(), None)
        ])
    );
    let names: Vec<_> = variables
        .without_default
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["B", "C", "D", "E"]);
}
