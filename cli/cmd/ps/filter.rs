//! Which containers are listed: `-f KEY=VALUE` of `ps` and `prune`.
//!
//! Values of one key are alternatives, but for labels, which must all be there; keys all hold.

use regex::bytes::{Regex, RegexBuilder};
use runtime::{Container, Containers, State};

use super::row;
use crate::context::Context;
use crate::moment::moment;
use crate::report::Failure;

/// The keys of `ps`.
pub(crate) const LISTING: [&str; 13] = [
    "ancestor", "before", "exited", "health", "id", "label", "label!", "name", "network", "since",
    "status", "until", "volume",
];
/// The keys of `prune`.
pub(crate) const PRUNING: [&str; 3] = ["label", "label!", "until"];

/// How much memory a regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;
const STATES: [&str; 6] = [
    "created",
    "running",
    "paused",
    "restarting",
    "exited",
    "dead",
];

/// What `-f` asks for.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<(String, Wanted)>);

#[derive(Debug)]
enum Wanted {
    Text(String),
    /// A regular expression for a part of it.
    Like(Regex),
    Label(String, Option<String>),
    Code(i32),
    /// Created after this moment, in nanoseconds since 1970.
    Since(u64),
    /// Created before it.
    Before(u64),
}

impl Filters {
    /// Reads the values of `-f`; `keys` are those that are known.
    pub(crate) fn parse(
        texts: &[String],
        keys: &[&str],
        containers: &Containers,
        context: &Context,
    ) -> Result<Self, Failure> {
        let parsed: Result<_, _> = texts
            .iter()
            .map(|text| one(text, keys, containers, context))
            .collect();
        Ok(Self(parsed?))
    }

    /// Whether they ask for containers that do not run.
    pub(crate) fn want_all(&self) -> bool {
        self.0
            .iter()
            .any(|(key, _)| ["status", "exited"].contains(&key.as_str()))
    }

    /// Whether the container is one of those that are wanted.
    pub(crate) fn match_it(&self, container: &Container, state: State) -> Result<bool, Failure> {
        for (key, _) in &self.0 {
            let mut any = false;
            let mut all = true;
            for (_, wanted) in self.0.iter().filter(|(other, _)| other == key) {
                let holds = holds(key, wanted, container, state)?;
                any |= holds;
                all &= holds;
            }
            let fits = if key.starts_with("label") { all } else { any };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn one(
    text: &str,
    keys: &[&str],
    containers: &Containers,
    context: &Context,
) -> Result<(String, Wanted), Failure> {
    let fail = |why: String| Failure::usage(format!("cannot use filter {text:?}: {why}"));
    let Some((key, value)) = text.split_once('=') else {
        return Err(fail("expected KEY=VALUE".to_owned()));
    };
    if !keys.contains(&key) {
        let known: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|key| *key != "label!")
            .collect();
        return Err(fail(format!("the keys are {}", known.join(", "))));
    }
    let wanted = match key {
        "label" | "label!" => match value.split_once('=') {
            Some((name, value)) => Wanted::Label(name.to_owned(), Some(value.to_owned())),
            None => Wanted::Label(value.to_owned(), None),
        },
        "exited" => Wanted::Code(
            value
                .parse()
                .map_err(|_| fail("an exit code is a number".to_owned()))?,
        ),
        "status" if !STATES.contains(&value) => {
            return Err(fail(format!("the states are {}", STATES.join(", "))));
        }
        "since" => Wanted::Since(containers.find(value)?.record.created),
        "before" => Wanted::Before(containers.find(value)?.record.created),
        "until" => Wanted::Before(moment(value, context.now_ns())?),
        "name" => {
            let parsed = RegexBuilder::new(value)
                .unicode(false)
                .size_limit(REGEX_BYTES_MAX)
                .build();
            Wanted::Like(parsed.map_err(|error| fail(flat(&error.to_string())))?)
        }
        _ => Wanted::Text(value.to_owned()),
    };
    Ok((key.to_owned(), wanted))
}

/// The parser draws where the mistake is, over several lines; the last says what it is.
fn flat(said: &str) -> String {
    let last = said.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

fn holds(key: &str, wanted: &Wanted, container: &Container, state: State) -> Result<bool, Failure> {
    let record = &container.record;
    Ok(match (key, wanted) {
        ("label", Wanted::Label(name, value)) => has_label(container, name, value.as_deref()),
        ("label!", Wanted::Label(name, value)) => !has_label(container, name, value.as_deref()),
        (_, Wanted::Code(code)) => {
            matches!(state, State::Exited { code: found, .. } if found == Some(*code))
        }
        (_, Wanted::Since(moment)) => record.created > *moment,
        (_, Wanted::Before(moment)) => record.created < *moment,
        ("id", Wanted::Text(prefix)) => record.id.starts_with(prefix),
        (_, Wanted::Like(pattern)) => pattern.is_match(record.name.as_bytes()),
        ("status", Wanted::Text(status)) => state.name() == status,
        ("ancestor", Wanted::Text(image)) => is_of(container, image),
        ("volume", Wanted::Text(volume)) => container.inspect()?.mounts.iter().any(|mount| {
            mount.volume.as_deref() == Some(volume)
                || mount.source.as_os_str() == volume.as_str()
                || mount.destination.as_os_str() == volume.as_str()
        }),
        ("network", Wanted::Text(network)) => row::network(record) == *network,
        ("health", Wanted::Text(health)) => {
            row::health(container)?.as_deref().unwrap_or("none") == health
        }
        _ => false,
    })
}

fn has_label(container: &Container, name: &str, value: Option<&str>) -> bool {
    let found = container.record.settings.labels.get(name);
    found.is_some_and(|found| value.is_none_or(|value| value == found))
}

/// Whether the container is of this image: its name with or without a tag, also the familiar spelling, or the start of its
/// id.
fn is_of(container: &Container, image: &str) -> bool {
    let record = &container.record;
    let id = image.trim_start_matches("sha256:");
    let by_id = !id.is_empty() && record.image_id.hex().starts_with(id);
    let familiar = record
        .image
        .parse::<store::Reference>()
        .ok()
        .map(|reference| reference.familiar().to_string());
    let names = [Some(record.image.clone()), familiar];
    by_id
        || names.into_iter().flatten().any(|name| {
            name == image || store::ImageName::new(&name).is_ok_and(|it| it.split_tag().0 == image)
        })
}
