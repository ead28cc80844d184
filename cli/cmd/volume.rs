//! `berth volume`: the volumes that containers share by name or have for themselves.

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use runtime::{Containers, IdHelpers, RemoveOptions, RemoveVolumeOptions, VolumeInfo};
use serde::Serialize;
use serde_json::Value;
use store::LockKind;

use crate::context::{Context, env};
use crate::prompt;
use crate::report::{self, Failure, out};
use crate::template::Format;

/// Make, list and remove volumes
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth volume create data\n  berth volume ls -f dangling=true\n  berth volume prune"
)]
pub(crate) struct VolumeArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an empty volume and print its name
    Create {
        /// Its name; made up when there is none
        name: Option<String>,
    },
    /// List volumes
    Ls(LsArgs),
    /// Tell what there is to know of volumes, in JSON
    Inspect {
        /// All of them
        #[arg(short, long, conflicts_with = "names")]
        all: bool,
        /// Print with a Go template, or `json`
        #[arg(short, long, value_name = "TEMPLATE")]
        format: Option<String>,
        /// Volumes by name
        #[arg(required_unless_present = "all", value_name = "VOLUME")]
        names: Vec<String>,
    },
    /// Remove volumes
    Rm {
        /// Remove the containers that have them too, and accept names of none
        #[arg(short, long)]
        force: bool,
        /// Remove all of them
        #[arg(short, long, conflicts_with = "names")]
        all: bool,
        /// Volumes by name
        #[arg(required_unless_present = "all", value_name = "VOLUME")]
        names: Vec<String>,
    },
    /// Remove the volumes that no container has
    Prune {
        /// Do not ask
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, clap::Args)]
struct LsArgs {
    /// Print only names
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Only those with name=TEXT in their name, or dangling=true|false
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Print with a Go template, `json`, or `table` and a template
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["json", "quiet"])]
    format: Option<String>,
    /// Print no line of headers
    #[arg(long)]
    noheading: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does what the verb says.
pub(crate) fn volume(args: VolumeArgs, context: &Context) -> Result<ExitCode, Failure> {
    let containers = Containers::open(&context.root, &context.run_dir()?);
    match args.verb {
        Verb::Create { name } => {
            let made = containers.create_volume(name.as_deref())?;
            out!("{}", made.name)?;
        }
        Verb::Ls(args) => ls(&containers, &args)?,
        Verb::Inspect { all, format, names } => {
            let format = format.as_deref().map(Format::parse).transpose()?;
            let found = match all {
                true => containers.volumes()?,
                false => {
                    let found = names.iter().map(|name| containers.volume(name));
                    found.collect::<Result<Vec<_>, _>>()?
                }
            };
            format
                .unwrap_or(Format::Json)
                .print(&fields(&found)?, &[])?;
        }
        Verb::Rm { force, all, names } => return rm(&containers, force, all, names, context),
        Verb::Prune { force } => return prune(&containers, force),
    }
    Ok(ExitCode::SUCCESS)
}

/// As docker and podman name the fields.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'v> {
    name: &'v str,
    driver: &'static str,
    mountpoint: String,
    created_at: Option<String>,
    labels: Empty,
    scope: &'static str,
    options: Empty,
    used_by: &'v [String],
}

#[derive(Serialize)]
struct Empty {}

/// What stands above fields, where it is not their name.
const HEADERS: [(&str, &str); 1] = [("Name", "VOLUME NAME")];

impl<'v> Shown<'v> {
    fn new(volume: &'v VolumeInfo) -> Self {
        let moment = volume.created.and_then(|second| i64::try_from(second).ok());
        let moment = moment.and_then(|second| Timestamp::from_second(second).ok());
        Self {
            name: &volume.name,
            driver: "local",
            mountpoint: volume.path.display().to_string(),
            created_at: moment.map(|moment| moment.to_string()),
            labels: Empty {},
            scope: "local",
            options: Empty {},
            used_by: &volume.used_by,
        }
    }
}

/// What `--format` sees.
fn fields(volumes: &[VolumeInfo]) -> Result<Vec<Value>, Failure> {
    let fields = |volume| serde_json::to_value(Shown::new(volume)).map_err(Failure::new);
    volumes.iter().map(fields).collect()
}

fn ls(containers: &Containers, args: &LsArgs) -> Result<(), Failure> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut volumes = containers.volumes()?;
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("name", text)) => volumes.retain(|volume| volume.name.contains(text)),
            Some(("dangling", value @ ("true" | "false"))) => {
                volumes.retain(|volume| volume.used_by.is_empty() == (value == "true"));
            }
            _ => {
                return Err(Failure::usage(format!(
                    "cannot use --filter {filter}: it is name=TEXT or dangling=true|false"
                )));
            }
        }
    }
    if args.json {
        return report::json(&volumes.iter().map(Shown::new).collect::<Vec<_>>());
    }
    if let Some(format) = format {
        return format.print(&fields(&volumes)?, &HEADERS);
    }
    if args.quiet {
        return volumes
            .iter()
            .try_for_each(|volume| out!("{}", volume.name));
    }
    let mut rows = vec![
        ["DRIVER", "VOLUME NAME", "USED BY"]
            .map(String::from)
            .to_vec(),
    ];
    rows.extend(volumes.iter().map(|volume| {
        vec![
            "local".to_owned(),
            volume.name.clone(),
            volume.used_by.join(","),
        ]
    }));
    report::table(rows.get(usize::from(args.noheading)..).unwrap_or_default())
}

fn helpers() -> IdHelpers {
    IdHelpers::find(&env("PATH").unwrap_or_default())
}

/// Removes each and prints its name. Stops at none; fails if one could not be removed.
fn rm(
    containers: &Containers,
    force: bool,
    all: bool,
    names: Vec<String>,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let names = match all {
        true => containers
            .volumes()?
            .into_iter()
            .map(|it| it.name)
            .collect(),
        false => names,
    };
    let mut code = ExitCode::SUCCESS;
    for name in names {
        match remove(containers, &name, force, context) {
            Ok(()) => out!("{name}")?,
            Err(failure) => code = failure.report(),
        }
    }
    Ok(code)
}

fn remove(
    containers: &Containers,
    name: &str,
    force: bool,
    context: &Context,
) -> Result<(), Failure> {
    let volume = match containers.volume(name) {
        Err(runtime::Error::NoVolume { .. }) if force => return Ok(()),
        found => found?,
    };
    if force && !volume.used_by.is_empty() {
        let repo = context.open_repo()?;
        let _lock = context.lock(&repo, LockKind::Shared)?;
        for user in &volume.used_by {
            let options = RemoveOptions {
                force: true,
                time: None,
                volumes: false,
                helpers: helpers(),
            };
            containers.find(user)?.remove(&repo, &options)?;
        }
    }
    let options = RemoveVolumeOptions { helpers: helpers() };
    Ok(containers.remove_volume(name, &options)?)
}

fn prune(containers: &Containers, force: bool) -> Result<ExitCode, Failure> {
    if !force {
        let question = "Remove every volume that no container has? [y/N] ";
        let answer = prompt::line(question)?;
        if !["y", "yes"].contains(&answer.to_lowercase().as_str()) {
            return Ok(ExitCode::FAILURE);
        }
    }
    let options = RemoveVolumeOptions { helpers: helpers() };
    containers.sweep_volumes(&options)?;
    let mut code = ExitCode::SUCCESS;
    let unused = containers.volumes()?.into_iter();
    for volume in unused.filter(|volume| volume.used_by.is_empty()) {
        match containers.remove_volume(&volume.name, &options) {
            Ok(()) => out!("{}", volume.name)?,
            // Taken or gone since it was listed.
            Err(runtime::Error::VolumeUsed { .. } | runtime::Error::NoVolume { .. }) => {}
            Err(error) => code = Failure::from(error).report(),
        }
    }
    Ok(code)
}
