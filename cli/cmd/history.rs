//! `berth history`.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};
use store::oci::History;
use store::{DiffId, Image, Repo};

use crate::context::Context;
use crate::report::{self, Failure, human_age, human_size, out};
use crate::template::Format;

/// The longest command that is shown without --no-trunc, in characters.
const COMMAND_CHARS: usize = 45;

/// Show how an image was built, the last step first
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth history --no-trunc redis:7")]
pub(crate) struct HistoryArgs {
    /// An image by name or id
    name: String,
    /// Show commands and ids in full
    #[arg(long)]
    no_trunc: bool,
    /// Print only image ids
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Print with a Go template, `json`, or `table` and a template
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["json", "quiet"])]
    format: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Step {
    id: Option<String>,
    created: Option<String>,
    created_by: String,
    size: u64,
    comment: String,
    layer: Option<String>,
}

/// Shows the history of an image.
pub(crate) fn history(args: HistoryArgs, context: &Context) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let repo = context.open_repo_of(&args.name)?;
    let _lock = context.lock_for_reading(&repo)?;
    let image = store::find_image(&repo, &args.name)?;
    let steps = steps(&repo, &image)?;
    if args.json {
        report::json(&steps)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.quiet {
        for step in &steps {
            out!("{}", step.short_id(args.no_trunc))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (now, full) = (context.now(), args.no_trunc);
    if let Some(format) = format {
        let rows: Vec<Value> = steps.iter().map(|step| step.fields(now, full)).collect();
        format.print(&rows, &HEADERS)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![
        ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(steps.iter().map(|step| {
        vec![
            step.short_id(full),
            step.age(now),
            step.command(full),
            human_size(step.size),
            step.comment.clone(),
        ]
    }));
    report::table(&rows)?;
    Ok(ExitCode::SUCCESS)
}

/// What stands above fields, where it is not their name.
const HEADERS: [(&str, &str); 2] = [("ID", "IMAGE"), ("CreatedSince", "CREATED")];

impl Step {
    fn short_id(&self, full: bool) -> String {
        match &self.id {
            Some(id) if full => id.clone(),
            Some(id) => id.trim_start_matches("sha256:").chars().take(12).collect(),
            None => "<missing>".to_owned(),
        }
    }

    fn age(&self, now: u64) -> String {
        match store::unix_seconds(self.created.as_deref()) {
            0 => "N/A".to_owned(),
            seconds => human_age(now.saturating_sub(seconds)),
        }
    }

    fn command(&self, full: bool) -> String {
        match full {
            true => self.created_by.clone(),
            false => shorten(&self.created_by),
        }
    }

    /// What `--format` sees, with podman's names.
    fn fields(&self, now: u64, full: bool) -> Value {
        json!({
            "ID": self.short_id(full),
            "Created": self.age(now),
            "CreatedSince": self.age(now),
            "CreatedAt": self.created,
            "CreatedBy": self.command(full),
            "Size": human_size(self.size),
            "Comment": self.comment,
        })
    }
}

/// The steps, newest first. A history that does not fit the layers is replaced by one step for each layer.
fn steps(repo: &Repo, image: &Image) -> Result<Vec<Step>, Failure> {
    let mut layers = image.config.diff_ids.iter();
    let fits = image
        .config
        .history
        .iter()
        .filter(|step| !step.empty_layer)
        .count()
        == layers.len();
    let history = if fits {
        image.config.history.clone()
    } else {
        vec![History::default(); layers.len()]
    };
    let mut steps = Vec::with_capacity(history.len());
    for step in history {
        let layer = if step.empty_layer {
            None
        } else {
            layers.next()
        };
        steps.push(Step {
            id: None,
            created: step.created,
            created_by: step.created_by.unwrap_or_default(),
            size: layer.map_or(Ok(0), |layer| size(repo, layer))?,
            comment: step.comment.unwrap_or_default(),
            layer: layer.map(DiffId::to_string),
        });
    }
    steps.reverse();
    if let Some(last) = steps.first_mut() {
        last.id = Some(image.id.to_string());
    }
    Ok(steps)
}

fn size(repo: &Repo, layer: &DiffId) -> Result<u64, Failure> {
    Ok(store::stored_layer(repo, layer)?.map_or(0, |layer| layer.size))
}

fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= COMMAND_CHARS {
        return line;
    }
    line.chars().take(COMMAND_CHARS - 1).chain(['…']).collect()
}
