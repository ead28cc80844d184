//! What a service is called: its unit, its container and its directories have the same name. Pure.

use std::fmt;

use super::error::Error;

/// The longest name, in bytes: every file that is named after a service has to fit into the 255 bytes of a file name.
const NAME_BYTES_MAX: usize = 200;

/// The name of a service: letters, digits and `_.-`, beginning with a letter or digit.
///
/// That is what unit names, container ids of the runtime and file names have in common. `@` is not: systemd reads an
/// instance of a template in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

impl ServiceName {
    /// Takes a name as it was given.
    pub fn new(name: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            Err(Error::Name {
                name: name.chars().take(NAME_BYTES_MAX).collect(),
                why: why.to_owned(),
            })
        };
        if name.is_empty() {
            return refuse("it is empty");
        }
        if name.len() > NAME_BYTES_MAX {
            return refuse(&format!("it has more than {NAME_BYTES_MAX} bytes"));
        }
        if name.contains('@') {
            return refuse("@ is for instances of a unit template, which services are not");
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !name.chars().all(valid) {
            return refuse("the name of a unit has letters, digits and _.- only");
        }
        if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return refuse("it begins with neither a letter nor a digit");
        }
        if name.ends_with(".service") {
            return refuse("it is named without .service");
        }
        Ok(Self(name.to_owned()))
    }

    /// The name that a service has unless it is given one: the last part of the image's name, with `-TAG` for any tag but
    /// `latest`; a digest does not count.
    pub fn of_image(image: &str) -> Result<Self, Error> {
        let name = image.split('@').next().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or_default();
        match last.split_once(':') {
            None | Some((_, "" | "latest")) => {
                Self::new(last.split(':').next().unwrap_or_default())
            }
            Some((name, tag)) => Self::new(&format!("{name}-{tag}")),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its unit, `NAME.service`.
    pub fn unit(&self) -> String {
        format!("{}.service", self.0)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_name_services() {
        for (image, name) in [
            ("etcd", "etcd"),
            ("docker.io/library/etcd:latest", "etcd"),
            ("localhost:5000/a/b-c:v1.0", "b-c-v1.0"),
            ("localhost:5000/a/b@sha256:0123", "b"),
            ("a/b:2@sha256:0123", "b-2"),
        ] {
            assert_eq!(ServiceName::of_image(image).expect(image).as_str(), name);
        }
    }

    #[test]
    fn what_is_no_unit_name_is_refused() {
        let long = "a".repeat(201);
        for (name, why) in [
            ("", "it is empty"),
            (&*long, "it has more than 200 bytes"),
            (
                "a@b",
                "@ is for instances of a unit template, which services are not",
            ),
            ("a/b", "the name of a unit has letters, digits and _.- only"),
            ("a b", "the name of a unit has letters, digits and _.- only"),
            (
                "a\nb",
                "the name of a unit has letters, digits and _.- only",
            ),
            ("é", "the name of a unit has letters, digits and _.- only"),
            ("..", "it begins with neither a letter nor a digit"),
            ("-a", "it begins with neither a letter nor a digit"),
            (".berth", "it begins with neither a letter nor a digit"),
            ("a.service", "it is named without .service"),
        ] {
            let error = ServiceName::new(name).expect_err(name).to_string();
            let shown: String = name.chars().take(200).collect();
            assert_eq!(error, format!("cannot name a service {shown:?}: {why}"));
        }
        assert!(ServiceName::new(&"a".repeat(200)).is_ok());
    }
}
