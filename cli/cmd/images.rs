//! `berth images`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};
use store::{Image, ImageName, ImageUsage, ObjectId, Repo};

use crate::context::Context;
use crate::holders::Holders;
use crate::report::{self, Failure, human_age, human_size, note, out};
use crate::template::Format;

/// List images
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  berth images\n  berth images -f reference='*redis*' --json")]
pub(crate) struct ImagesArgs {
    /// Also images that have lost their name but are in use
    #[arg(short, long)]
    all: bool,
    /// Print only image ids
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Only images with reference=PATTERN, label=KEY[=VALUE] or id=PREFIX
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Only images of this name, with any tag if it has none
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show ids in full
    #[arg(long)]
    no_trunc: bool,
    /// Show the digests of manifests
    #[arg(long)]
    digests: bool,
    /// Print with a Go template, `json`, or `table` and a template
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["json", "quiet"])]
    format: Option<String>,
    /// Print no line of headers
    #[arg(short, long)]
    noheading: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    name: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
    id: String,
    digest: String,
    created: Option<String>,
    #[serde(flatten)]
    usage: ImageUsage,
    used_by: Vec<String>,
    #[serde(skip)]
    labels: BTreeMap<String, String>,
}

/// What `-f` asks for.
enum Filter {
    Reference(String),
    Label(String, Option<String>),
    Id(String),
}

/// Lists images.
pub(crate) fn images(args: ImagesArgs, context: &Context) -> Result<ExitCode, Failure> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut filters: Vec<Filter> = args
        .filters
        .iter()
        .map(|text| parse(text))
        .collect::<Result<_, _>>()?;
    filters.extend(args.name.clone().map(Filter::Reference));
    let Some(repo) = existing_repo(context)? else {
        return show(&args, format, context, Vec::new());
    };
    let _lock = context.lock_for_reading(&repo)?;
    let mut images: Vec<(Image, bool)> = Vec::new();
    for (name, image) in store::all_images(&repo)? {
        match image {
            Ok(image) => images.push((image, true)),
            Err(error) => note!(
                "warning: image {name} is damaged: {}: `berth verify --repair {name}` mends it",
                report::chain(&error)
            ),
        }
    }
    if args.all {
        let unnamed = unnamed(&repo, &images)?;
        images.extend(unnamed.into_iter().map(|image| (image, false)));
    }
    let (images, named): (Vec<Image>, Vec<bool>) = images.into_iter().unzip();
    if args.quiet {
        for (image, _) in images
            .iter()
            .zip(&named)
            .filter(|(image, named)| matches(&filters, image, **named))
        {
            out!("{}", short_id(&image.id.to_string(), args.no_trunc))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let usage = store::image_usage(&repo, &images)?;
    let holders = Holders::new(context);
    let mut rows = Vec::new();
    for ((image, named), usage) in images.iter().zip(named).zip(usage) {
        if matches(&filters, image, named) {
            rows.push(row(&repo, image, named, usage, &holders)?);
        }
    }
    show(&args, format, context, rows)
}

/// The repository; none where nothing was pulled yet, which is a list of no images.
fn existing_repo(context: &Context) -> Result<Option<Repo>, Failure> {
    match store::Repo::open(&context.repo) {
        Err(store::Error::NotFound { .. }) if context.repo == context.root.join("repo") => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Images that only a container or deployment holds.
fn unnamed(repo: &Repo, named: &[(Image, bool)]) -> Result<Vec<Image>, Failure> {
    let none = ImageName::new("<none>")?;
    let held = repo.refs("berth/used")?;
    let of = |path: &str| {
        held.iter()
            .find(|(name, _)| name.as_str() == path)
            .map(|(_, commit)| *commit)
    };
    let mut seen: Vec<ObjectId> = named.iter().map(|(image, _)| image.flat).collect();
    let mut images = Vec::new();
    for (name, flat) in &held {
        let Some(user) = name.as_str().strip_suffix("/fs") else {
            continue;
        };
        if let (false, Some(commit)) = (seen.contains(flat), of(&format!("{user}/image"))) {
            seen.push(*flat);
            images.push(store::load_image(repo, &none, commit, *flat)?);
        }
    }
    Ok(images)
}

fn row(
    repo: &Repo,
    image: &Image,
    named: bool,
    usage: ImageUsage,
    holders: &Holders<'_>,
) -> Result<Row, Failure> {
    let (repository, tag) = image.name.split_tag();
    Ok(Row {
        name: named.then(|| image.name.to_string()),
        repository: named.then(|| repository.to_owned()),
        tag: tag.map(str::to_owned),
        id: image.id.to_string(),
        digest: image.digest.to_string(),
        created: image.config.created.clone(),
        usage,
        used_by: holders.named(&store::users_of(repo, image)?),
        labels: image.config.container.labels.clone().unwrap_or_default(),
    })
}

fn show(
    args: &ImagesArgs,
    format: Option<Format>,
    context: &Context,
    rows: Vec<Row>,
) -> Result<ExitCode, Failure> {
    if args.json {
        report::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.quiet {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(format) = format {
        let rows: Vec<Value> = rows.iter().map(|row| fields(row, args, context)).collect();
        format.print(&rows, &HEADERS)?;
        return Ok(ExitCode::SUCCESS);
    }
    let none = || "<none>".to_owned();
    let cells = |row: &Row| {
        let created = match store::unix_seconds(row.created.as_deref()) {
            0 => "N/A".to_owned(),
            seconds => human_age(context.now().saturating_sub(seconds)),
        };
        let mut cells = vec![
            row.repository.clone().unwrap_or_else(none),
            row.tag.clone().unwrap_or_else(none),
            short_id(&row.id, args.no_trunc),
            created,
            human_size(row.usage.size),
            human_size(row.usage.unique),
            row.used_by.join(","),
        ];
        if args.digests {
            cells.insert(2, row.digest.clone());
        }
        cells
    };
    let mut head = [
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "CREATED",
        "SIZE",
        "UNIQUE",
        "USED BY",
    ]
    .map(str::to_owned)
    .to_vec();
    if args.digests {
        head.insert(2, "DIGEST".to_owned());
    }
    let table: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows.iter().map(cells))
        .collect();
    report::table(table.get(usize::from(args.noheading)..).unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

/// What stands above fields, where it is not their name.
const HEADERS: [(&str, &str); 2] = [("ID", "IMAGE ID"), ("CreatedSince", "CREATED")];

/// What `--format` sees, with podman's names.
fn fields(row: &Row, args: &ImagesArgs, context: &Context) -> Value {
    let none = || "<none>".to_owned();
    let since = match store::unix_seconds(row.created.as_deref()) {
        0 => "N/A".to_owned(),
        seconds => human_age(context.now().saturating_sub(seconds)),
    };
    json!({
        "ID": short_id(&row.id, args.no_trunc),
        "Repository": row.repository.clone().unwrap_or_else(none),
        "Tag": row.tag.clone().unwrap_or_else(none),
        "Name": row.name,
        "Names": row.name.iter().collect::<Vec<_>>(),
        "Labels": row.labels,
        "Digest": row.digest,
        "Created": since,
        "CreatedSince": since,
        "CreatedAt": row.created.clone().unwrap_or_default(),
        "Size": human_size(row.usage.size),
        "Unique": human_size(row.usage.unique),
        "Containers": row.used_by.len(),
        "UsedBy": row.used_by,
    })
}

fn short_id(id: &str, full: bool) -> String {
    if full {
        id.to_owned()
    } else {
        id.trim_start_matches("sha256:").chars().take(12).collect()
    }
}

fn parse(text: &str) -> Result<Filter, Failure> {
    match text.split_once('=') {
        Some(("reference", pattern)) => Ok(Filter::Reference(pattern.to_owned())),
        Some(("id", prefix)) => Ok(Filter::Id(prefix.trim_start_matches("sha256:").to_owned())),
        Some(("label", label)) => Ok(match label.split_once('=') {
            Some((key, value)) => Filter::Label(key.to_owned(), Some(value.to_owned())),
            None => Filter::Label(label.to_owned(), None),
        }),
        _ => Err(Failure::usage(format!(
            "filter {text:?} is malformed: expected reference=, label= or id="
        ))),
    }
}

fn matches(filters: &[Filter], image: &Image, named: bool) -> bool {
    filters.iter().all(|filter| match filter {
        Filter::Reference(pattern) => named && is_like(pattern, image),
        Filter::Id(prefix) => image.id.hex().starts_with(prefix),
        Filter::Label(key, wanted) => {
            let found = image
                .config
                .container
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key));
            found.is_some_and(|found| wanted.as_ref().is_none_or(|wanted| wanted == found))
        }
    })
}

/// Whether a pattern is for the whole name, its familiar spelling, or either without the tag.
fn is_like(pattern: &str, image: &Image) -> bool {
    let familiar = image
        .name
        .as_str()
        .parse::<store::Reference>()
        .ok()
        .map(|reference| reference.familiar());
    [Some(&image.name), familiar.as_ref()]
        .into_iter()
        .flatten()
        .any(|name| {
            glob(pattern.as_bytes(), name.as_str().as_bytes())
                || glob(pattern.as_bytes(), name.split_tag().0.as_bytes())
        })
}

/// `*` stands for anything, `?` for one byte.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < text.len() {
        match pattern.get(at.0) {
            Some(b'*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at.1] => at = (at.0 + 1, at.1 + 1),
            _ => match star {
                Some((pattern, text)) => {
                    star = Some((pattern, text + 1));
                    at = (pattern + 1, text + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at.0..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, expected) in [
            ("redis*", "redis:7", true),
            ("*redis*", "docker.io/library/redis:7", true),
            ("*:7", "redis:77", false),
            ("r?dis:7", "redis:7", true),
            ("redis", "redis:7", false),
            ("a*b*c", "aXbYbZc", true),
            ("", "", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
