//! Flags about the program that is run.

use runtime::Settings;

use super::{BERTH_FAILED, pairs_file};
use crate::report::Failure;

/// What runs, as whom, and with what.
#[derive(Debug, clap::Args)]
pub(super) struct ProcessFlags {
    /// Pass stdin on
    #[arg(short, long)]
    interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,
    /// Set a variable; without a value it is taken from the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Set the variables of a file of NAME=VALUE lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Pass on the whole environment of this command
    #[arg(long)]
    env_host: bool,
    /// Take a variable of the image, or of berth, away
    #[arg(long, value_name = "NAME")]
    unsetenv: Vec<String>,
    /// Take all variables of the image, and of berth, away
    #[arg(long)]
    unsetenv_all: bool,
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Run as this user of the image
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Also be in this group of the image
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Run this program instead of the image's entrypoint; a JSON list gives arguments too
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set the host name inside
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Label the container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Label the container with the NAME=VALUE lines of a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<String>,
}

impl ProcessFlags {
    /// Writes them into the settings.
    pub(super) fn settle(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.entrypoint = self.entrypoint.as_deref().map(entrypoint).transpose()?;
        settings.env = variables(&self.env_file, &self.env)?;
        if self.env_host {
            // What is not UTF-8 cannot be told in a document.
            let pairs = std::env::vars_os();
            settings.host_env = pairs
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect();
        }
        settings.unset_env.clone_from(&self.unsetenv);
        settings.unset_all_env = self.unsetenv_all;
        settings.groups.clone_from(&self.group_add);
        settings.user.clone_from(&self.user);
        settings.workdir.clone_from(&self.workdir);
        settings.hostname.clone_from(&self.hostname);
        settings.interactive = self.interactive;
        settings.terminal = self.tty;
        for file in &self.label_file {
            let pairs = pairs_file::read(file).map_err(|failure| failure.code(BERTH_FAILED))?;
            let labels = pairs.into_iter().map(|(k, v)| (k, v.unwrap_or_default()));
            settings.labels.extend(labels);
        }
        settings
            .labels
            .extend(self.label.iter().map(|text| label(text)));
        Ok(())
    }
}

/// The variables of files and of `-e`; those of files first, so that `-e` counts where both name one.
pub(crate) fn variables(
    files: &[String],
    given: &[String],
) -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for file in files {
        let pairs = pairs_file::read(file).map_err(|failure| failure.code(BERTH_FAILED))?;
        let inherit = |(name, value): (String, Option<String>)| {
            let value = value.or_else(|| std::env::var(&name).ok())?;
            Some((name, value))
        };
        variables.extend(pairs.into_iter().filter_map(inherit));
    }
    variables.extend(given.iter().filter_map(|text| variable(text)));
    Ok(variables)
}

/// `-e NAME=VALUE`; `-e NAME` takes the value from our environment, and nothing when it is not there.
fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), std::env::var(text).ok()?)),
    }
}

fn label(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// A program, or a JSON list of one with arguments; empty takes the image's away.
fn entrypoint(text: &str) -> Result<Vec<String>, Failure> {
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("cannot use --entrypoint {text}: {error}")));
    }
    Ok(if text.is_empty() {
        Vec::new()
    } else {
        vec![text.to_owned()]
    })
}
