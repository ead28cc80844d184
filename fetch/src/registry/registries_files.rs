//! The files of `registries.conf`: found, read and merged as containers/image does it. A later file replaces whole entries
//! of an earlier one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::registries_conf::RegistriesConf;
use crate::error::{Error, Result};
use crate::limits::{REGISTRIES_CONF_BYTES_MAX, REGISTRIES_CONF_FILES_MAX};
use crate::transport::read_limited;

/// Where the configuration of registries lies.
#[derive(Debug, Clone, Default)]
pub struct RegistriesFiles {
    /// The file itself.
    pub file: Option<PathBuf>,
    /// Whether it has to be there, since the user named it.
    pub required: bool,
    /// Directories of `*.conf` files that are read after it, in this order, each by name. Those that are not there are
    /// passed over.
    pub drop_ins: Vec<PathBuf>,
}

impl RegistriesConf {
    /// Reads and merges all files.
    pub fn read(files: &RegistriesFiles) -> Result<Self> {
        let mut conf = Self::default();
        if let Some(path) = &files.file
            && let Some(text) = read(path, files.required)?
        {
            conf = Self::parse(&text, path)?;
        }
        let mut count = 0;
        for directory in &files.drop_ins {
            for path in drop_ins(directory)? {
                count += 1;
                if count > REGISTRIES_CONF_FILES_MAX {
                    let what = format!("directory {}", directory.display());
                    let limit = format!("{REGISTRIES_CONF_FILES_MAX} files");
                    return Err(Error::too_large(what, limit));
                }
                // one that was removed since it was listed is none
                if let Some(text) = read(&path, false)? {
                    conf.entries.extend(Self::parse(&text, &path)?.entries);
                }
            }
        }
        Ok(conf)
    }
}

fn read(path: &Path, required: bool) -> Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(None),
        other => other.map_err(Error::io("open", path))?,
    };
    let what = || path.display().to_string();
    let bytes = read_limited(file, REGISTRIES_CONF_BYTES_MAX, what)
        .map_err(|limited| limited.or(Error::io("read", path)))?;
    let text =
        String::from_utf8(bytes).map_err(|_| store::Error::malformed(what(), "it is not UTF-8"))?;
    Ok(Some(text))
}

/// The `*.conf` files of a directory, by name.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", directory))?,
    };
    let mut found = Vec::new();
    for entry in listed {
        let entry = entry.map_err(Error::io("list", directory))?;
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        if !is_directory && name.as_encoded_bytes().ends_with(b".conf") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_replace_whole_entries() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("write");
        for name in ["one", "one/d.conf", "two"] {
            std::fs::create_dir(at(name)).expect("mkdir");
        }
        let entry = |prefix: &str, more: &str| {
            format!("[[registry]]\nprefix = '{prefix}'\nlocation = '{prefix}'\n{more}\n")
        };
        let first = entry("a.x", "insecure = true") + &entry("b.x", "") + &entry("c.x", "");
        write(
            "main",
            &(first + "[[registry]]\nprefix = 'a.x'\nlocation = 'other.x'"),
        );
        write("one/2.conf", &entry("b.x", "blocked = true"));
        write("one/1.conf", &entry("b.x", "insecure = true"));
        write("one/3.ignored", &entry("a.x", "blocked = true"));
        write("two/0.conf", &entry("c.x", "blocked = true"));
        let mut files = RegistriesFiles {
            file: Some(at("main")),
            required: true,
            drop_ins: vec![at("one"), at("none"), at("two")],
        };
        let conf = RegistriesConf::read(&files).expect("readable");
        let find = |name: &str| conf.find(name).expect("an entry");
        let a = find("a.x/y");
        assert_eq!(
            (a.insecure, a.location.as_deref()),
            (true, Some("a.x")),
            "the first counts"
        );
        let b = find("b.x/y");
        assert_eq!(
            (b.insecure, b.blocked, &b.file),
            (false, true, &at("one/2.conf"))
        );
        assert!(find("c.x/y").blocked);

        files.file = Some(at("gone"));
        let error = RegistriesConf::read(&files)
            .expect_err("it is not there")
            .to_string();
        assert_eq!(error, format!("cannot open {}", at("gone").display()));
        files.required = false;
        assert!(
            RegistriesConf::read(&files)
                .expect("readable")
                .find("a.x/y")
                .is_none()
        );
        write("one/1.conf", "[registries.search]\nregistries = ['x']");
        let error = RegistriesConf::read(&files)
            .expect_err("version 1")
            .to_string();
        assert!(
            error.starts_with(&format!("{}, line 2, ", at("one/1.conf").display())),
            "{error}"
        );
    }

    #[test]
    fn sizes_and_counts_have_limits() {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        let length = usize::try_from(REGISTRIES_CONF_BYTES_MAX).expect("fits");
        let mut files = RegistriesFiles {
            file: Some(at("main")),
            ..RegistriesFiles::default()
        };
        for (length, ok) in [(length, true), (length + 1, false)] {
            std::fs::write(at("main"), "#".repeat(length)).expect("write");
            assert_eq!(RegistriesConf::read(&files).is_ok(), ok, "{length}");
        }
        files = RegistriesFiles {
            drop_ins: vec![directory.path().to_owned()],
            ..RegistriesFiles::default()
        };
        for number in 0..=REGISTRIES_CONF_FILES_MAX {
            assert!(RegistriesConf::read(&files).is_ok(), "{number}");
            std::fs::write(at(&format!("{number}.conf")), "").expect("write");
        }
        let error = RegistriesConf::read(&files)
            .expect_err("too many")
            .to_string();
        assert!(error.contains("256 files"), "{error}");
    }
}
