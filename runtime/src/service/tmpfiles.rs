//! What systemd-tmpfiles makes for a service: the image's own lines, else one for each directory that is missing. Pure.

use std::fmt::Write as _;

use super::config::Config;
use super::document::TMPFILES_TEMPLATE;
use super::error::Error;
use super::exports::Exports;
use super::values::{self, Language, Values};
use super::wanted::Wanted;

/// A directory that a generated configuration keeps a service's state in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateDirectory {
    pub(crate) path: String,
    pub(crate) mode: u32,
    /// Its owner; who installs, when there is none.
    pub(crate) owner: Option<(u32, u32)>,
    /// The directory that its first content comes from.
    pub(crate) content: Option<String>,
}

/// The lines; `None` when there is nothing to make.
pub(crate) fn tmpfiles(
    exports: &Exports,
    wanted: &Wanted<'_>,
    config: Option<&Config>,
    values: &mut Values,
) -> Result<Option<String>, Error> {
    if let Some(template) = &exports.tmpfiles {
        let text = values.render(TMPFILES_TEMPLATE, template, Language::Systemd)?;
        return Ok(Some(text).filter(|text| !text.trim().is_empty()));
    }
    let mut text = String::new();
    for path in config.iter().flat_map(|config| &config.missing) {
        let (uid, gid) = (wanted.uid, wanted.gid);
        let _ = writeln!(text, "d    {}   0700 {uid} {gid} - -", field(path)?);
    }
    for directory in config.iter().flat_map(|config| &config.state) {
        let (path, mode) = (field(&directory.path)?, directory.mode);
        let (uid, gid) = directory.owner.unwrap_or((wanted.uid, wanted.gid));
        let _ = match &directory.content {
            None => writeln!(text, "d    {path}   {mode:04o} {uid} {gid} - -"),
            Some(from) => {
                let from = field(from)?;
                writeln!(text, "C    {path}   {mode:04o} {uid} {gid} - {from}")
            }
        };
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A path as a field of a line.
fn field(path: &str) -> Result<String, Error> {
    let text = values::line(path).map_err(|why| Error::HostPath {
        path: path.to_owned(),
        why,
    })?;
    if text.contains(|c: char| c.is_whitespace() || "\"'\\".contains(c)) {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        return Ok(format!("\"{escaped}\""));
    }
    Ok(text)
}
