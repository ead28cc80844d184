//! How something that is wrong with the store is told, by `fsck` and `verify` alike.

use serde::Serialize;
use store::Problem;

use crate::report::{Failure, chain, out, printable};

/// A problem in words.
#[derive(Serialize)]
pub(crate) struct Shown {
    kind: Option<&'static str>,
    id: Option<String>,
    place: Option<String>,
    problem: String,
}

impl Shown {
    pub(crate) fn new(problem: &Problem) -> Self {
        Self {
            kind: problem.object.map(|(kind, _)| kind.as_str()),
            id: problem.object.map(|(_, id)| id.hex()),
            place: problem.place.clone(),
            problem: chain(&problem.error),
        }
    }

    /// Prints it in a line that begins with `whose`.
    pub(crate) fn print(&self, whose: &str) -> Result<(), Failure> {
        let problem = &self.problem;
        match &self.place {
            Some(place) => out!("{whose}{problem} (in {})", printable(place)),
            None => out!("{whose}{problem}"),
        }
    }
}

/// The last words on so many problems.
pub(crate) fn verdict(problems: &[Shown]) -> String {
    match problems.len() {
        0 => "no problems".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}
