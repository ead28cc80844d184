//! `atomic images list`.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};
use store::{Image, Repo};

use super::super::layout;
use super::super::storage::OSTREE;
use crate::context::Context;
use crate::report::{self, Failure, note, out};

/// What `-f` knows.
const FILTERS: [&str; 9] = [
    "repo",
    "repository",
    "tag",
    "id",
    "image",
    "created",
    "size",
    "type",
    "is_dangling",
];

/// How much of an id is shown.
const SHORT_ID: usize = 12;

/// List container images on your system
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  atomic images list -f repo=busybox")]
pub(super) struct ListArgs {
    /// Show all images, including intermediate images
    #[arg(short, long)]
    all: bool,
    /// Filter output based on VARIABLE=VALUE format
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not print the heading
    #[arg(short, long)]
    noheading: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Print in a machine parseable form
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    repo: String,
    tag: String,
    is_dangling: bool,
    used: bool,
    vulnerable: bool,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    created: String,
    virtual_size: String,
    backend: &'static str,
    vuln_info: Map<String, Value>,
    #[serde(skip)]
    bytes: u64,
    /// The name as people write it.
    #[serde(skip)]
    familiar: String,
}

/// Lists images, and with `-a` layers and configs.
pub(super) fn list(args: &ListArgs, context: &Context) -> Result<ExitCode, Failure> {
    let filters = filters(&args.filter)?;
    let mut rows = match Repo::open(&context.repo) {
        Err(store::Error::NotFound { .. }) => Vec::new(),
        repo => rows(&repo?, args.all, context)?,
    };
    rows.retain(|row| filters.iter().all(|(key, value)| row.has(key, value)));
    if args.json && !args.quiet {
        layout::json(&rows)?;
    } else {
        print(&rows, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn filters(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let parse = |text: &String| {
        let mut parts = text.split('=');
        let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Failure::new(format!(
                "The filter {text} is not formatted correctly.  It should be VAR=VALUE"
            )));
        };
        let key = key.to_lowercase();
        if !FILTERS.contains(&key.as_str()) {
            return Err(Failure::new(format!(
                "The filter {key} is not valid.  Please choose from {}",
                layout::list(&FILTERS)
            )));
        }
        Ok((key, value.to_lowercase()))
    };
    texts.iter().map(parse).collect()
}

fn rows(repo: &Repo, all: bool, context: &Context) -> Result<Vec<Row>, Failure> {
    let _lock = context.lock_for_reading(repo)?;
    let mut rows = Vec::new();
    for (name, image) in store::all_images(repo)? {
        match image {
            Ok(image) => rows.push(Row::of_image(repo, &image)?),
            Err(error) => note!(
                "warning: image {name} is damaged: {}: `berth verify --repair {name}` mends it",
                report::chain(&error)
            ),
        }
    }
    if all {
        for (name, commit) in repo.refs("ociimage")? {
            let name = name.as_str().trim_start_matches("ociimage/");
            if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let commit = repo.read_commit(&commit)?;
                let size = commit
                    .get_str("docker.size")
                    .and_then(|size| size.parse().ok());
                let (repo, tag) = (String::new(), String::new());
                let size = size.unwrap_or_default();
                rows.push(Row::new(
                    (repo, tag),
                    name.to_owned(),
                    commit.timestamp,
                    size,
                ));
            }
        }
    }
    Ok(rows)
}

fn print(rows: &[Row], args: &ListArgs) -> Result<(), Failure> {
    let id = |row: &Row| match args.no_trunc {
        true => row.id.clone(),
        false => layout::cut(&row.id, SHORT_ID).to_owned(),
    };
    if args.quiet {
        return rows.iter().try_for_each(|row| out!("{}", id(row)));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let widest = |cell: &dyn Fn(&Row) -> usize| rows.iter().map(cell).max().unwrap_or(0) + 2;
    let shown = |text: &str| match text.is_empty() {
        true => "<none>".to_owned(),
        false => text.to_owned(),
    };
    let widths = [
        2,
        widest(&|row| shown(&row.repo).chars().count()),
        widest(&|row| shown(&row.tag).chars().count()),
        if args.no_trunc { 65 } else { 14 },
        18,
        14,
        10,
    ];
    if !args.noheading {
        let heading = [
            " ",
            "REPOSITORY",
            "TAG",
            "IMAGE ID",
            "CREATED",
            "VIRTUAL SIZE",
            "TYPE",
        ];
        layout::line(&heading, &widths)?;
    }
    for row in rows {
        let cells = [
            if row.used { ">" } else { "" },
            &shown(&row.repo),
            &shown(&row.tag),
            &id(row),
            layout::cut(&row.created, 16),
            &row.virtual_size,
            row.backend,
        ];
        layout::line(&cells, &widths)?;
    }
    Ok(())
}

impl Row {
    fn new((repo, tag): (String, String), id: String, created: u64, bytes: u64) -> Self {
        Self {
            repo,
            tag,
            is_dangling: false,
            used: false,
            vulnerable: false,
            id,
            kind: "image",
            created: layout::time(created),
            virtual_size: match bytes {
                0 => String::new(),
                bytes => layout::size(bytes),
            },
            backend: OSTREE,
            vuln_info: Map::new(),
            bytes,
            familiar: String::new(),
        }
    }

    fn of_image(repo: &Repo, image: &Image) -> Result<Self, Failure> {
        let (name, tag) = image.name.split_tag();
        let name = (name.to_owned(), tag.unwrap_or_default().to_owned());
        let created = store::unix_seconds(image.config.created.as_deref());
        let bytes = image.manifest.layers.iter().map(|layer| layer.size).sum();
        let reference = image.name.as_str().parse::<store::Reference>().ok();
        Ok(Self {
            used: !store::users_of(repo, image)?.is_empty(),
            familiar: reference.map_or_else(String::new, |it| it.familiar().to_string()),
            ..Self::new(name, image.id.hex(), created, bytes)
        })
    }

    fn has(&self, key: &str, value: &str) -> bool {
        match key {
            "repo" | "repository" => self.repo.contains(value) || self.familiar.contains(value),
            "tag" => self.tag.contains(value),
            "id" | "image" => self.id.contains(value),
            "created" => self.created.contains(value),
            "size" => {
                self.bytes.to_string().contains(value)
                    || self.virtual_size.to_lowercase().contains(value)
            }
            "type" => self.backend.contains(value),
            _ => self.is_dangling.to_string().contains(value),
        }
    }
}
