//! Refs of other repositories, as stock ostree's `pull` and `pull-local` keep them: `refs/remotes/REMOTE/NAME`, spelled
//! `REMOTE:NAME`. A remote is one component.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::name::RefName;
use crate::repo::Repo;
use crate::roots::roots;

/// A ref, local or of a remote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefSpec {
    /// The remote; `None` for a local ref.
    pub remote: Option<String>,
    /// The ref's name there.
    pub name: RefName,
}

impl RefSpec {
    /// Its path below `refs`.
    pub(crate) fn path(&self) -> String {
        match &self.remote {
            Some(remote) => format!("remotes/{remote}/{}", self.name),
            None => format!("heads/{}", self.name),
        }
    }

    fn from_path(path: &str) -> Option<Self> {
        let (remote, name) = path.strip_prefix("remotes/")?.split_once('/')?;
        Some(Self {
            remote: Some(remote.to_owned()),
            name: RefName::new(name).ok()?,
        })
    }
}

impl FromStr for RefSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((remote, name)) = text.split_once(':') else {
            let name = RefName::new(text)?;
            return Ok(Self { remote: None, name });
        };
        let name = RefName::new(name)?;
        if remote.contains('/') || RefName::new(remote).is_err() {
            return Err(Error::malformed(
                format!("remote {:?}", remote.chars().take(80).collect::<String>()),
                "expected letters, digits, `-`, `.` and `_`",
            ));
        }
        let remote = Some(remote.to_owned());
        Ok(Self { remote, name })
    }
}

impl fmt::Display for RefSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remote {
            Some(remote) => write!(f, "{remote}:{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// All refs of remotes, sorted by remote and name.
pub fn remote_refs(repo: &Repo) -> Result<Vec<(RefSpec, ObjectId)>> {
    let mut refs: Vec<_> = roots(repo)?
        .into_iter()
        .filter_map(|root| Some((RefSpec::from_path(&root.path)?, root.commit)))
        .collect();
    refs.sort();
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_round_trip() {
        for (text, path) in [
            ("a/b", "heads/a/b"),
            ("origin:a/b", "remotes/origin/a/b"),
            ("o.r-g:x", "remotes/o.r-g/x"),
        ] {
            let spec: RefSpec = text.parse().expect(text);
            assert_eq!(
                (spec.to_string().as_str(), spec.path().as_str()),
                (text, path)
            );
        }
        assert_eq!(
            RefSpec::from_path("remotes/origin/a/b"),
            "origin:a/b".parse().ok()
        );
        for bad in [":a", "a:", "a/b:c", "..:a", "a:../b", "a:b:c", ""] {
            assert!(bad.parse::<RefSpec>().is_err(), "{bad:?}");
        }
    }
}
