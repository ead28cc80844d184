//! `exports/manifest.json`: what a service's image says of itself. Pure.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::Error;

/// The manifest of a service. Keys that nobody knows are ignored, and so is one that is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The version of the format; `1.0` is the only one there has been.
    pub version: Option<String>,
    /// Values of variables that nobody set.
    pub default_values: BTreeMap<String, String>,
    /// Where files for the host go, by where they are in the image; values are templates.
    pub rename_files: BTreeMap<String, String>,
    /// Files for the host that are templates, by where they go.
    pub installed_files_template: Vec<String>,
    /// The image has nothing to run.
    pub no_container_service: bool,
    /// Host files may be hard links.
    pub use_links: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    version: Option<Scalar>,
    default_values: Option<BTreeMap<String, Scalar>>,
    rename_files: Option<BTreeMap<String, String>>,
    installed_files_template: Option<Vec<String>>,
    no_container_service: Option<bool>,
    use_links: Option<bool>,
}

/// A value that Python puts into a template with `str()`.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Bool(true) => Ok(Self("True".to_owned())),
            Value::Bool(false) => Ok(Self("False".to_owned())),
            _ => Err(D::Error::custom("expected a string, a number or a boolean")),
        }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Document::default().into()
    }
}

impl From<Document> for Manifest {
    fn from(document: Document) -> Self {
        let defaults = document.default_values.unwrap_or_default().into_iter();
        Self {
            version: document.version.map(|Scalar(version)| version),
            default_values: defaults.map(|(name, Scalar(text))| (name, text)).collect(),
            rename_files: document.rename_files.unwrap_or_default(),
            installed_files_template: document.installed_files_template.unwrap_or_default(),
            no_container_service: document.no_container_service.unwrap_or(false),
            use_links: document.use_links.unwrap_or(true),
        }
    }
}

impl Manifest {
    /// Reads the manifest of `image`, which errors name.
    pub(crate) fn parse(text: &str, image: &str) -> Result<Self, Error> {
        // serde takes a list for an object too.
        let object: Result<Map<String, Value>, _> = serde_json::from_str(text);
        let document = object.and_then(|it| Document::deserialize(Value::Object(it)));
        document.map(Self::from).map_err(|source| Error::Manifest {
            image: image.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = r#"{"version": "1.0", "defaultValues": {"A": "x", "PORT": 8081, "ON": true},
            "renameFiles": {"/etc/a": "$CONF_DIRECTORY/a"}, "installedFilesTemplate": ["/etc/a"],
            "noContainerService": true, "useLinks": false, "later": {}}"#;
        let manifest = Manifest::parse(text, "i").expect("valid");
        let pairs = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        };
        assert_eq!(
            manifest,
            Manifest {
                version: Some("1.0".into()),
                default_values: pairs(&[("A", "x"), ("ON", "True"), ("PORT", "8081")]),
                rename_files: pairs(&[("/etc/a", "$CONF_DIRECTORY/a")]),
                installed_files_template: vec!["/etc/a".into()],
                no_container_service: true,
                use_links: false,
            }
        );
        let empty = Manifest::parse(r#"{"renameFiles": null}"#, "i").expect("valid");
        assert_eq!(empty, Manifest::default());
        assert!(empty.use_links && !empty.no_container_service);
    }

    #[test]
    fn types_are_checked() {
        for text in [
            "",
            "[]",
            r#"{"defaultValues": []}"#,
            r#"{"defaultValues": {"A": null}}"#,
            r#"{"defaultValues": {"A": {}}}"#,
            r#"{"renameFiles": {"/a": 1}}"#,
            r#"{"installedFilesTemplate": "/a"}"#,
            r#"{"noContainerService": "yes"}"#,
        ] {
            let error = Manifest::parse(text, "a/b:c").expect_err(text);
            assert_eq!(
                error.to_string(),
                "Invalid manifest.json file in image: a/b:c.",
                "{text}"
            );
        }
    }
}
