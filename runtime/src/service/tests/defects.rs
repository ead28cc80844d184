//! Defects of Atomic that rendering is responsible for, by their numbers in the specification.

use serde_json::json;

use super::*;

/// Whatever is wrong shows before there is a deployment: nothing is rendered but all of it.
#[test]
fn defect_02_a_missing_variable_leaves_everything_alone() {
    let case = Case::of(&[("config.json.template", r#"{"root": $MISSING}"#)]);
    assert_eq!(
        case.refusal(),
        "The template file 'exports/config.json.template' still contains an unreplaced value for: ''MISSING''"
    );
}

#[test]
fn defect_03_an_undefined_variable_of_any_template_is_found_before_the_service_is_stopped() {
    for (file, named) in [
        ("service.template", "exports/service.template"),
        ("tmpfiles.template", "exports/tmpfiles.template"),
        ("hostfs/etc/x", "exports/hostfs/etc/x"),
    ] {
        let case = Case::of(&[
            ("config.json", SMALL),
            ("manifest.json", r#"{"installedFilesTemplate": ["/etc/x"]}"#),
            (file, "a=$MISSING\n"),
        ]);
        assert_eq!(
            case.refusal(),
            format!(
                "The template file '{named}' still contains an unreplaced value for: ''MISSING''"
            )
        );
    }
    let case = Case::of(&[
        ("config.json", SMALL),
        (
            "manifest.json",
            r#"{"renameFiles": {"/etc/x": "/$MISSING"}}"#,
        ),
    ]);
    assert_eq!(
        case.refusal(),
        "The template file 'exports/manifest.json' still contains an unreplaced value for: ''MISSING''"
    );
}

fn tool(name: &str) -> Case {
    let manifest = format!(
        r#"{{"renameFiles": {{"/etc/x": "/etc/{name}"}}, "installedFilesTemplate": ["/etc/{name}"],
        "defaultValues": {{"A": "{name}"}}}}"#
    );
    Case::of(&[
        ("config.json", SMALL),
        ("manifest.json", &manifest),
        ("hostfs/etc/x", "a=$A\n"),
    ])
}

/// A deployment holds its templated files as they were rendered, so going back to it renders nothing.
#[test]
fn defect_04_host_files_are_kept_as_they_were_rendered() {
    let rendered = tool("one").rendered();
    let [file] = rendered.host_files.as_slice() else {
        panic!("one file: {:?}", rendered.host_files);
    };
    assert_eq!(file.path, Path::new("/etc/one"));
    let HostFileKind::File { content, .. } = &file.what else {
        panic!("a file");
    };
    assert_eq!(*content, HostContent::Rendered(b"a=one\n".to_vec()));
}

#[test]
fn defect_05_each_deployment_has_its_own_renames_and_templates() {
    for name in ["one", "two"] {
        let rendered = tool(name).rendered();
        assert_eq!(rendered.renames["/etc/x"], format!("/etc/{name}"));
        assert_eq!(rendered.templates, [format!("/etc/{name}")]);
    }
}

#[test]
fn defect_09_the_gid_map_begins_at_the_gid() {
    let case = Case::of(&[("config.json", SMALL)]).user();
    let document = case.document();
    assert_eq!(
        document["linux"]["gidMappings"][0],
        json!({"containerID": 0, "hostID": 1002, "size": 1})
    );
    assert_eq!(document["linux"]["gidMappings"][1]["hostID"], 200_000);
    assert_eq!(document["linux"]["uidMappings"][0]["hostID"], 1001);
}

#[test]
fn defect_10_new_defaults_of_a_new_image_apply() {
    let image = |a: &str, b: &str| {
        let manifest = format!(r#"{{"defaultValues": {{"A": "{a}", "B": "{b}"}}}}"#);
        Case::of(&[
            ("config.json", SMALL),
            ("service.template", "[Service]\n# $A $B\n"),
            ("manifest.json", &manifest),
        ])
        .set("A", "mine")
    };
    assert!(image("old", "old").unit().ends_with("# mine old\n"));
    let rendered = image("new", "new").rendered();
    assert!(rendered.unit.expect("a unit").ends_with("# mine new\n"));
    assert_eq!(rendered.values["B"], "new");
}

/// The first part of a name is never looked up in the network: names are read, not asked about.
#[test]
fn defect_11_names_are_the_same_offline() {
    for image in ["unreachable.invalid/etcd", "docker.io/etcd", "etcd"] {
        assert_eq!(ServiceName::of_image(image).expect(image).as_str(), "etcd");
    }
}

#[test]
fn defect_12_an_image_by_digest_names_a_service() {
    let digest = "0".repeat(64);
    for image in ["a/etcd@sha256:", "a/etcd:latest@sha256:"] {
        let name = ServiceName::of_image(&format!("{image}{digest}")).expect(image);
        assert_eq!(name.as_str(), "etcd");
    }
}

/// A deployment of files only is one like any other, with a list to go back to.
#[test]
fn defect_15_an_image_without_a_service_has_a_deployment() {
    let case = Case::of(&[
        ("manifest.json", r#"{"noContainerService": true}"#),
        ("hostfs/usr/bin/tool", "#!/bin/sh\n"),
    ]);
    let rendered = case.rendered();
    assert_eq!((rendered.unit, rendered.config), (None, None));
    assert_eq!(rendered.host_files[0].path, Path::new("/usr/bin/tool"));
    assert_eq!(rendered.values["NAME"], "web");
}
