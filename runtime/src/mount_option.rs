//! `--mount` as podman and docker spell it. Pure: text in, values out.

use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::volume::{Tmpfs, Volume, VolumeOptions, VolumeSource, inside, volume_name};

/// One `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A file or directory of the host, or a volume.
    Volume(Volume),
    /// A file system in memory.
    Tmpfs(Tmpfs),
}

/// The pairs of a `--mount`, as far as all types have them.
#[derive(Default)]
struct Fields<'t> {
    kind: Option<&'t str>,
    source: Option<&'t str>,
    destination: Option<&'t str>,
    /// What is left, in words that `-v` and `--tmpfs` have too.
    words: Vec<String>,
}

impl FromStr for Mount {
    type Err = Error;

    /// Parses `type=bind|volume|tmpfs,KEY[=VALUE],…`; without a type it is a volume.
    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: String| Error::option("--mount", text, why);
        let fields = Fields::parse(text).map_err(fail)?;
        let destination = fields
            .destination
            .ok_or_else(|| fail("it has no destination".into()))?;
        let destination = inside("--mount", text, destination)?;
        let source = match (fields.kind.unwrap_or("volume"), fields.source) {
            ("bind", Some(path)) if !path.is_empty() => VolumeSource::Host(PathBuf::from(path)),
            ("bind", _) => return Err(fail("a bind mount needs a source".into())),
            ("volume", None | Some("")) => VolumeSource::Anonymous,
            ("volume", Some(name)) => VolumeSource::Named(volume_name(name).map_err(fail)?),
            ("tmpfs", Some(_)) => return Err(fail("a tmpfs has no source".into())),
            ("tmpfs", None) => return tmpfs(destination, &fields.words).map_err(fail),
            (other, _) => {
                return Err(fail(format!(
                    "type {other} is not supported: it is bind, volume or tmpfs"
                )));
            }
        };
        let mut options = VolumeOptions::default();
        for word in &fields.words {
            options.take(word).map_err(fail)?;
        }
        Ok(Self::Volume(Volume {
            source,
            destination,
            options,
        }))
    }
}

fn tmpfs(destination: PathBuf, words: &[String]) -> std::result::Result<Mount, String> {
    let mut tmpfs = Tmpfs {
        destination,
        options: Vec::new(),
        no_copy: false,
    };
    words.iter().try_for_each(|word| tmpfs.take(word))?;
    Ok(Mount::Tmpfs(tmpfs))
}

impl<'t> Fields<'t> {
    fn parse(text: &'t str) -> std::result::Result<Self, String> {
        let mut fields = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = match pair.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (pair, None),
            };
            let given = || value.ok_or_else(|| format!("{key} needs a value"));
            match key {
                "type" => fields.kind = Some(given()?),
                "src" | "source" => fields.source = Some(given()?),
                "dst" | "destination" | "target" => fields.destination = Some(given()?),
                "bind-propagation" => fields.words.push(given()?.to_owned()),
                "tmpfs-size" => fields.words.push(format!("size={}", given()?)),
                "tmpfs-mode" => fields.words.push(format!("mode={}", given()?)),
                "size" | "mode" => fields.words.push(pair.to_owned()),
                "idmap" => fields.words.push("idmap".into()),
                _ => fields.words.push(switched(key, value)?),
            }
        }
        Ok(fields)
    }
}

/// The word for `KEY`, `KEY=true` or `KEY=false`.
fn switched(key: &str, value: Option<&str>) -> std::result::Result<String, String> {
    let on = match value {
        None | Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(format!("option {key} is not supported with a value")),
    };
    let (word, opposite) = match key {
        "ro" | "readonly" => ("ro", "rw"),
        "rw" => ("rw", "ro"),
        "exec" => ("exec", "noexec"),
        "noexec" => ("noexec", "exec"),
        "suid" => ("suid", "nosuid"),
        "nosuid" => ("nosuid", "suid"),
        "dev" => ("dev", "nodev"),
        "nodev" => ("nodev", "dev"),
        "nocopy" | "volume-nocopy" => ("nocopy", "copy"),
        "tmpcopyup" => ("tmpcopyup", "notmpcopyup"),
        "notmpcopyup" => ("notmpcopyup", "tmpcopyup"),
        // Off is how it is anyway: the word for it is one that changes nothing.
        "U" | "chown" => ("U", "nodev"),
        "z" | "Z" => ("z", "nodev"),
        other => (other, other),
    };
    Ok(if on { word } else { opposite }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(text: &str) -> Volume {
        match text.parse().expect(text) {
            Mount::Volume(volume) => volume,
            Mount::Tmpfs(_) => panic!("{text} is a tmpfs"),
        }
    }

    #[test]
    fn both_spellings_are_read() {
        let read_only = VolumeOptions {
            read_only: true,
            ..VolumeOptions::default()
        };
        for text in [
            "type=bind,src=/a,dst=/b,ro",
            "type=bind,source=/a,destination=/b,readonly=true",
            "target=/b/,readonly,type=bind,source=/a,bind-propagation=rprivate,Z",
        ] {
            let expected = Volume {
                source: VolumeSource::Host("/a".into()),
                destination: "/b".into(),
                options: read_only,
            };
            assert_eq!(volume(text), expected, "{text}");
        }
        assert_eq!(
            volume("source=data,dst=/b").source,
            VolumeSource::Named("data".into())
        );
        let chosen = volume("type=volume,dst=/b,ro=false,U=true,volume-nocopy,noexec,suid");
        assert_eq!(chosen.source, VolumeSource::Anonymous);
        let expected = VolumeOptions {
            read_only: false,
            no_exec: true,
            set_id: true,
            chown: true,
            no_copy: true,
        };
        assert_eq!(chosen.options, expected);
    }

    #[test]
    fn tmpfs_has_options_of_its_own() {
        let tmpfs = Tmpfs {
            destination: "/t".into(),
            options: vec!["size=1m".into(), "mode=1700".into(), "ro".into()],
            no_copy: true,
        };
        let text = "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1700,readonly,notmpcopyup";
        assert_eq!(text.parse::<Mount>().expect(text), Mount::Tmpfs(tmpfs));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, why) in [
            ("type=bind,dst=/b", "a bind mount needs a source"),
            ("type=bind,src=/a", "it has no destination"),
            (
                "type=image,src=a,dst=/b",
                "type image is not supported: it is bind, volume or tmpfs",
            ),
            ("type=tmpfs,src=a,dst=/b", "a tmpfs has no source"),
            ("type=bind,src,dst=/b", "src needs a value"),
            (
                "type=bind,src=/a,dst=/b,color=red",
                "option color is not supported with a value",
            ),
            (
                "type=bind,src=/a,dst=/b,color",
                "option color is not supported",
            ),
            (
                "type=bind,src=/a,dst=/b,idmap",
                "idmap is not supported: it takes real root",
            ),
            (
                "type=volume,src=/a,dst=/b",
                "a volume's name has up to 128 letters, digits and _.- only; a host path has a /",
            ),
            (
                "type=tmpfs,dst=/b,tmpfs-mode=8",
                "option mode=8 is not supported",
            ),
        ] {
            match text.parse::<Mount>() {
                Err(Error::Option { why: said, .. }) => assert_eq!(said, why, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
