//! The first process of a container: the image's config and the caller's settings made into arguments, environment and
//! directory. Pure; docker's rules.

use std::collections::BTreeMap;
use std::path::PathBuf;

use store::oci::ContainerConfig;

use crate::error::{Error, Result};
use crate::options::Settings;

const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The arguments, program first. Fails when neither image nor caller names any.
pub(crate) fn args(config: &ContainerConfig, settings: &Settings) -> Result<Vec<String>> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let mut args = settings
        .entrypoint
        .clone()
        .unwrap_or_else(|| list(&config.entrypoint));
    if !settings.command.is_empty() {
        args.extend(settings.command.iter().cloned());
    } else if settings.entrypoint.is_none() {
        args.extend(list(&config.cmd));
    }
    match args.first() {
        Some(program) if !program.is_empty() => Ok(args),
        _ => Err(Error::Image {
            why: "neither it nor the command line names a program".into(),
        }),
    }
}

/// The environment as `NAME=value`, with PATH and a HOME that is never empty.
pub(crate) fn env(
    config: &ContainerConfig,
    settings: &Settings,
    hostname: &str,
    home: &str,
) -> Vec<String> {
    let mut vars: BTreeMap<String, String> = BTreeMap::from(
        [
            ("PATH", PATH_DEFAULT),
            ("HOSTNAME", hostname),
            ("container", "berth"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if settings.terminal {
        vars.insert("TERM".into(), "xterm".into());
    }
    vars.extend(settings.host_env.iter().cloned());
    let image = config
        .env
        .iter()
        .flatten()
        .filter_map(|var| var.split_once('='));
    vars.extend(image.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if settings.unset_all_env {
        vars.clear();
    }
    vars.retain(|name, _| !settings.unset_env.contains(name));
    vars.extend(settings.env.iter().cloned());
    if vars.get("HOME").is_none_or(String::is_empty) {
        vars.insert("HOME".into(), home.to_owned());
    }
    let usable = |(name, value): &(String, String)| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    };
    vars.into_iter()
        .filter(usable)
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// The working directory, absolute.
pub(crate) fn workdir(config: &ContainerConfig, settings: &Settings) -> PathBuf {
    let wanted = settings
        .workdir
        .as_deref()
        .or(config.working_dir.as_deref())
        .unwrap_or_default();
    // `..` is left to whoever resolves it, inside the root.
    PathBuf::from("/").join(wanted)
}

/// The user that is asked for, `user[:group]`, empty for root.
pub(crate) fn wanted_user<'a>(config: &'a ContainerConfig, settings: &'a Settings) -> &'a str {
    settings
        .user
        .as_deref()
        .or(config.user.as_deref())
        .unwrap_or_default()
}
