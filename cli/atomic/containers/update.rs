//! `atomic containers update`.

use std::process::ExitCode;

use runtime::service::Service;

use super::super::install::is_installed;
use super::super::pull::PullHow;
use super::super::typed::Words;
use super::super::{Global, find, layout};
use crate::cmd;
use crate::context::Context;
use crate::report::{Failure, note, out};
use crate::services;

/// How much of a name, and of ids, is shown.
const WIDTHS: [usize; 5] = [15, 32, 32, 32, 15];

/// Update a container to a newer image; the image is pulled
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic containers update --set PORT=8082 hello")]
pub(crate) struct UpdateArgs {
    /// Rebase to a different image
    #[arg(long, value_name = "IMAGE")]
    rebase: Option<String>,
    /// Update all containers
    #[arg(short, long)]
    all: bool,
    /// Specify a variable in the VARIABLE=VALUE form
    #[arg(long, value_name = "VARIABLE=VALUE")]
    set: Vec<String>,
    /// Do without systemd, and print what would be run
    #[arg(long)]
    no_systemd: bool,
    #[command(flatten)]
    how: PullHow,
    /// The container
    container: Option<String>,
}

/// A service before an update.
struct Before {
    name: String,
    image: String,
    id: String,
    failed: bool,
}

/// Updates one service or all.
pub(super) fn update(
    args: &UpdateArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let wrong = match (args.all, &args.container) {
        (true, Some(_)) => {
            Some("Incompatible options specified.  --all doesn't support a container name")
        }
        (true, None) if !args.set.is_empty() || args.rebase.is_some() => {
            Some("Incompatible options specified.  --all doesn't support --set or --rebase")
        }
        (false, None) => Some("Too few arguments.  Please specify the container"),
        _ => None,
    };
    match (wrong, &args.container) {
        (Some(wrong), _) => Err(Failure::new(wrong)),
        (None, Some(name)) if !is_installed(name)? => Err(Failure::new(format!(
            "System container '{name}' is not installed"
        ))),
        (None, Some(name)) => one(name, args, global, context),
        (None, None) => all(args, global, context),
    }
}

fn one(
    name: &str,
    args: &UpdateArgs,
    global: &Global,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut update: cmd::update::UpdateArgs = Words::default()
        .flag("--yes", global.assumeyes)
        .flag("--no-systemd", args.no_systemd)
        .values("--set", &args.set)
        .values("--rebase", args.rebase.as_deref().map(find::plain))
        .rest([name])
        .parse()?;
    update.flags = args.how.flags(args.rebase.as_deref().unwrap_or_default())?;
    cmd::update::update(update, context)
}

/// Updates each service, and prints what became of it; fails for none.
fn all(args: &UpdateArgs, global: &Global, context: &Context) -> Result<ExitCode, Failure> {
    let places = services::places()?;
    let mut before = Vec::new();
    for service in Service::all(&places)? {
        let info = &service.current()?.info;
        before.push(Before {
            name: service.name.to_string(),
            image: info.image.clone(),
            id: info.revision.clone(),
            failed: false,
        });
    }
    for service in &mut before {
        out!("Checking container {}...", service.name)?;
        match one(&service.name, args, global, context) {
            Ok(code) => service.failed = code != ExitCode::SUCCESS,
            Err(failure) => {
                service.failed = true;
                if let (Some(words), _) = failure.into_words() {
                    note!("{words}");
                }
            }
        }
    }
    out!("\nSUMMARY\n")?;
    let heading = [
        "Container",
        "Image ID before update",
        "Image ID after update",
        "Latest image ID",
        "Status",
    ];
    layout::line(&heading, &WIDTHS)?;
    let after = Service::all(&places)?;
    for service in &before {
        let now = after.iter().find(|it| it.name.as_str() == service.name);
        let now = match now {
            Some(now) => now.current()?.info.revision.clone(),
            None => String::new(),
        };
        service.show(&now, context)?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Before {
    fn show(&self, now: &str, context: &Context) -> Result<(), Failure> {
        let latest = find::image(&self.image, context)?.map(|(_, image)| image.id.hex());
        let status = match &latest {
            _ if self.failed => layout::red("Failed"),
            None => layout::yellow("Unknown"),
            Some(latest) if latest != now => layout::red("Not updated"),
            Some(latest) if *latest != self.id => layout::green("Updated now"),
            Some(_) => layout::green("Updated"),
        };
        let cells = [
            layout::cut(&self.name, WIDTHS[0]),
            layout::cut(&self.id, WIDTHS[1]),
            layout::cut(now, WIDTHS[2]),
            layout::cut(latest.as_deref().unwrap_or("<NOT FOUND>"), WIDTHS[3]),
        ];
        layout::line_with_status(&cells, &WIDTHS, &status)
    }
}
