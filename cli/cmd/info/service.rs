//! A service, as `info` shows it.

use std::collections::BTreeMap;

use runtime::service::{Service, ServiceName};
use serde::Serialize;

use crate::report::{Failure, out, printable};
use crate::services;

/// What is known of an installed service.
#[derive(Serialize)]
pub(super) struct ServiceInfo {
    name: String,
    image: String,
    revision: String,
    digest: Option<String>,
    deployment: String,
    /// How many deployments there are.
    deployments: usize,
    created: u64,
    runtime: Option<String>,
    remote: Option<String>,
    /// Every variable of its templates.
    values: BTreeMap<String, String>,
    /// Those that the user set; `None` where nobody knows.
    set: Option<BTreeMap<String, String>>,
    installed_files: Vec<String>,
    /// Whether it was up and well once.
    good: bool,
    /// Why it was given up.
    failed: Option<String>,
}

/// The service of this name, when there is one.
pub(super) fn find(name: &str) -> Result<Option<ServiceInfo>, Failure> {
    let Ok(name) = ServiceName::new(name) else {
        return Ok(None);
    };
    let Some(service) = Service::find(&services::places()?, &name)? else {
        return Ok(None);
    };
    let current = service.current()?;
    let info = &current.info;
    let shown = |path: &std::path::Path| path.display().to_string();
    Ok(Some(ServiceInfo {
        name: name.to_string(),
        image: info.image.clone(),
        revision: info.revision.clone(),
        digest: info.digest.clone(),
        deployment: shown(&current.dir),
        deployments: service.deployments.len(),
        created: info.created,
        runtime: info.runtime.clone(),
        remote: info.remote.as_deref().map(shown),
        values: info.values.clone(),
        set: info.set.clone(),
        installed_files: info
            .installed_files
            .iter()
            .map(|it| shown(&it.path))
            .collect(),
        good: info.good,
        failed: info.failed.clone(),
    }))
}

/// How many services are installed.
pub(super) fn count() -> Result<usize, Failure> {
    Ok(Service::all(&services::places()?)?.len())
}

/// Prints it, a fact a line.
pub(super) fn print(info: &ServiceInfo) -> Result<(), Failure> {
    let line = |what: &str, value: &str| out!("{what}: {}", printable(value));
    line("Service Name", &info.name)?;
    line("Image Name", &info.image)?;
    line("Revision", &info.revision)?;
    out!(
        "Deployment: {} (of {})",
        printable(&info.deployment),
        info.deployments
    )?;
    if let Some(runtime) = &info.runtime {
        line("Runtime", runtime)?;
    }
    if let Some(remote) = &info.remote {
        line("Remote", remote)?;
    }
    match (&info.failed, info.good) {
        (Some(why), _) => line("Health", &format!("given up: {why}"))?,
        (None, true) => line("Health", "it has been up and well")?,
        (None, false) => line("Health", "it has not been up yet")?,
    }
    if !info.values.is_empty() {
        out!("\nTemplate variables:")?;
    }
    let is_set = |name: &str| info.set.as_ref().is_some_and(|set| set.contains_key(name));
    for (name, value) in &info.values {
        let mark = if is_set(name) { " (set)" } else { "" };
        out!("{}: {}{mark}", printable(name), printable(value))?;
    }
    if !info.installed_files.is_empty() {
        out!("\nInstalled files:")?;
    }
    info.installed_files
        .iter()
        .try_for_each(|path| out!("{}", printable(path)))
}
