//! What an image asks of who installs it: the variables of its templates. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{CONFIG_TEMPLATE, HOSTFS, MANIFEST, SERVICE_TEMPLATE, TMPFILES_TEMPLATE};
use super::error::Error;
use super::exports::{Exported, ExportedKind, Exports};
use super::host_plan::below;
use super::manifest::Manifest;
use super::template::Template;
use super::variables::{FORCED, OVERRIDABLE};

/// The variables that an image's templates have and a caller can set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Variables {
    /// Those that have a value anyway; `None` for one that the host gives.
    pub with_default: BTreeMap<String, Option<String>>,
    /// Those that must be set.
    pub without_default: BTreeSet<String>,
}

impl Exports {
    /// The variables of all its templates. Fails on a `$` that is none.
    pub fn variables(&self) -> Result<Variables, Error> {
        let mut variables = Variables::default();
        for (file, text) in self.templates() {
            for name in Template::parse(&file, &text)?.names() {
                let default = self.manifest.default_values.get(name);
                if FORCED.contains(&name) {
                    continue;
                }
                if OVERRIDABLE.contains(&name) {
                    variables.with_default.insert(name.to_owned(), None);
                } else if let Some(default) = default {
                    let default = Some(default.clone());
                    variables.with_default.insert(name.to_owned(), default);
                } else {
                    variables.without_default.insert(name.to_owned());
                }
            }
        }
        Ok(variables)
    }

    /// Its templates by their names, with their texts.
    pub(crate) fn templates(&self) -> Vec<(String, String)> {
        let config = match self.config {
            Some(_) => &None,
            None => &self.config_template,
        };
        let mut templates: Vec<(String, String)> = [
            (CONFIG_TEMPLATE, config),
            (SERVICE_TEMPLATE, &self.service),
            (TMPFILES_TEMPLATE, &self.tmpfiles),
        ]
        .into_iter()
        .filter_map(|(file, text)| Some((file.to_owned(), text.clone()?)))
        .collect();
        for to in self.manifest.rename_files.values() {
            templates.push((MANIFEST.to_owned(), to.clone()));
        }
        for exported in &self.host {
            if let ExportedKind::File {
                text: Some(text), ..
            } = &exported.what
                && goes_to_template(exported, &self.manifest)
                && let Ok(text) = std::str::from_utf8(text)
            {
                templates.push((format!("{HOSTFS}{}", exported.path), text.to_owned()));
            }
        }
        templates
    }
}

/// Whether a file of the host is a template, as far as that shows before names are rendered: a renamed one is when a
/// template has its last name.
fn goes_to_template(exported: &Exported, manifest: &Manifest) -> bool {
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let templates = &manifest.installed_files_template;
    let renames = manifest.rename_files.iter();
    let mut names = renames
        .filter_map(|(from, to)| below(&exported.path, from).map(|rest| format!("{to}{rest}")))
        .map(|to| last(&to));
    templates.contains(&exported.path)
        || names.any(|name| name.contains('$') || templates.iter().any(|it| last(it) == name))
}
