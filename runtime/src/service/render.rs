//! Renders a service: all of its documents at once, so that what is wrong shows before anything is touched. Pure.

use store::oci::Healthcheck;

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
    said.extend(wanted.quadlet.iter().flat_map(|it| it.said.iter().cloned()));
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
            wanted.scope,
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
        health: config.as_ref().and_then(|_| health(wanted)),
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

/// The image's health check, with what a quadlet puts in its place.
fn health(wanted: &Wanted<'_>) -> Option<Healthcheck> {
    let image = wanted.config.and_then(|config| config.healthcheck.clone());
    let mut check = image.unwrap_or_default();
    if let Some(asked) = wanted.quadlet.map(|quadlet| &quadlet.settings.health) {
        if asked.off {
            return None;
        }
        let time = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        check = Healthcheck {
            test: asked.test.clone().or(check.test),
            interval: asked.interval.map(time).or(check.interval),
            timeout: asked.timeout.map(time).or(check.timeout),
            start_period: asked.start_period.map(time).or(check.start_period),
            retries: asked.retries.map(i64::from).or(check.retries),
        };
    }
    let kind = check.test.as_ref().and_then(|test| test.first());
    let asks = kind.is_some_and(|kind| kind != "NONE");
    asks.then_some(check)
}
