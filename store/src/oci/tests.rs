//! Every kind of document, and every way to be none.

use super::*;

const HEX: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";

fn descriptor() -> String {
    format!(r#"{{"mediaType":"t","digest":"sha256:{HEX}","size":3}}"#)
}

fn manifest() -> serde_json::Map<String, serde_json::Value> {
    let d = descriptor();
    let text = format!(r#"{{"schemaVersion":2,"config":{d},"layers":[{d}]}}"#);
    serde_json::from_str(&text).expect("json")
}

fn index() -> serde_json::Map<String, serde_json::Value> {
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor());
    serde_json::from_str(&text).expect("json")
}

#[track_caller]
fn refused(body: &impl serde::Serialize, announced: &str, why: &str) {
    let raw = serde_json::to_vec(body).expect("json");
    let digest = Digest::of(&raw);
    let error = Document::parse(raw, announced).expect_err(why).to_string();
    assert_eq!(error, format!("manifest {digest} is malformed: {why}"));
}

/// The shapes of the fixtures of containers/image and docker: a valid document with a field of another kind, empty or
/// not.
#[test]
fn ambiguous_bodies_are_refused() {
    let both = "it reads both as a manifest and as an index";
    let old = "it has fields of docker schema 1 too";
    let d: serde_json::Value = serde_json::from_str(&descriptor()).expect("json");
    let list = |filled: bool| {
        serde_json::Value::from(filled.then(|| d.clone()).into_iter().collect::<Vec<_>>())
    };
    for (body, field, why) in [
        (manifest(), "manifests", both),
        (manifest(), "fsLayers", old),
        (manifest(), "history", old),
        (index(), "layers", both),
        (index(), "fsLayers", old),
        (index(), "history", old),
    ] {
        for filled in [false, true] {
            let mut body = body.clone();
            body.insert(field.into(), list(filled));
            refused(&body, "", why);
        }
    }
    let mut body = index();
    body.insert("config".into(), d);
    refused(&body, "", both);
    for media_type in [media::OCI_INDEX, media::DOCKER_LIST] {
        let why = format!("its media type {media_type} contradicts its content");
        refused(&manifest(), media_type, &why);
        let mut body = manifest();
        body.insert("mediaType".into(), media_type.into());
        refused(&body, "", &why);
    }
    for media_type in [media::OCI_MANIFEST, media::DOCKER_MANIFEST] {
        let why = format!("its media type {media_type} contradicts its content");
        refused(&index(), &format!("{media_type}; charset=utf-8"), &why);
    }
}

#[test]
fn fields_have_one_spelling() {
    for field in [
        "Layers",
        "LAYERS",
        "Config",
        "MANIFESTS",
        "mediatype",
        "FsLayers",
        "layer\u{17f}",
    ] {
        let mut body = manifest();
        body.insert(field.into(), serde_json::Value::Null);
        refused(&body, "", &format!("its field {field} is misspelt"));
    }
    let d = descriptor();
    let twice = format!(r#"{{"schemaVersion":2,"config":{d},"layers":[],"layers":[{d}]}}"#);
    let error = Document::parse(twice.into_bytes(), "").expect_err("twice");
    assert!(
        error.to_string().contains("duplicate field `layers`"),
        "{error}"
    );
}

#[test]
fn every_kind_is_read_with_and_without_its_type() {
    for (body, types) in [
        (manifest(), [media::OCI_MANIFEST, media::DOCKER_MANIFEST]),
        (index(), [media::OCI_INDEX, media::DOCKER_LIST]),
    ] {
        for kind in types {
            let mut typed = body.clone();
            typed.insert("mediaType".into(), kind.into());
            for (body, announced) in [
                (&body, kind),
                (&typed, kind),
                (&typed, ""),
                (&typed, "text/plain"),
            ] {
                let raw = serde_json::to_vec(body).expect("json");
                let media_type = match Document::parse(raw, announced).expect(kind) {
                    Document::Manifest(manifest) => manifest.media_type,
                    Document::Index(index) => index.media_type,
                };
                assert_eq!(media_type, kind);
            }
        }
    }
}

#[test]
fn what_is_neither_is_refused() {
    let neither = "it has neither config and layers nor manifests";
    refused(&serde_json::json!({"schemaVersion": 2}), "", neither);
    refused(
        &serde_json::json!({"schemaVersion": 2, "layers": []}),
        "",
        neither,
    );
    refused(
        &serde_json::json!({"schemaVersion": 3}),
        "",
        "schemaVersion is not 2",
    );
    refused(&serde_json::json!({}), "", "schemaVersion is not 2");
    let artifact = serde_json::json!({"mediaType": media::OCI_ARTIFACT, "blobs": []});
    let error = Document::parse(serde_json::to_vec(&artifact).expect("json"), "");
    assert_eq!(
        error.expect_err("artifact").to_string(),
        "cannot use manifest of an artifact: not supported"
    );
}

#[test]
fn schema_1_is_named() {
    for (body, announced) in [
        (r#"{"schemaVersion":1}"#, ""),
        (
            r#"{"schemaVersion":1,"name":"a","tag":"b","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}"#,
            media::DOCKER_SCHEMA1_SIGNED,
        ),
        (r#"{"schemaVersion":2,"fsLayers":[]}"#, ""),
        ("{}", media::DOCKER_SCHEMA1),
    ] {
        let error = Document::parse(body.as_bytes().to_vec(), announced).expect_err("schema 1");
        assert_eq!(
            error.to_string(),
            "cannot use manifest of docker schema 1: not supported"
        );
    }
}

#[test]
fn limits_hold() {
    let raw = vec![b' '; MANIFEST_BYTES_MAX as usize + 1];
    assert!(matches!(
        Document::parse(raw, ""),
        Err(Error::TooLarge { .. })
    ));
    let layers = vec![descriptor(); LAYERS_MAX + 1].join(",");
    let raw = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{layers}]}}"#,
        descriptor()
    );
    assert!(matches!(
        Document::parse(raw.into_bytes(), ""),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn platforms_round_trip() {
    for text in ["linux/amd64", "linux/arm/v7"] {
        assert_eq!(text.parse::<Platform>().expect("valid").to_string(), text);
    }
    for text in ["linux", "linux/", "/amd64", "a/b/c/d"] {
        assert!(text.parse::<Platform>().is_err(), "{text}");
    }
}
