//! Which images may come here, as containers-policy.json(5) says it.
//!
//! The requirements of the narrowest scope that fits an image count, and all of them must hold. `reject`,
//! `insecureAcceptAnything` and `sigstoreSigned` with a public key are understood; whatever else a scope asks for cannot
//! be checked here, and so refuses the image. Requirements are looked at only when their scope is the one that counts:
//! what is asked of other registries is nobody's trouble.

mod identity;
mod key;
mod scope;
mod sigstore;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use store::Digest;

use self::scope::Scope;
use self::sigstore::SigstoreSigned;
use crate::error::{Error, Result};
use crate::file;
use crate::limits::POLICY_BYTES_MAX;
use crate::source::{Pick, Source};
use crate::transport::{SourceOptions, Transport, read_limited};

/// The requirements of each scope.
#[derive(Debug)]
struct Policy {
    path: PathBuf,
    file: PolicyFile,
}

type Requirements = Vec<Requirement>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    default: Requirements,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Requirements>>,
}

/// One requirement: its type, and what else it says.
#[derive(Debug, Deserialize)]
struct Requirement {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Policy {
    /// Reads a policy.
    fn read(path: &Path) -> Result<Self> {
        let file = file::open(path)?;
        let what = || format!("policy {}", path.display());
        let bytes = read_limited(file, POLICY_BYTES_MAX, what)
            .map_err(|limited| limited.or(Error::io("read", path)))?;
        Ok(Self {
            path: path.to_owned(),
            file: parse(&bytes).map_err(|why| store::Error::malformed(what(), why))?,
        })
    }

    /// Without a transport there is nobody who could have a signature.
    fn check(
        &self,
        source: &Source,
        transport: Option<&dyn Transport>,
        digests: &[Digest],
    ) -> Result<()> {
        let refused = |why: String| Error::Policy {
            path: self.path.clone(),
            why,
        };
        let scope = Scope::of(source);
        let requirements = self.requirements(&scope);
        if requirements.is_empty() {
            return Err(refused("it asks for nothing, not even to accept".into()));
        }
        for requirement in requirements {
            let rest = &requirement.rest;
            match requirement.kind.as_str() {
                "insecureAcceptAnything" if rest.is_empty() => {}
                "reject" if rest.is_empty() => return Err(refused("it rejects the image".into())),
                "sigstoreSigned" => SigstoreSigned::read(rest)
                    .map_err(refused)?
                    .check(scope.reference.as_ref(), transport, digests)?
                    .map_err(refused)?,
                other => {
                    let other: String = other.chars().filter(|c| !c.is_control()).collect();
                    return Err(refused(format!(
                        "it asks for {other}, which berth cannot check"
                    )));
                }
            }
        }
        Ok(())
    }

    fn requirements(&self, scope: &Scope) -> &[Requirement] {
        let named = self.file.transports.get(scope.transport);
        let found = named.and_then(|scopes| {
            let names = scope.names.iter().map(String::as_str).chain([""]);
            names.into_iter().find_map(|name| scopes.get(name))
        });
        found.unwrap_or(&self.file.default)
    }
}

/// Refuses an image that the policy of `options` does not let come here, if there is one. `digests` are those of its
/// manifest and of what its name led to: a signature of either will do, since the one names the other by its digest.
pub(crate) fn hold(
    options: &SourceOptions,
    source: &Source,
    transport: &dyn Transport,
    digests: &[Digest],
) -> Result<()> {
    match &options.policy {
        Some(path) => Policy::read(path)?.check(source, Some(transport), digests),
        None => Ok(()),
    }
}

/// Whether somebody vouches for an image of `source`: by the digest in its name, or by the requirements that `policy` has for
/// it, where they are more than to accept.
pub fn is_held(policy: Option<&Path>, source: &Source) -> Result<bool> {
    if let Source::Registry(reference) = source
        && reference.digest.is_some()
    {
        return Ok(true);
    }
    let Some(path) = policy else {
        return Ok(false);
    };
    let policy = Policy::read(path)?;
    let asked = policy.requirements(&Scope::of(source));
    Ok(asked.iter().any(|it| it.kind != "insecureAcceptAnything"))
}

/// Refuses a bundle ([`store::read_bundle`]) where the policy of `options` does not let an archive come here that is not
/// signed: a bundle has no place for signatures.
pub fn hold_bundle(options: &SourceOptions) -> Result<()> {
    let Some(path) = &options.policy else {
        return Ok(());
    };
    // An archive's path is no scope, so it does not matter.
    let archive = Source::DockerArchive {
        path: PathBuf::new(),
        pick: Pick::Only,
    };
    let policy = Policy::read(path);
    let held = policy.and_then(|policy| policy.check(&archive, None, &[]));
    held.map_err(|error| Error::Source {
        verb: "load",
        name: "the bundle".into(),
        source: Box::new(error),
    })
}

/// Reads the text of a policy; the error says what is wrong with it.
fn parse(bytes: &[u8]) -> Result<PolicyFile, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, String> {
        Ok(Policy {
            path: "policy.json".into(),
            file: parse(text.as_bytes())?,
        })
    }

    #[test]
    fn the_narrowest_scope_counts() {
        let kind = |name: &str| format!(r#"[{{"type":"{name}"}}]"#);
        let text = format!(
            r#"{{"default":{},"transports":{{"docker":{{"h.x":{},"h.x/a":{},"h.x/a/b:1":{},"*.y":{},"":{}}},"dir":{{"/srv":{}}}}}}}"#,
            kind("default"),
            kind("host"),
            kind("namespace"),
            kind("tag"),
            kind("wild"),
            kind("docker"),
            kind("srv"),
        );
        let policy = policy(&text).expect("valid");
        for (source, expected) in [
            ("h.x/a/b:1", "tag"),
            ("h.x/a/b:2", "namespace"),
            ("h.x/a/b/c", "namespace"),
            ("h.x/ab", "host"),
            ("h.x:5000/a", "docker"),
            ("q.y/a", "wild"),
            ("z.q.y/a", "wild"),
            ("redis", "docker"),
            ("dir:/srv/deep/er", "srv"),
            ("dir:/srvx", "default"),
            ("oci:/srv/x", "default"),
            ("docker-archive:/srv/x", "default"),
        ] {
            let scope = Scope::of(&source.parse().expect(source));
            let found = policy.requirements(&scope);
            assert_eq!(
                found.first().map(|it| it.kind.as_str()),
                Some(expected),
                "{source}"
            );
        }
    }

    #[test]
    fn a_policy_that_is_none_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"default":{}}"#,
            r#"{"default":[{}]}"#,
            r#"{"default":[],"transport":{}}"#,
            r#"{"default":[],"transports":{"docker":[]}}"#,
        ] {
            assert!(policy(text).is_err(), "{text}");
        }
    }
}
