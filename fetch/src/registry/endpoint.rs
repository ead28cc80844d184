//! Where a name really leads: the places that `registries.conf` gives for it, in the order in which they are tried.
//!
//! Pure. Mirrors come first, in the order of the file, and the place itself comes last. Only reading goes to mirrors and
//! to other locations; whatever changes a registry, or lists it, is about the registry that the user named.

use std::path::PathBuf;

use store::Reference;

use super::registries_conf::{Entry, Pulls, RegistriesConf};
use crate::error::{Error, Result};

/// One place that may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The image's name there.
    pub(crate) reference: Reference,
    /// Whether any certificate will do, and plain HTTP too.
    pub(crate) insecure: bool,
    /// The prefix by which it is blocked, and the file that says so.
    pub(crate) blocked: Option<(String, PathBuf)>,
}

impl Endpoint {
    /// The name without tag and digest, as `registries.conf` knows it.
    pub(crate) fn name(&self) -> String {
        name(&self.reference)
    }

    /// Refuses a place that is blocked.
    pub(crate) fn allowed(&self) -> Result<()> {
        match &self.blocked {
            None => Ok(()),
            Some((prefix, file)) => Err(Error::Blocked {
                prefix: prefix.clone(),
                file: file.clone(),
            }),
        }
    }
}

impl RegistriesConf {
    /// The places to read `reference` from, best first. There is at least one.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Result<Vec<Endpoint>> {
        let name = name(reference);
        let Some(entry) = self.find(&name) else {
            return Ok(vec![self.itself(reference)]);
        };
        let rest = entry.rest_of(&name).unwrap_or_default();
        let mut places = Vec::new();
        for mirror in &entry.mirrors {
            let wanted = match mirror.pulls {
                Pulls::All => true,
                Pulls::ByDigest => reference.digest.is_some(),
                Pulls::ByTag => reference.digest.is_none(),
            };
            if wanted {
                let reference = entry.moved(reference, &mirror.location, rest)?;
                places.push(self.place(reference, mirror.insecure));
            }
        }
        let primary = match &entry.location {
            Some(location) => entry.moved(reference, location, rest)?,
            None => reference.clone(),
        };
        let mut primary = self.place(primary, entry.insecure);
        if entry.blocked {
            primary.blocked = Some((entry.prefix.clone(), entry.file.clone()));
        }
        places.push(primary);
        Ok(places)
    }

    /// The place that `reference` names, wherever its images are read from.
    pub(crate) fn itself(&self, reference: &Reference) -> Endpoint {
        let insecure = self
            .find(&name(reference))
            .is_some_and(|entry| entry.insecure);
        self.place(reference.clone(), insecure)
    }

    /// A place; it may be blocked under its own name too.
    fn place(&self, reference: Reference, insecure: bool) -> Endpoint {
        let blocked = self
            .find(&name(&reference))
            .filter(|entry| entry.blocked)
            .map(|entry| (entry.prefix.clone(), entry.file.clone()));
        Endpoint {
            reference,
            insecure,
            blocked,
        }
    }
}

impl Entry {
    /// `reference` with `location` in the place of the prefix.
    fn moved(&self, reference: &Reference, location: &str, rest: &str) -> Result<Reference> {
        let text = format!("{location}{rest}");
        match text.parse::<Reference>() {
            Ok(moved) if name(&moved) == text => Ok(Reference {
                tag: reference.tag.clone(),
                digest: reference.digest,
                ..moved
            }),
            _ => Err(store::Error::malformed(
                self.file.display().to_string(),
                format!(
                    "location {location:?} makes {text:?} of {}, which is no HOST/NAME",
                    name(reference)
                ),
            )
            .into()),
        }
    }
}

fn name(reference: &Reference) -> String {
    format!("{}/{}", reference.host, reference.repository)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CONF: &str = r#"
        [[registry]]
        prefix = "a.x"
        location = "a.x"
        insecure = true
        [[registry.mirror]]
        location = "m1.x:5000/cache"
        [[registry.mirror]]
        location = "m2.x"
        insecure = true
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "m3.x"
        pull-from-mirror = "tag-only"

        [[registry]]
        prefix = "a.x/moved"
        location = "b.x/to/here"

        [[registry]]
        prefix = "a.x/moved/away"
        location = "c.x"
        blocked = true
        [[registry.mirror]]
        location = "m1.x"

        [[registry]]
        prefix = "*.wild.x"
        insecure = true
        [[registry.mirror]]
        location = "blocked.x/w"

        [[registry]]
        prefix = "one.wild.x/deep"
        location = "two.x"

        [[registry]]
        location = "blocked.x"
        blocked = true

        [[registry]]
        prefix = "pinned.x"
        location = "pinned.x"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "m1.x"

        [[registry]]
        prefix = "docker.io/library"
        location = "hub.x/library"

        [[registry]]
        prefix = "broken.x"
        location = "nohost/y"
    "#;

    fn conf() -> RegistriesConf {
        RegistriesConf::parse(CONF, Path::new("/c/r.conf")).expect("valid")
    }

    /// `PLACE!` for an insecure one, `PLACE#` for a blocked one.
    fn places(name: &str) -> Vec<String> {
        let reference = name.parse().expect(name);
        let places = conf().endpoints(&reference).expect(name);
        let shown = places.into_iter().map(|place| {
            let insecure = if place.insecure { "!" } else { "" };
            let blocked = if place.blocked.is_some() { "#" } else { "" };
            format!("{}{insecure}{blocked}", place.reference)
        });
        shown.collect()
    }

    #[test]
    fn the_longest_prefix_says_where_to_look() {
        let digest = format!("sha256:{:064}", 1);
        let at = |text: &str| format!("{text}@{digest}");
        let table = [
            ("other.x/y".into(), vec!["other.x/y:latest".to_owned()]),
            (
                "a.x/y:1".into(),
                vec![
                    "m1.x:5000/cache/y:1".into(),
                    "m3.x/y:1".into(),
                    "a.x/y:1!".into(),
                ],
            ),
            (
                at("a.x/y"),
                vec![
                    at("m1.x:5000/cache/y"),
                    at("m2.x/y") + "!",
                    at("a.x/y") + "!",
                ],
            ),
            ("a.xy/y".into(), vec!["a.xy/y:latest".into()]),
            // as in containers/image, any port fits
            ("a.x:5000/moved".into(), vec![]),
            ("a.x/moved/y:1".into(), vec!["b.x/to/here/y:1".into()]),
            ("a.x/moved".into(), vec!["b.x/to/here:latest".into()]),
            (
                "a.x/moved/away/y".into(),
                vec!["m1.x/y:latest".into(), "c.x/y:latest#".into()],
            ),
            (
                "one.wild.x/y".into(),
                vec![
                    "blocked.x/w/y:latest#".into(),
                    "one.wild.x/y:latest!".into(),
                ],
            ),
            (
                "a.b.wild.x/y".into(),
                vec![
                    "blocked.x/w/y:latest#".into(),
                    "a.b.wild.x/y:latest!".into(),
                ],
            ),
            ("wild.x/y".into(), vec!["wild.x/y:latest".into()]),
            (
                "h.x/one.wild.x/y".into(),
                vec!["h.x/one.wild.x/y:latest".into()],
            ),
            ("one.wild.x/deep/y".into(), vec!["two.x/y:latest".into()]),
            ("blocked.x/y".into(), vec!["blocked.x/y:latest#".into()]),
            ("pinned.x/y:1".into(), vec!["pinned.x/y:1".into()]),
            (at("pinned.x/y"), vec![at("m1.x/y"), at("pinned.x/y")]),
            ("redis".into(), vec!["hub.x/library/redis:latest".into()]),
        ];
        for (name, expected) in table {
            if expected.is_empty() {
                let error = conf().endpoints(&name.parse().expect("reference"));
                assert!(
                    error.is_err(),
                    "m1.x:5000/cache:5000/moved is no name: {error:?}"
                );
                continue;
            }
            assert_eq!(places(&name), expected, "{name}");
        }
    }

    #[test]
    fn only_reading_is_led_elsewhere() {
        let itself = |name: &str| conf().itself(&name.parse().expect(name));
        assert_eq!(itself("a.x/moved/y").reference.host, "a.x");
        assert!(itself("a.x/y").insecure && !itself("b.x/y").insecure);
        assert!(itself("b.x/y").allowed().is_ok());
        let error = itself("blocked.x/y").allowed().expect_err("blocked");
        assert_eq!(
            error.to_string(),
            "registry blocked.x is blocked in /c/r.conf"
        );
    }

    #[test]
    fn a_location_that_makes_no_name_is_refused() {
        let reference = "broken.x/z".parse().expect("reference");
        let error = conf().endpoints(&reference).expect_err("no host");
        assert_eq!(
            error.to_string(),
            "/c/r.conf is malformed: location \"nohost/y\" makes \"nohost/y/z\" of broken.x/z, which is no HOST/NAME"
        );
    }
}
