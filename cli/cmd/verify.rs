//! `berth verify`.

use std::process::ExitCode;

use fetch::{PullOptions, Repaired, Source};
use serde::Serialize;
use store::{ImageName, LayerLimits, Reference, Repo, VerifyOptions, VerifyReport};

use crate::cmd::pull::{PullFlags, parse};
use crate::context::Context;
use crate::problem::{Shown, verdict};
use crate::progress::Progress;
use crate::report::{self, Failure, human_size, note, out, printable};

/// Check images to the last byte: every object, and every layer back to its digest; exit code 1 when something is wrong
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth verify redis\n  berth verify --repair redis\n  berth verify --repair --from oci:./layout app"
)]
pub(crate) struct VerifyArgs {
    /// Names of images
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Fetch the layers of broken objects again, and mend these in place, hard links included
    #[arg(long)]
    repair: bool,
    /// Where the image is, if not in the registry of its name
    #[arg(long, value_name = "SOURCE", requires = "repair")]
    from: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: PullFlags,
}

#[derive(Serialize)]
struct Report {
    name: String,
    layers: Vec<Layer>,
    objects: u64,
    bytes: u64,
    problems: Vec<Shown>,
    /// A layer was stored before recipes were kept: nothing is broken, and a pull completes it.
    #[serde(skip)]
    before_recipes: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<Mended>,
}

#[derive(Serialize)]
struct Layer {
    diff_id: String,
    size: Option<u64>,
}

#[derive(Serialize)]
struct Mended {
    problems: usize,
    layers: u64,
    objects: u64,
    mended: u64,
}

/// Verifies each image; one that is broken does not keep the others from being looked at.
pub(crate) fn verify(args: VerifyArgs, context: &Context) -> Result<ExitCode, Failure> {
    let first = args.names.first().map_or("", String::as_str);
    let repo = context.open_repo_of(first)?;
    let (mut code, mut reports) = (ExitCode::SUCCESS, Vec::new());
    for text in &args.names {
        let done = find(&repo, text).and_then(|name| one(&repo, &name, &args, context));
        match done {
            Ok(report) => {
                if !report.problems.is_empty() {
                    code = ExitCode::FAILURE;
                }
                if !args.json {
                    show(&report)?;
                }
                reports.push(report);
            }
            Err(failure) => code = failure.report(),
        }
    }
    if args.json {
        report::json(&reports)?;
    }
    Ok(code)
}

/// The name that is meant: one that leads to a damaged image is as good as any.
fn find(repo: &Repo, text: &str) -> Result<ImageName, Failure> {
    match store::find_name(repo, text)? {
        Some(name) => Ok(name),
        None => Ok(store::find_image(repo, text)?.name),
    }
}

fn one(
    repo: &Repo,
    name: &ImageName,
    args: &VerifyArgs,
    context: &Context,
) -> Result<Report, Failure> {
    let options = VerifyOptions {
        progress: &|_, _| {},
    };
    if !args.repair {
        let _lock = context.lock_for_reading(repo)?;
        let found = store::verify(repo, name, &options)?;
        return Ok(report_of(name, &found, None));
    }
    let source: Source = match &args.from {
        Some(from) => parse(from)?,
        None => registry_source(repo, name)?,
    };
    let flags = args
        .flags
        .reaching(args.from.as_deref().unwrap_or_default());
    let source_options = flags.source(context)?;
    let progress = Progress::new(context, args.json);
    let pull = PullOptions {
        platform: flags.platform(),
        name: None,
        jobs: 1,
        keep_blobs: false,
        source: source_options,
        lock_timeout: Some(context.lock_timeout),
        limits: LayerLimits::default(),
        progress: &|event| progress.event(&event),
    };
    let repaired =
        fetch::repair(repo, name, &source, &pull, &options).map_err(|error| match &args.from {
            Some(_) => Failure::from(error),
            None if is_of_registry(name) => Failure::from(error).hint(NAME_SOURCE),
            None => Failure::new(error).hint(NAME_SOURCE),
        })?;
    let found = repaired.after.as_ref().unwrap_or(&repaired.before);
    Ok(report_of(name, found, Some(mended(&repaired))))
}

/// The very image in the registry that its name says, whatever its tag means there by now.
fn registry_source(repo: &Repo, name: &ImageName) -> Result<Source, Failure> {
    let text = match store::recorded_digest(repo, name)? {
        Some(digest) if !name.as_str().contains('@') => format!("docker://{name}@{digest}"),
        _ => format!("docker://{name}"),
    };
    parse(&text).map_err(|failure| failure.hint(NAME_SOURCE))
}

/// Whether the name is one that a pull from a registry gives.
fn is_of_registry(name: &ImageName) -> bool {
    let reference = name.as_str().parse::<Reference>();
    reference.is_ok_and(|reference| reference.canonical() == *name)
}

fn mended(repaired: &Repaired) -> Mended {
    Mended {
        problems: repaired.before.problems.len(),
        layers: repaired.fetched,
        objects: repaired.objects,
        mended: repaired.mended,
    }
}

fn report_of(name: &ImageName, found: &VerifyReport, repaired: Option<Mended>) -> Report {
    let layers = found.layers.iter().map(|layer| Layer {
        diff_id: layer.diff_id.to_string(),
        size: layer.size,
    });
    Report {
        name: name.to_string(),
        layers: layers.collect(),
        objects: found.objects,
        bytes: found.bytes,
        problems: found.problems.iter().map(Shown::new).collect(),
        before_recipes: found
            .problems
            .iter()
            .any(|problem| matches!(problem.error, store::Error::Refused { verb: "verify", .. })),
        repaired,
    }
}

fn show(report: &Report) -> Result<(), Failure> {
    let name = printable(&report.name);
    let whose = format!("{name}: ");
    let mut problems = report.problems.iter();
    problems.try_for_each(|shown| shown.print(&whose))?;
    if let Some(Mended {
        problems,
        layers,
        objects,
        mended,
    }) = report
        .repaired
        .as_ref()
        .filter(|mended| mended.problems > 0)
    {
        out!(
            "{name}: found {problems} problems, fetched {layers} layers, wrote {objects} objects, {mended} of them in place"
        )?;
    }
    let tar: u64 = report.layers.iter().filter_map(|layer| layer.size).sum();
    let verdict = verdict(&report.problems);
    out!(
        "{name}: {} layers ({} as tar), {} objects ({}): {verdict}",
        report.layers.len(),
        human_size(tar),
        report.objects,
        human_size(report.bytes)
    )?;
    if report.before_recipes {
        note!("hint: pull again: `berth pull {name}` keeps what these layers lack");
    } else if !report.problems.is_empty() && report.repaired.is_none() {
        note!("hint: `berth verify --repair {name}` fetches what is broken");
    }
    Ok(())
}

const NAME_SOURCE: &str = "name where it is with --from SOURCE";
