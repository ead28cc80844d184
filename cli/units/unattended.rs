//! What may be updated while nobody looks: an image that somebody has vouched for, by its digest or by a signature.
//!
//! A service's image writes units and files of the host, as root for root. A tag alone is whatever its registry says
//! tomorrow.

use std::path::Path;

use fetch::Source;

use crate::report::Failure;

/// Refuses to update the service `name` from `source` without anybody looking, unless the source names a digest or
/// `policy` wants its signature.
pub(crate) fn check(name: &str, source: &str, policy: Option<&Path>) -> Result<(), Failure> {
    let parsed: Source = source.parse().map_err(Failure::new)?;
    if fetch::is_held(policy, &parsed)? {
        return Ok(());
    }
    let why = match policy {
        None => "no signature policy is there".to_owned(),
        Some(path) => format!("{} accepts it unsigned", path.display()),
    };
    Err(Failure::new(format!(
        "cannot update {name} unattended: {source} has no digest, and {why}"
    ))
    .hint("have its signature asked for in policy.json, or name it as NAME@sha256:…"))
}
