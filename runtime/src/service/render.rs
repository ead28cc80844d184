//! Renders a service: all of its documents at once, so that what is wrong shows before anything is touched. Pure.

use super::exports::Exports;
use super::host_plan;
use super::rendered::Rendered;
use super::values::Values;
use super::variables::{self, FORCED};
use super::wanted::{Scope, Wanted};
use super::{config, document, tmpfiles, unit};
use crate::error::Result;

/// Renders what `exports` hands out for the service that is wanted. Fails on whatever would make the deployment useless.
pub fn render(exports: &Exports, wanted: &Wanted<'_>) -> Result<Rendered> {
    let none;
    let exports = match wanted.quadlet {
        Some(_) => {
            none = exports.clone().without_exports();
            &none
        }
        None => exports,
    };
    let mut said = Vec::new();
    for name in wanted
        .set
        .keys()
        .filter(|name| FORCED.contains(&name.as_str()))
    {
        said.push(format!("{name} cannot be set: berth gives it a value"));
    }
    let unit_template = unit::template(exports, wanted);
    let mut values = variables::values(exports, wanted, &unit_template)?;
    let has_service = !exports.manifest.no_container_service;
    let config = match has_service {
        true => Some(config::config(exports, wanted, &mut values, &mut said)?),
        false => None,
    };
    let unit = match &config {
        Some(config) => Some(unit::unit(
            exports,
            &unit_template,
            &config.document,
            &mut values,
            &mut said,
        )?),
        None => None,
    };
    let tmpfiles = tmpfiles::tmpfiles(exports, wanted, config.as_ref(), &mut values)?;
    let renames = host_plan::renames(exports, &mut values)?;
    let host_files = host_files(exports, wanted, &renames, &mut values, &mut said)?;
    for name in values.unused() {
        said.push(format!("no template of the image has the variable {name}"));
    }
    Ok(Rendered {
        config: config.map(|config| config.text),
        unit,
        tmpfiles,
        host_files,
        renames,
        templates: exports.manifest.installed_files_template.clone(),
        use_links: exports.manifest.use_links,
        values: values.into_map(),
        said,
    })
}

/// The files for the host: those of root's services. A user's have none, but what is wrong with them is told all the same.
fn host_files(
    exports: &Exports,
    wanted: &Wanted<'_>,
    renames: &std::collections::BTreeMap<String, String>,
    values: &mut Values,
    said: &mut Vec<String>,
) -> Result<Vec<super::rendered::HostFile>> {
    let files = host_plan::host_files(exports, renames, values)?;
    if wanted.scope == Scope::User && !files.is_empty() {
        said.push(format!(
            "{} of the image are not installed: a user's service puts nothing on the host",
            document::HOSTFS
        ));
        return Ok(Vec::new());
    }
    Ok(files)
}
