//! `config.json`: the image's own, rendered or as it stands, else one made from the image's config; checked. Pure.

use std::path::Path;

use serde_json::{Value, json};

use super::document::CONFIG_TEMPLATE;
use super::error::Error;
use super::exports::Exports;
use super::generated;
use super::tmpfiles::StateDirectory;
use super::user_config;
use super::values::{Language, Values};
use super::wanted::{Scope, Wanted};
use crate::error::Result;
use crate::oci;

/// How many mounts of a configuration are looked at.
const MOUNTS_MAX: usize = 4096;

/// The configuration of a service's container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) text: String,
    pub(crate) document: Value,
    /// Sources of bind mounts that the host lacks.
    pub(crate) missing: Vec<String>,
    /// Directories for its state.
    pub(crate) state: Vec<StateDirectory>,
}

/// Makes the configuration, and says what was changed in the image's.
pub(crate) fn config(
    exports: &Exports,
    wanted: &Wanted<'_>,
    values: &mut Values,
    said: &mut Vec<String>,
) -> Result<Config> {
    let mut state = Vec::new();
    let text = match (&exports.config, &exports.config_template) {
        (Some(text), _) => text.clone(),
        (None, Some(template)) => values.render(CONFIG_TEMPLATE, template, Language::Plain)?,
        (None, None) => {
            if !exports.present && wanted.quadlet.is_none() {
                said.push(
                    "the image has no /exports: config.json and unit are generated".to_owned(),
                );
            }
            let made = generated::generated(exports, wanted, values, said)?;
            state = made.state;
            made.document.to_string()
        }
    };
    let original: Value = serde_json::from_str(&text).map_err(|source| Error::ConfigJson {
        path: wanted.destination.join("config.json"),
        source,
    })?;
    let mut document = original.clone();
    if document != json!({}) {
        // What runs once is no deployment that could be spoilt.
        if !exports.runs_once() {
            check(&document)?;
        }
        if wanted.scope == Scope::User {
            user_config::rewrite(&mut document, wanted, said)?;
        }
        if let Some(remote) = wanted.remote {
            document["root"]["path"] = json!(remote);
        }
        // Another runtime reads the image's words as it always did.
        if wanted.runtime.is_ours {
            said.extend(oci::normalise(&mut document));
        }
    }
    let is_own = exports.config.is_none() && exports.config_template.is_none();
    let text = if document == original && !is_own {
        text
    } else {
        pretty(&document, wanted)?
    };
    let mut missing = missing_sources(&document, wanted)?;
    missing.retain(|path| state.iter().all(|it| it.path != *path));
    Ok(Config {
        text,
        document,
        missing,
        state,
    })
}

fn pretty(document: &Value, wanted: &Wanted<'_>) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(document);
    let text = text.map_err(|source| Error::ConfigJson {
        path: wanted.destination.join("config.json"),
        source,
    })?;
    Ok(text + "\n")
}

/// What every service's configuration keeps to, in Atomic's words.
fn check(document: &Value) -> Result<(), Error> {
    let refuse = |why: &str| {
        Err(Error::Config {
            why: why.to_owned(),
        })
    };
    if !document.is_object() {
        return refuse("It is no JSON object");
    }
    if document["root"]["readonly"] != true {
        return refuse("Only readonly images are supported");
    }
    if document["root"]["path"] != "rootfs" {
        return refuse("Path must be 'rootfs'");
    }
    Ok(())
}

/// The sources of bind mounts that are not there, each once.
fn missing_sources(document: &Value, wanted: &Wanted<'_>) -> Result<Vec<String>, Error> {
    let mut missing: Vec<String> = Vec::new();
    let mounts = document["mounts"].as_array();
    for mount in mounts.into_iter().flatten().take(MOUNTS_MAX) {
        let source = mount["source"].as_str().unwrap_or_default();
        if !is_bind(mount) || !source.starts_with('/') || (wanted.exists)(Path::new(source)) {
            continue;
        }
        if source.split('/').any(|part| part == "..") {
            return Err(Error::HostPath {
                path: source.to_owned(),
                why: "it leads upwards",
            });
        }
        if !missing.iter().any(|it| it == source) {
            missing.push(source.to_owned());
        }
    }
    Ok(missing)
}

fn is_bind(mount: &Value) -> bool {
    let options = mount["options"].as_array();
    mount["type"]
        .as_str()
        .is_some_and(|kind| kind.contains("bind"))
        || options.is_some_and(|it| it.iter().any(|it| it == "bind" || it == "rbind"))
}
