//! Whether the name that a signature was made for is the image's: pure.

use serde::Deserialize;
use serde_json::Value;
use store::Reference;

/// What a policy says about the name in a signature.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Identity {
    /// The very same reference.
    #[serde(rename = "matchExact")]
    Exact,
    /// The same reference; for an image that is named by digest, the same repository.
    #[serde(rename = "matchRepoDigestOrExact")]
    RepoDigestOrExact,
    /// The same repository.
    #[serde(rename = "matchRepository")]
    Repository,
    /// This reference.
    #[serde(rename = "exactReference")]
    ExactReference {
        /// Which.
        #[serde(rename = "dockerReference")]
        reference: String,
    },
    /// This repository.
    #[serde(rename = "exactRepository")]
    ExactRepository {
        /// Which.
        #[serde(rename = "dockerRepository")]
        repository: String,
    },
    /// The same reference after its beginning was replaced.
    #[serde(rename = "remapIdentity")]
    Remap {
        /// What the image's name begins with.
        prefix: String,
        /// What the signature's has instead.
        #[serde(rename = "signedPrefix")]
        signed_prefix: String,
    },
}

impl Identity {
    /// Reads what a policy says.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        serde_json::from_value(value.clone())
            .map_err(|error| format!("its signedIdentity is not understood: {error}"))
    }

    /// Whether a signature for `signed` is one for `image`.
    pub(super) fn fits(&self, image: Option<&Reference>, signed: &str) -> bool {
        let Ok(signed) = signed.parse::<Named>() else {
            return false;
        };
        let image = image.map(Named::of);
        let same_repository = image
            .as_ref()
            .is_some_and(|it| it.repository == signed.repository);
        match self {
            Self::Exact => image
                .as_ref()
                .is_some_and(|it| it.is_exact() && *it == signed),
            Self::Repository => same_repository,
            Self::RepoDigestOrExact => match &image {
                Some(it) if it.digest => same_repository,
                Some(it) => *it == signed,
                None => false,
            },
            Self::ExactReference { reference } => reference
                .parse::<Named>()
                .is_ok_and(|it| it.is_exact() && it == signed),
            Self::ExactRepository { repository } => repository
                .parse::<Named>()
                .is_ok_and(|it| it.tag.is_none() && it.repository == signed.repository),
            Self::Remap {
                prefix,
                signed_prefix,
            } => image.is_some_and(|it| {
                let it = it.remapped(prefix, signed_prefix);
                if it.digest {
                    it.repository == signed.repository
                } else {
                    it == signed
                }
            }),
        }
    }
}

/// A reference as signatures hold it: a missing tag stays missing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    repository: String,
    tag: Option<String>,
    digest: bool,
}

impl Named {
    fn of(reference: &Reference) -> Self {
        Self {
            repository: format!("{}/{}", reference.host, reference.repository),
            tag: match reference.digest {
                Some(digest) => Some(digest.to_string()),
                None => reference.tag.clone(),
            },
            digest: reference.digest.is_some(),
        }
    }

    fn is_exact(&self) -> bool {
        self.tag.is_some()
    }

    fn remapped(mut self, prefix: &str, signed_prefix: &str) -> Self {
        let rest = self.repository.strip_prefix(prefix);
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            self.repository = format!("{signed_prefix}{rest}");
        }
        self
    }
}

impl std::str::FromStr for Named {
    type Err = store::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut named = Self::of(&text.parse::<Reference>()?);
        let last = text.rsplit('/').next().unwrap_or_default();
        if !last.contains([':', '@']) {
            named.tag = None;
        }
        Ok(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_signatures_are_judged() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let by_digest = format!("h.x/a@{digest}");
        let exact = r#"{"type":"matchExact"}"#;
        let default = r#"{"type":"matchRepoDigestOrExact"}"#;
        let repository = r#"{"type":"matchRepository"}"#;
        let this = r#"{"type":"exactReference","dockerReference":"h.x/other:1"}"#;
        let this_repository = r#"{"type":"exactRepository","dockerRepository":"h.x/other"}"#;
        let remap = r#"{"type":"remapIdentity","prefix":"h.x","signedPrefix":"vendor.x/up"}"#;
        for (rule, image, signed, expected) in [
            (exact, "h.x/a:1", "h.x/a:1", true),
            (exact, "h.x/a:1", "h.x/a:2", false),
            (exact, "h.x/a:1", "h.x/a", false),
            (exact, by_digest.as_str(), "h.x/a:1", false),
            (default, "h.x/a:1", "h.x/a:1", true),
            (default, "h.x/a:1", "h.x/a", false),
            (default, &by_digest, "h.x/a:2", true),
            (default, &by_digest, "h.x/b:2", false),
            (repository, "h.x/a:1", "h.x/a:2", true),
            (repository, "h.x/a:1", "h.x/a", true),
            (repository, "h.x/a:1", "h.y/a:1", false),
            (this, "h.x/a:1", "h.x/other:1", true),
            (this, "h.x/other:1", "h.x/a:1", false),
            (this_repository, "h.x/a:1", "h.x/other:7", true),
            (this_repository, "h.x/a:1", "h.x/a:1", false),
            (remap, "h.x/a:1", "vendor.x/up/a:1", true),
            (remap, "h.x/a:1", "h.x/a:1", false),
            (remap, "h.xy/a:1", "h.xy/a:1", true),
            (exact, "redis", "docker.io/library/redis:latest", true),
            (exact, "redis", "Not a reference", false),
        ] {
            let value = serde_json::from_str(rule).expect(rule);
            let identity = Identity::read(&value).expect(rule);
            let image: Reference = image.parse().expect(image);
            assert_eq!(
                identity.fits(Some(&image), signed),
                expected,
                "{rule} {image} {signed}"
            );
        }
        for rule in [
            r#"{"type":"matchAny"}"#,
            r#"{}"#,
            r#"{"type":"exactReference"}"#,
            r#""matchExact""#,
        ] {
            assert!(
                Identity::read(&serde_json::from_str(rule).expect(rule)).is_err(),
                "{rule}"
            );
        }
    }
}
