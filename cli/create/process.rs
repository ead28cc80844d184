//! Flags about the program that is run.

use runtime::Settings;

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
    /// Start in this directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Run as this user of the image
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run this program instead of the image's entrypoint; a JSON list gives arguments too
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set the host name inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Label the container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
}

impl ProcessFlags {
    /// Writes them into the settings.
    pub(super) fn settle(&self, settings: &mut Settings) -> Result<(), Failure> {
        settings.entrypoint = self.entrypoint.as_deref().map(entrypoint).transpose()?;
        settings.env = self.env.iter().filter_map(|text| variable(text)).collect();
        settings.user.clone_from(&self.user);
        settings.workdir.clone_from(&self.workdir);
        settings.hostname.clone_from(&self.hostname);
        settings.interactive = self.interactive;
        settings.terminal = self.tty;
        settings.labels = self.label.iter().map(|text| label(text)).collect();
        Ok(())
    }
}

/// `-e NAME=VALUE`; `-e NAME` takes the value from our environment, and nothing when it is not there.
pub(crate) fn variable(text: &str) -> Option<(String, String)> {
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
