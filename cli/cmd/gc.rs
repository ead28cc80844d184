//! `berth gc`.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use store::{GcOptions, GcReport, LockWait, ObjectId, ObjectKind, RefName, Repo};

use crate::context::{Context, say_waiting};
use crate::report::{self, Failure, human_size, note, out};

/// How long a commit without a branch stays that somebody made on purpose (`ostree commit --orphan`).
const ORPHANS_STAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Delete what no image and no container needs
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth gc --dry-run")]
pub(crate) struct GcArgs {
    /// Only list what would go
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Collects garbage.
pub(crate) fn gc(args: GcArgs, context: &Context) -> Result<ExitCode, Failure> {
    let repo = context.open_repo()?;
    if !args.dry_run {
        forget_gone_mounts(context)?;
    }
    let found = collect(&repo, context, args.dry_run, Some(context.lock_timeout))?;
    if args.json {
        report::json(&Report::new(&found))?;
    } else {
        if args.dry_run {
            list(&found)?;
        }
        out!("{}", summary(&found, args.dry_run))?;
    }
    warn_of_damage(&found);
    Ok(ExitCode::SUCCESS)
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'r> {
    refs: Vec<&'r str>,
    objects: u64,
    bytes: u64,
    checkouts: &'r [String],
    damage: &'r [String],
    /// The objects one by one, sorted.
    listed: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    kind: &'static str,
    id: String,
    bytes: u64,
}

impl<'r> Report<'r> {
    fn new(found: &'r GcReport) -> Self {
        let listed = sorted(found).into_iter().map(|(kind, id, bytes)| Listed {
            kind: kind.as_str(),
            id: id.hex(),
            bytes: *bytes,
        });
        Self {
            refs: found.refs.iter().map(RefName::as_str).collect(),
            objects: found.swept.objects,
            bytes: found.swept.bytes,
            checkouts: &found.checkouts,
            damage: &found.damage,
            listed: listed.collect(),
        }
    }
}

fn sorted(found: &GcReport) -> Vec<&(ObjectKind, ObjectId, u64)> {
    let mut objects: Vec<_> = found.objects.iter().collect();
    objects.sort_unstable();
    objects
}

/// Prints all that a dry run found, a line each.
fn list(found: &GcReport) -> Result<(), Failure> {
    for name in &found.refs {
        out!("ref {name}")?;
    }
    for commit in &found.checkouts {
        out!("checkout {commit}")?;
    }
    for (kind, id, bytes) in sorted(found) {
        out!("{} {id} {}", kind.as_str(), human_size(*bytes))?;
    }
    Ok(())
}

/// Says what could not be collected, and why.
pub(crate) fn warn_of_damage(found: &GcReport) {
    if let Some(first) = found.damage.first() {
        note!(
            "warning: {first}: what only damaged images may need was kept; `berth repo fsck` names them, \
             `berth verify --repair` mends them"
        );
    }
}

/// Lets go of the images of mounts that are gone, by a reboot or by umount(8).
pub(crate) fn forget_gone_mounts(context: &Context) -> Result<(), Failure> {
    Ok(runtime::sweep_host_mounts(&context.root)?)
}

/// Collects, waiting for the lock no longer than `timeout`.
pub(crate) fn collect(
    repo: &Repo,
    context: &Context,
    dry_run: bool,
    timeout: Option<Duration>,
) -> Result<GcReport, store::Error> {
    let quiet = |_: &str| {};
    let is_patient = timeout != Some(Duration::ZERO);
    let waiting: &dyn Fn(&str) = if is_patient { &say_waiting } else { &quiet };
    // Checkouts belong to the repository of the same root, not to one that --repo names.
    let checkouts = context.root.join("checkouts");
    let is_ours = context.repo == context.root.join("repo");
    let checkouts = is_ours.then_some(checkouts.as_path());
    store::gc(
        repo,
        &GcOptions {
            dry_run,
            checkouts,
            orphans_since: context.ago(ORPHANS_STAY),
            wait: LockWait { timeout, waiting },
        },
    )
}

/// One line on what was, or would be, collected.
pub(crate) fn summary(found: &GcReport, dry_run: bool) -> String {
    let verb = if dry_run { "would free" } else { "freed" };
    let mut text = format!(
        "{verb} {} in {} objects",
        human_size(found.swept.bytes),
        found.swept.objects
    );
    for (count, what) in [
        (found.refs.len(), "refs of layers, recipes and configs"),
        (found.checkouts.len(), "checkouts"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}
