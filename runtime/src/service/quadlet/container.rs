//! The keys of `[Container]`.

use std::path::{Component, Path, PathBuf};

use super::syntax::{Line, words};
use super::{File, Quadlet, Surroundings, env_file, specifier};
use crate::error::Result;
use crate::mount_option::Mount;
use crate::options::Settings;
use crate::volume::{Volume, VolumeSource};

/// Keys that say what is so anyway, or what podman's own commands do.
const WITHOUT_EFFECT: [&str; 7] = [
    "AutoUpdate",
    "ContainersConfModule",
    "ContainerName",
    "LogDriver",
    "Pull",
    "ServiceName",
    "StartWithPod",
];
const NS_PER_S: u64 = 1_000_000_000;

/// Keys that cannot be honoured, and why.
const REFUSED: [(&str, &str); 17] = [
    ("AddDevice", "devices are not supported"),
    ("AddHost", "the service has the host's network and names"),
    ("DNS", "the service has the host's network and names"),
    ("EnvironmentHost", "the environment is not passed on"),
    ("ExposeHostPort", "the service has the host's network"),
    ("GlobalArgs", "podman is not called"),
    ("HostName", "the service has the host's name"),
    ("IP", "the service has the host's network"),
    ("Pod", "pods are not supported"),
    ("PodmanArgs", "podman is not called"),
    (
        "PublishPort",
        "the service has the host's network, where its ports are open anyway",
    ),
    ("Rootfs", "a service is made of an image"),
    ("RunInit", "an init in the container is not supported"),
    ("Secret", "secrets are not supported"),
    ("Timezone", "set the variable TZ with Environment"),
    ("UIDMap", "the ids of a service are not a choice"),
    ("UserNS", "the ids of a service are not a choice"),
];

/// Reads the keys one after the other.
pub(crate) struct Reader<'a> {
    around: &'a Surroundings<'a>,
    user: Option<String>,
    group: Option<String>,
    memory_for_read_only: bool,
}

type Taken = std::result::Result<(), String>;

impl<'a> Reader<'a> {
    pub(crate) fn new(around: &'a Surroundings<'a>) -> Self {
        Self {
            around,
            user: None,
            group: None,
            memory_for_read_only: true,
        }
    }

    /// Takes one line of `[Container]`.
    pub(crate) fn take(&mut self, line: &Line, file: &File, quadlet: &mut Quadlet) -> Result<()> {
        let taken = specifier::expand(&line.value, self.around)
            .and_then(|value| self.key(&line.key, &value, file, quadlet));
        Ok(taken.map_err(|why| line.refuse(file, &why))?)
    }

    /// What is known only when all lines were read.
    pub(crate) fn finish(self, quadlet: &mut Quadlet) {
        let settings = &mut quadlet.settings;
        settings.user = match (self.user, self.group) {
            (user, None) => user,
            (user, Some(group)) => Some(format!("{}:{group}", user.unwrap_or_default())),
        };
        settings.no_read_only_tmpfs = !self.memory_for_read_only;
        if settings.read_only && self.memory_for_read_only {
            for place in ["/run", "/tmp", "/var/tmp"] {
                let taken = settings
                    .tmpfs
                    .iter()
                    .any(|it| it.destination == Path::new(place))
                    || settings
                        .volumes
                        .iter()
                        .any(|it| it.destination == Path::new(place));
                if !taken && let Ok(tmpfs) = place.parse() {
                    settings.tmpfs.push(tmpfs);
                }
            }
        }
    }

    fn key(&mut self, key: &str, value: &str, file: &File, quadlet: &mut Quadlet) -> Taken {
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == key) {
            return match key {
                "RunInit" | "EnvironmentHost" if !boolean(value)? => Ok(()),
                _ => Err((*why).to_owned()),
            };
        }
        if WITHOUT_EFFECT.contains(&key) {
            quadlet
                .said
                .push(format!("{key} of the quadlet has no effect"));
            return Ok(());
        }
        match key {
            "Image" if value.ends_with(".image") || value.ends_with(".build") => {
                return Err("units of images are not supported; name the image".to_owned());
            }
            "Image" => quadlet.image = value.to_owned(),
            "Notify" => match value {
                "healthy" => return Err("healthy is not supported; it is true or false".to_owned()),
                value => quadlet.notify = boolean(value)?,
            },
            "Network" if value == "host" => {}
            "Network" => return Err("only the host's network is supported".to_owned()),
            "User" => self.user = given(value),
            "Group" => self.group = given(value),
            "ReadOnlyTmpfs" => self.memory_for_read_only = boolean(value)?,
            _ => {
                let done = program(key, value, &mut quadlet.settings)?
                    || files(key, value, file, &mut quadlet.settings)?
                    || limits(key, value, &mut quadlet.settings)?
                    || health(key, value, &mut quadlet.settings)?;
                if !done {
                    return Err("berth does not know this key".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// Keys of the program and what it may do.
fn program(key: &str, value: &str, settings: &mut Settings) -> std::result::Result<bool, String> {
    let security = &mut settings.security;
    match key {
        "Exec" => settings.command = words(value)?,
        "Entrypoint" => {
            let list = match value.starts_with('[') {
                true => serde_json::from_str(value).map_err(|_| "it is no JSON list of strings")?,
                false => words(value)?,
            };
            settings.entrypoint = Some(list);
        }
        "WorkingDir" => settings.workdir = given(value),
        "Environment" => extend_pairs(&mut settings.env, value)?,
        "Label" => extend_map(&mut settings.labels, value)?,
        "Annotation" => extend_map(&mut security.annotations, value)?,
        "AddCapability" => extend(&mut security.cap_add, value)?,
        "DropCapability" => extend(&mut security.cap_drop, value)?,
        "NoNewPrivileges" => security.no_new_privileges = boolean(value)?,
        "GroupAdd" => extend(&mut settings.groups, value)?,
        "StopSignal" => {
            let signal = value.parse().map_err(|_| "there is no such signal")?;
            settings.life.stop_signal = Some(signal);
        }
        "StopTimeout" => {
            let seconds = value.parse().map_err(|_| "it is a number of seconds")?;
            settings.life.stop_timeout = Some(seconds);
        }
        _ => return Ok(false),
    }
    if matches!(key, "AddCapability" | "DropCapability") {
        security.caps().map_err(|error| error.to_string())?;
    }
    Ok(true)
}

/// Keys of files.
fn files(
    key: &str,
    value: &str,
    file: &File,
    settings: &mut Settings,
) -> std::result::Result<bool, String> {
    let beside = file.path.parent().unwrap_or(Path::new("/"));
    match key {
        "Volume" | "Mount" | "Tmpfs" if value.is_empty() => {
            return Err("it is empty".to_owned());
        }
        "Volume" => {
            let volume: Volume = value.parse().map_err(|error| said(&error))?;
            settings.volumes.push(place(volume, beside)?);
        }
        "Mount" => match value.parse().map_err(|error| said(&error))? {
            Mount::Volume(volume) => settings.volumes.push(place(volume, beside)?),
            Mount::Tmpfs(tmpfs) => settings.tmpfs.push(tmpfs),
        },
        "Tmpfs" => settings
            .tmpfs
            .push(value.parse().map_err(|error| said(&error))?),
        "ReadOnly" => settings.read_only = boolean(value)?,
        "EnvironmentFile" => {
            let path = absolute(Path::new(value), beside)?;
            let found = super::read(&path).map_err(|error| said(&error))?;
            settings.env.extend(env_file::variables(&found.text)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Keys of what it may use up.
fn limits(key: &str, value: &str, settings: &mut Settings) -> std::result::Result<bool, String> {
    let flag = match key {
        "Memory" => "--memory",
        "PidsLimit" => "--pids-limit",
        "ShmSize" => "--shm-size",
        "Ulimit" => {
            let limit = value.parse().map_err(|error| said(&error))?;
            settings.limits.ulimits.push(limit);
            return Ok(true);
        }
        _ => return Ok(false),
    };
    let set = settings.limits.set(flag, value);
    set.map(|()| true).map_err(|error| said(&error))
}

/// Keys of the health check.
fn health(key: &str, value: &str, settings: &mut Settings) -> std::result::Result<bool, String> {
    let health = &mut settings.health;
    match key {
        "HealthCmd" if value == "none" => health.off = true,
        "HealthCmd" if value.starts_with('[') => {
            let list: Vec<String> =
                serde_json::from_str(value).map_err(|_| "it is no JSON list of strings")?;
            let known = list
                .first()
                .is_some_and(|it| it == "CMD" || it == "CMD-SHELL");
            let mut test = if known {
                Vec::new()
            } else {
                vec!["CMD".to_owned()]
            };
            test.extend(list);
            health.test = Some(test);
        }
        "HealthCmd" => health.test = Some(vec!["CMD-SHELL".to_owned(), value.to_owned()]),
        "HealthInterval" => health.interval = Some(nanoseconds(value)?),
        "HealthTimeout" => health.timeout = Some(nanoseconds(value)?),
        "HealthStartPeriod" => health.start_period = Some(nanoseconds(value)?),
        "HealthRetries" => {
            let retries = value.parse().map_err(|_| "it is no number")?;
            health.retries = Some(retries);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn said(error: &crate::error::Error) -> String {
    error.to_string()
}

/// A value that an empty assignment takes away.
fn given(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// Adds words to a list, which an empty assignment clears.
fn extend(list: &mut Vec<String>, value: &str) -> Taken {
    if value.is_empty() {
        list.clear();
    }
    list.extend(words(value)?);
    Ok(())
}

fn pairs(value: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let pair = |word: String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{word:?} is not of the form NAME=VALUE")),
    };
    words(value)?.into_iter().map(pair).collect()
}

fn extend_pairs(list: &mut Vec<(String, String)>, value: &str) -> Taken {
    if value.is_empty() {
        list.clear();
    }
    list.extend(pairs(value)?);
    Ok(())
}

fn extend_map(map: &mut std::collections::BTreeMap<String, String>, value: &str) -> Taken {
    if value.is_empty() {
        map.clear();
    }
    map.extend(pairs(value)?);
    Ok(())
}

/// A boolean as systemd reads it.
fn boolean(value: &str) -> std::result::Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err(format!("{value:?} is neither true nor false")),
    }
}

/// A span of time as Go writes it, `1m30s`; a number alone is seconds.
fn nanoseconds(text: &str) -> std::result::Result<u64, String> {
    let fail = || format!("{text:?} is no span of time like 1m30s");
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(NS_PER_S).ok_or_else(fail);
    }
    let (mut sum, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
        let (number, after) = rest.split_at(digits);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale = match unit {
            "ms" => NS_PER_S / 1000,
            "s" => NS_PER_S,
            "m" => 60 * NS_PER_S,
            "h" => 3600 * NS_PER_S,
            _ => return Err(fail()),
        };
        let number: u64 = number.parse().map_err(|_| fail())?;
        let part = number.checked_mul(scale).ok_or_else(fail)?;
        sum = sum.checked_add(part).ok_or_else(fail)?;
        rest = after;
    }
    match text.is_empty() {
        true => Err(fail()),
        false => Ok(sum),
    }
}

/// A volume with the absolute path of its source; units of volumes are refused.
fn place(volume: Volume, beside: &Path) -> std::result::Result<Volume, String> {
    if volume.options.chown {
        return Err("option U is not supported: who owns its files stays".to_owned());
    }
    let source = match volume.source {
        VolumeSource::Named(name) if name.ends_with(".volume") => {
            return Err("units of volumes are not supported; name a directory".to_owned());
        }
        VolumeSource::Host(path) => VolumeSource::Host(absolute(&path, beside)?),
        other => other,
    };
    Ok(Volume { source, ..volume })
}

/// The path, from the quadlet's directory where it is relative.
fn absolute(path: &Path, beside: &Path) -> std::result::Result<PathBuf, String> {
    let mut absolute = PathBuf::new();
    for component in beside.join(path).components() {
        match component {
            Component::ParentDir => return Err("its path leads upwards".to_owned()),
            Component::CurDir => {}
            other => absolute.push(other),
        }
    }
    Ok(absolute)
}
