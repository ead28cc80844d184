//! The command line of one command alone, for those whose start people wait for.
//!
//! Describing every flag of every command takes longer than making a user namespace. So where the command is one of
//! [`HOT`], only that one is described. What is parsed, and every word of help and errors, is the same.

use std::ffi::{OsStr, OsString};

use clap::{Args as _, FromArgMatches as _};

use crate::args::{Args, Global};
use crate::cmd;

type Describe = fn(clap::Command) -> clap::Command;

const HOT: [(&str, Describe); 1] = [("run", cmd::run::RunArgs::augment_args)];

/// Parses `argv`, program first, when it is a hot command's.
pub(crate) fn parse(argv: &[OsString]) -> Option<Result<Args, clap::Error>> {
    let name = command_of(argv)?;
    let (name, describe) = HOT.iter().find(|(hot, _)| name == *hot)?;
    let mut command = alone(name, *describe);
    let parsed = command
        .try_get_matches_from_mut(argv)
        .and_then(|mut matches| Args::from_arg_matches_mut(&mut matches))
        .map_err(|error| error.format(&mut command));
    Some(parsed)
}

fn alone(name: &'static str, describe: Describe) -> clap::Command {
    Global::augment_args(clap::Command::new("berth"))
        .subcommand_required(true)
        .subcommand(describe(clap::Command::new(name)))
}

/// The first word that is no global option and no value of one; all of them take a value.
pub(crate) fn command_of(argv: &[OsString]) -> Option<&OsStr> {
    let mut words = argv.iter().skip(1);
    loop {
        let word = words.next()?;
        let text = word.to_str()?;
        if !text.starts_with("--") {
            return (!text.starts_with('-')).then_some(word.as_os_str());
        }
        if !text.contains('=') {
            words.next()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser as _};

    fn argv(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_command_is_found_behind_global_options() {
        for (text, found) in [
            ("berth run --rm x", Some("run")),
            ("berth --root /a --progress=none run x", Some("run")),
            ("berth --root run", None),
            ("berth -h run", None),
            ("berth", None),
        ] {
            assert_eq!(command_of(&argv(text)), found.map(OsStr::new), "{text}");
        }
    }

    #[test]
    fn help_and_errors_are_the_same_words() {
        for (name, describe) in HOT {
            let mut all = Args::command();
            all.build();
            let whole = all
                .find_subcommand_mut(name)
                .expect("it is a command")
                .render_long_help();
            let mut one = alone(name, describe);
            one.build();
            let quick = one
                .find_subcommand_mut(name)
                .expect("it is there")
                .render_long_help();
            assert_eq!(quick.to_string(), whole.to_string());
            for text in [
                format!("berth {name}"),
                format!("berth {name} --no-such-flag x"),
                format!("berth --lock-timeout soon {name} x"),
            ] {
                let quick = parse(&argv(&text)).expect("it is hot").expect_err("wrong");
                let whole = Args::try_parse_from(argv(&text)).expect_err("wrong");
                assert_eq!(quick.to_string(), whole.to_string(), "{text}");
            }
        }
    }
}
