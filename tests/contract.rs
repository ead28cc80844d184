//! What an image asks of who installs it: `info` and `lint`.

use serde_json::json;

use crate::support::Home;
use crate::support::image::{Image, Layout, Tar};

const UNIT: &str =
    "[Service]\nExecStart=$EXEC_START\nExecStop=$EXEC_STOP\nWorkingDirectory=$DESTDIR\n";
const CONFIG: &str = r#"{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true},
    "process": {"args": ["serve", "$PORT", "$SECRET", "$RUN_DIRECTORY"]}}"#;
const MANIFEST: &str = r#"{"version": "1.0", "defaultValues": {"PORT": "8081"}}"#;

fn image(unit: &str) -> Image {
    let tar = Tar::new()
        .dir("exports")
        .file("exports/config.json.template", CONFIG)
        .file("exports/service.template", unit)
        .file("exports/manifest.json", MANIFEST);
    let mut image = Image::of(tar);
    image.config["config"]["Labels"] = json!({"name": "hello", "atomic.type": "system"});
    image
}

fn pulled(unit: &str) -> Home {
    let home = Home::new();
    Layout::with(&home.join("layout"), &image(unit));
    let source = format!("oci:{}", home.join("layout").display());
    home.berth(["pull", "--name", "hello", &source]).ok();
    home
}

#[test]
fn info_tells_labels_and_variables_in_atomics_words() {
    let home = pulled(UNIT);
    let told = home.berth(["info", "hello"]).ok();
    assert_eq!(
        told.text(),
        "Image Name: hello\natomic.type: system\nname: hello\n\n\
         Template variables with default value, but overridable with --set:\nPORT: 8081\nRUN_DIRECTORY: {SET_BY_OS}\n\n\
         Template variables that has no default value, and must be set with --set:\nSECRET: {DEF_VALUE}"
    );
    let told = home.berth(["info", "--json", "hello"]).ok().json();
    assert_eq!(
        told["variables"],
        json!({"with_default": {"PORT": "8081", "RUN_DIRECTORY": null}, "without_default": ["SECRET"]})
    );
    assert_eq!(told["labels"]["atomic.type"], "system");
    home.berth(["info", "nobody"])
        .fails(1)
        .one_error()
        .err_has("image nobody not found");
}

#[test]
fn info_alone_tells_of_host_and_store() {
    let home = Home::new();
    let told = home.berth(["info", "--json"]).ok().json();
    assert_eq!(
        (&told["mode"], &told["images"], &told["services"]),
        (&json!(null), &json!(0), &json!(0))
    );
    let home = pulled(UNIT);
    let told = home.berth(["info", "--json"]).ok().json();
    assert_eq!(
        (&told["mode"], &told["images"]),
        (&json!("bare-user"), &json!(1))
    );
    assert_eq!(told["repository"], home.repo().display().to_string());
    home.berth(["info"])
        .ok()
        .out_has("Images: 1\nServices: 0")
        .out_has("(bare-user)");
}

#[test]
fn lint_finds_and_fails() {
    let home = pulled(&UNIT.replace("$DESTDIR", "/srv"));
    let found = home.berth(["lint", "hello"]).fails(1);
    assert_eq!(
        found.text(),
        "exports/config.json.template: the variable SECRET has no default\n\
         exports/service.template: WorkingDirectory does not come from $DESTDIR"
    );
    let found = home.berth(["lint", "--json", "hello"]).fails(1).json();
    assert_eq!(
        found[0],
        json!({"file": "exports/config.json.template", "why": "the variable SECRET has no default"})
    );
}

#[test]
fn lint_reads_a_directory_with_its_dockerfile() {
    let home = Home::new();
    std::fs::create_dir_all(home.join("image/exports")).unwrap();
    home.write(
        "image/exports/config.json.template",
        CONFIG.replace(r#", "$SECRET""#, ""),
    );
    home.write("image/exports/service.template", UNIT);
    home.write("image/exports/manifest.json", MANIFEST);
    home.berth(["lint", &home.join("image").display().to_string()])
        .ok();
    home.write("image/Dockerfile", "FROM x\nMAINTAINER me\n");
    let found = home.berth(["lint", "."]).dir(home.join("image")).fails(1);
    assert_eq!(
        found.text(),
        "Dockerfile: MAINTAINER is obsolete: use the label maintainer"
    );
}
