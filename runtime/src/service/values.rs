//! The values of a service's variables, and how they are put into a document. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Error;
use super::template::Template;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The host, or berth itself.
    Host,
    /// The caller.
    Set,
    /// The image's own default.
    Image,
}

/// What a document is, and so what a value in it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// Values stand as they are; whoever reads the document checks it.
    Plain,
    /// systemd's: lines, with `%` for specifiers. What the caller set stays in its line and means what it says; an image
    /// may write into its own unit what it likes, so also in its defaults.
    Systemd,
    /// A path: no control characters.
    Path,
}

/// Every variable that has a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    all: BTreeMap<String, (String, Origin)>,
    used: BTreeSet<String>,
}

impl Values {
    /// Gives `name` a value unless it has one.
    pub(crate) fn fill(&mut self, name: &str, value: impl Into<String>, origin: Origin) {
        self.all
            .entry(name.to_owned())
            .or_insert_with(|| (value.into(), origin));
    }

    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all.get(name).map(|(value, _)| value.as_str())
    }

    /// Renders the text of `file`, which errors name.
    pub(crate) fn render(
        &mut self,
        file: &str,
        text: &str,
        language: Language,
    ) -> Result<String, Error> {
        let template = Template::parse(file, text)?;
        template.render(&mut |name| {
            self.used.insert(name.to_owned());
            let Some((value, origin)) = self.all.get(name) else {
                return Ok(None);
            };
            let refuse = |why| Error::Value {
                name: name.to_owned(),
                file: file.to_owned(),
                why,
            };
            match language {
                Language::Plain => Ok(Some(value.clone())),
                Language::Systemd if *origin == Origin::Image => Ok(Some(value.clone())),
                Language::Systemd => line(value).map(Some).map_err(refuse),
                Language::Path if value.chars().any(char::is_control) => {
                    Err(refuse("a control character is in it"))
                }
                Language::Path => Ok(Some(value.clone())),
            }
        })
    }

    /// The names of those that the caller set and nothing rendered so far has.
    pub(crate) fn unused(&self) -> Vec<&str> {
        self.all
            .iter()
            .filter(|(name, (_, origin))| *origin == Origin::Set && !self.used.contains(*name))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// All of them.
    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        let pairs = self.all.into_iter();
        pairs.map(|(name, (value, _))| (name, value)).collect()
    }
}

/// A value that systemd reads as itself within one line.
pub(crate) fn line(value: &str) -> Result<String, &'static str> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err("a line break or another control character is in it");
    }
    if value.ends_with('\\') {
        return Err("a backslash at its end would continue the line");
    }
    Ok(value.replace('%', "%%"))
}
