//! Where the files that an image exports go on the host. Pure; nothing here looks at the host.
//!
//! A path of the host is what an image may choose least: it comes out absolute, without `..`, and each one once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::document::HOSTFS;
use super::error::Error;
use super::exports::{Exported, ExportedKind, Exports};
use super::rendered::{HostContent, HostFile, HostFileKind};
use super::values::{Language, Values};

/// The longest path on the host, in bytes.
const PATH_BYTES_MAX: usize = 4095;

/// The part of `path` below `from`, with its leading `/`; empty when they are the same, `None` when it is elsewhere.
pub(crate) fn below<'a>(path: &'a str, from: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(from.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// `renameFiles` with its values rendered.
pub(crate) fn renames(
    exports: &Exports,
    values: &mut Values,
) -> Result<BTreeMap<String, String>, Error> {
    let mut renames = BTreeMap::new();
    for (from, to) in &exports.manifest.rename_files {
        let file = "exports/manifest.json";
        let to = values.render(file, to, Language::Path)?;
        let to = checked(&to)?;
        renames.insert(from.clone(), to);
    }
    Ok(renames)
}

/// The files for the host.
pub(crate) fn host_files(
    exports: &Exports,
    renames: &BTreeMap<String, String>,
    values: &mut Values,
) -> Result<Vec<HostFile>, Error> {
    let mut files: BTreeMap<String, HostFileKind> = BTreeMap::new();
    for exported in &exports.host {
        let Some((path, what)) = place(exported, exports, renames, values)? else {
            continue;
        };
        if files.contains_key(&path) {
            return Err(refused(&path, "two files of the image go there"));
        }
        files.insert(path, what);
    }
    // What is not a directory can have nothing below it.
    for path in files.keys() {
        let mut parent = path.as_str();
        while let Some((above, _)) = parent
            .rsplit_once('/')
            .filter(|(above, _)| !above.is_empty())
        {
            if files.contains_key(above) {
                return Err(refused(path, "another file of the image is in its way"));
            }
            parent = above;
        }
    }
    let files = files.into_iter().map(|(path, what)| HostFile {
        path: PathBuf::from(path),
        what,
    });
    Ok(files.collect())
}

/// Where an entry goes and what it is there; `None` for directories that others are in.
fn place(
    exported: &Exported,
    exports: &Exports,
    renames: &BTreeMap<String, String>,
    values: &mut Values,
) -> Result<Option<(String, HostFileKind)>, Error> {
    let path = checked(&renamed(&exported.path, renames))?;
    let source = format!("{HOSTFS}{}", exported.path);
    let what = match &exported.what {
        ExportedKind::Directory { empty: false, .. } => return Ok(None),
        ExportedKind::Directory { mode, .. } => HostFileKind::Directory { mode: *mode },
        ExportedKind::Link { target } => HostFileKind::Link {
            target: target.clone(),
        },
        ExportedKind::File { mode, text } => {
            let is_template = exports.manifest.installed_files_template.contains(&path);
            let content = match (is_template, text) {
                (true, Some(text)) => {
                    let text = std::str::from_utf8(text).map_err(|_| Error::Document {
                        file: source.clone(),
                        why: "it is a template and not UTF-8".to_owned(),
                    })?;
                    let text = values.render(&source, text, Language::Plain)?;
                    HostContent::Rendered(text.into_bytes())
                }
                _ => HostContent::Exported(PathBuf::from(source)),
            };
            HostFileKind::File {
                mode: *mode,
                content,
            }
        }
    };
    Ok(Some((path, what)))
}

/// The path after renaming: of all names that lead to it the longest counts.
fn renamed(path: &str, renames: &BTreeMap<String, String>) -> String {
    let found = renames
        .iter()
        .filter_map(|(from, to)| Some((from.trim_end_matches('/').len(), to, below(path, from)?)))
        .max_by_key(|(length, ..)| *length);
    match found {
        Some((_, to, rest)) => format!("{}{rest}", to.trim_end_matches('/')),
        None => path.to_owned(),
    }
}

/// The path in its plainest spelling. Fails when it is not one of the host that an image may name.
fn checked(path: &str) -> Result<String, Error> {
    let refuse = |why| Err(refused(path, why));
    if !path.starts_with('/') {
        return refuse("it is not absolute");
    }
    if path.len() > PATH_BYTES_MAX {
        return refuse("it is longer than 4095 bytes");
    }
    if path.chars().any(char::is_control) {
        return refuse("a control character is in it");
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return refuse("it leads upwards");
    }
    if parts.is_empty() {
        return refuse("it is the root directory");
    }
    Ok(format!("/{}", parts.join("/")))
}

fn refused(path: &str, why: &'static str) -> Error {
    Error::HostPath {
        path: path.to_owned(),
        why,
    }
}
