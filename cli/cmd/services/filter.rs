//! Which services are listed: `-f KEY=VALUE`, as Atomic had it.

use runtime::service::Listed;

use super::row;
use crate::report::Failure;

/// The keys, in the order in which they are told.
const KEYS: [&str; 7] = [
    "container",
    "image",
    "command",
    "created",
    "state",
    "runtime",
    "backend",
];

/// What `-f` asks for; all of it has to hold.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<(String, String)>);

impl Filters {
    /// Reads the values of `-f`.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Failure> {
        texts
            .iter()
            .map(|text| one(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether something is asked of this key.
    pub(crate) fn ask_for(&self, key: &str) -> bool {
        self.0.iter().any(|(it, _)| it == key)
    }

    /// Whether the service is one of those that are wanted: a value is a part of what it has, in any case.
    pub(crate) fn match_it(&self, service: &Listed) -> bool {
        self.0.iter().all(|(key, value)| {
            let has = row::value(service, key).to_lowercase();
            has.contains(&value.to_lowercase())
        })
    }
}

fn one(text: &str) -> Result<(String, String), Failure> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(Failure::usage(format!(
            "cannot use filter {text:?}: expected KEY=VALUE"
        )));
    };
    if !KEYS.contains(&key) {
        let known: Vec<String> = KEYS.iter().map(|key| format!("'{key}'")).collect();
        return Err(Failure::usage(format!(
            "The filter {key} is not valid.  Please choose from [{}]",
            known.join(", ")
        )));
    }
    Ok((key.to_owned(), value.to_owned()))
}
