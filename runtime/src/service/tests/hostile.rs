//! Images and values that want more than they may.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

/// Where the files of an image go that has `/etc/x` and these renames.
fn renamed(to: &str) -> Case {
    let manifest = format!(
        r#"{{"renameFiles": {{"/etc/x": {}}}}}"#,
        serde_json::json!(to)
    );
    Case::of(&[
        ("config.json", SMALL),
        ("manifest.json", &manifest),
        ("hostfs/etc/x", "x"),
    ])
}

#[test]
fn paths_on_the_host_are_absolute_and_lead_nowhere_else() {
    assert_eq!(
        renamed("/etc/./$NAME//y").rendered().host_files[0].path,
        Path::new("/etc/web/y")
    );
    let long = format!("/{}", "a".repeat(4095));
    for (to, shown, why) in [
        ("etc/y", "etc/y", "it is not absolute"),
        ("$A/y", "/srv/../../etc/y", "it leads upwards"),
        ("/etc/../y", "/etc/../y", "it leads upwards"),
        ("/..", "/..", "it leads upwards"),
        ("/", "/", "it is the root directory"),
        ("//.", "//.", "it is the root directory"),
        ("", "", "it is not absolute"),
        ("/etc/a\nb", "/etc/a\nb", "a control character is in it"),
        (&long, &long, "it is longer than 4095 bytes"),
    ] {
        let case = renamed(to).set("A", "/srv/../../etc");
        assert_eq!(
            case.refusal(),
            format!("cannot install {shown:?} on the host: {why}"),
            "{to}"
        );
    }
    let case = renamed("/etc/$A").set("A", "a\nb");
    assert_eq!(
        case.refusal(),
        "cannot use the value of A in exports/manifest.json: a control character is in it"
    );
}

#[test]
fn two_files_never_go_to_one_place() {
    let manifest = r#"{"renameFiles": {"/etc/x": "/etc/y", "/opt": "/etc/y/z"}}"#;
    let base = [
        ("config.json", SMALL),
        ("manifest.json", manifest),
        ("hostfs/etc/x", "x"),
    ];
    let with = |more: (&'static str, &'static str)| {
        let mut files = base.to_vec();
        files.push(more);
        Case::of(&files)
    };
    assert_eq!(
        with(("hostfs/etc/y", "y")).refusal(),
        "cannot install \"/etc/y\" on the host: two files of the image go there"
    );
    assert_eq!(
        with(("hostfs/opt/a", "a")).refusal(),
        "cannot install \"/etc/y/z/a\" on the host: another file of the image is in its way"
    );
}

/// The values of a caller stay in their line and mean what they say; what an image writes into its unit is its own.
#[test]
fn set_values_add_no_line_to_a_unit() {
    let case = |file: &str| {
        Case::of(&[
            ("config.json", SMALL),
            (file, "[Service]\nEnvironment=A=$A\nX=%n\n"),
            (
                "manifest.json",
                r#"{"defaultValues": {"A": "%i\nLimitNOFILE=5"}}"#,
            ),
        ])
    };
    for file in ["service.template", "tmpfiles.template"] {
        for (value, why) in [
            (
                "a\nExecStartPre=/bin/sh",
                "a line break or another control character is in it",
            ),
            ("a\rb", "a line break or another control character is in it"),
            ("a\0", "a line break or another control character is in it"),
            (
                "a\u{85}",
                "a line break or another control character is in it",
            ),
            ("a\\", "a backslash at its end would continue the line"),
        ] {
            assert_eq!(
                case(file).set("A", value).refusal(),
                format!("cannot use the value of A in exports/{file}: {why}"),
                "{value:?}"
            );
        }
    }
    let unit = case("service.template").set("A", "50%n \t\\x").unit();
    assert_eq!(unit, "[Service]\nEnvironment=A=50%%n \t\\x\nX=%n\n");
    let unit = case("service.template").unit();
    assert_eq!(unit, "[Service]\nEnvironment=A=%i\nLimitNOFILE=5\nX=%n\n");
}

#[test]
fn values_are_not_read_again_and_the_environment_is_not_asked() {
    let case = Case::of(&[
        ("config.json", SMALL),
        ("service.template", "[Service]\n# $A\n"),
    ]);
    assert_eq!(
        case.set("A", "$NAME ${HOME} $").unit(),
        "[Service]\n# $NAME ${HOME} $\n"
    );
    let case = Case::of(&[("config.json", SMALL), ("service.template", "$PATH\n")]);
    assert!(case.refusal().ends_with("for: ''PATH''"));
}

/// JSON has no escaping of ours, so that what comes out is what counts.
#[test]
fn a_value_can_break_the_configuration_but_not_its_rules() {
    let config = r#"{"root": {"path": "rootfs", "readonly": true}, "a": "$A"}"#;
    let case = |value: &str| Case::of(&[("config.json.template", config)]).set("A", value);
    assert_eq!(
        case("\"").refusal(),
        "Invalid json in configuration file: /checkouts/web.0/config.json."
    );
    assert_eq!(
        case(r#"", "root": {"path": "/", "readonly": true}, "b": ""#).refusal(),
        "Invalid configuration file.  Path must be 'rootfs'"
    );
}

#[test]
fn sources_of_mounts_add_no_line_to_tmpfiles() {
    let config = r#"{"root": {"path": "rootfs", "readonly": true}, "mounts": [
        {"type": "bind", "source": "$A", "destination": "/a"}]}"#;
    let case = |value: &str| {
        let case = Case::of(&[("config.json.template", config)]).set("A", value);
        Case {
            missing: vec!["/a\nf /etc/cron.d/x", "/a/../../etc", "/a%b\\\"c"],
            ..case
        }
    };
    assert_eq!(
        case(r"/a\nf /etc/cron.d/x").refusal(),
        "cannot install \"/a\\nf /etc/cron.d/x\" on the host: a line break or another control character is in it"
    );
    assert_eq!(
        case("/a/../../etc").refusal(),
        "cannot install \"/a/../../etc\" on the host: it leads upwards"
    );
    assert_eq!(
        case(r#"/a%b\\\"c"#).rendered().tmpfiles.as_deref(),
        Some("d    \"/a%%b\\\\\\\"c\"   0700 0 0 - -\n")
    );
}

fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("exports/hostfs")).expect("made");
    dir
}

#[test]
fn links_of_an_image_are_not_followed_to_the_host() {
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("secret"), "{").expect("written");
    let dir = directory();
    let exports = dir.path().join("exports");
    symlink(outside.path().join("secret"), exports.join("manifest.json")).expect("linked");
    symlink(outside.path(), exports.join("hostfs/etc")).expect("linked");
    let exports = Exports::of_directory(dir.path()).expect("readable");
    assert_eq!(exports.manifest, Manifest::default());
    let case = Case::new(exports);
    let files = case.rendered().host_files;
    assert_eq!(files.len(), 1);
    let target = outside.path().display().to_string();
    assert_eq!(files[0].what, HostFileKind::Link { target });

    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("exports")).expect("made");
    symlink(outside.path(), dir.path().join("exports/hostfs")).expect("linked");
    assert!(Exports::of_directory(dir.path()).is_err());
}

#[test]
fn modes_links_and_empty_directories_are_kept() {
    let dir = directory();
    let hostfs = dir.path().join("exports/hostfs");
    std::fs::create_dir_all(hostfs.join("etc/empty")).expect("made");
    std::fs::write(hostfs.join("etc/tool"), "x").expect("written");
    for (path, mode) in [("etc/empty", 0o710), ("etc/tool", 0o4750)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(hostfs.join(path), mode).expect("changed");
    }
    symlink("../nowhere", hostfs.join("etc/link")).expect("linked");
    let exports = Exports::of_directory(dir.path()).expect("readable");
    let files = Case::new(exports).rendered().host_files;
    let file = |path: &str, what| HostFile {
        path: path.into(),
        what,
    };
    assert_eq!(
        files,
        [
            file("/etc/empty", HostFileKind::Directory { mode: 0o710 }),
            file(
                "/etc/link",
                HostFileKind::Link {
                    target: "../nowhere".into()
                }
            ),
            file(
                "/etc/tool",
                HostFileKind::File {
                    mode: 0o4750,
                    content: HostContent::Exported("exports/hostfs/etc/tool".into()),
                }
            ),
        ]
    );
}

#[test]
fn documents_and_their_number_have_limits() {
    let dir = directory();
    let exports = dir.path().join("exports");
    std::fs::write(exports.join("config.json"), vec![b' '; (1 << 20) + 1]).expect("written");
    let refused = |dir: &tempfile::TempDir| {
        Exports::of_directory(dir.path())
            .expect_err("a limit")
            .to_string()
    };
    assert_eq!(
        refused(&dir),
        "exports/config.json of the image exceeds the limit of 1048576 bytes"
    );
    std::fs::remove_file(exports.join("config.json")).expect("removed");
    for number in 0..4097 {
        std::fs::write(exports.join(format!("hostfs/{number}")), "").expect("written");
    }
    assert_eq!(
        refused(&dir),
        "the number of files in exports/hostfs of the image exceeds the limit of 4096"
    );
    let dir = directory();
    let deep = dir.path().join("exports/hostfs").join("d/".repeat(34));
    std::fs::create_dir_all(deep).expect("made");
    assert_eq!(
        refused(&dir),
        "the depth of exports/hostfs of the image exceeds the limit of 32 directories"
    );
}

#[test]
fn what_is_no_file_is_not_read() {
    let dir = directory();
    let fifo = dir.path().join("exports/config.json");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("a FIFO");
    let error = Exports::of_directory(dir.path()).expect_err("a FIFO");
    assert_eq!(
        error.to_string(),
        "cannot use exports/config.json of the image: it is not a regular file"
    );
}
