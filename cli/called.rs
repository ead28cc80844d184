//! By which name berth was called, and commands that read their own words.
//!
//! Scripts and units call a runtime by its name; a link of that name to berth is enough. What a person types after such a
//! command is not berth's: `--root` there is another directory.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::quick::command_of;

/// Names that stand for a command.
const NAMES: [(&str, &str); 3] = [("runc", "oci"), ("berth-oci", "oci"), ("atomic", "atomic")];
/// Commands with words of their own.
const OWN_WORDS: [&str; 2] = ["oci", "atomic"];

/// The command line as it would have been typed with berth's own name.
pub(crate) fn command_line(argv: Vec<OsString>) -> Vec<OsString> {
    let name = argv.first().and_then(|name| Path::new(name).file_name());
    let Some((_, command)) = NAMES.iter().find(|(it, _)| name == Some(OsStr::new(it))) else {
        return argv;
    };
    let words = ["berth", command].map(OsString::from).into_iter();
    words.chain(argv.into_iter().skip(1)).collect()
}

/// What is berth's of a command line, up to a command with words of its own, and those words.
pub(crate) fn split(mut argv: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let Some(command) = command_of(&argv).filter(|it| OWN_WORDS.iter().any(|own| it == own)) else {
        return (argv, Vec::new());
    };
    let place = argv
        .iter()
        .skip(1)
        .position(|word| std::ptr::eq(word.as_os_str(), command));
    let words = place
        .map(|place| argv.split_off(place + 2))
        .unwrap_or_default();
    (argv, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_name_stands_for_a_command() {
        for (typed, meant) in [
            ("/usr/bin/runc --root /r list", "berth oci --root /r list"),
            ("berth-oci", "berth oci"),
            (
                "/usr/bin/atomic -y images list",
                "berth atomic -y images list",
            ),
            ("/x/berth run runc", "/x/berth run runc"),
            ("runc2 list", "runc2 list"),
        ] {
            assert_eq!(command_line(words(typed)), words(meant), "{typed}");
        }
        assert_eq!(command_line(Vec::new()), Vec::<OsString>::new());
    }

    #[test]
    fn the_words_of_a_runtime_are_its_own() {
        for (line, own, theirs) in [
            (
                "berth oci --root /r run -d x",
                "berth oci",
                "--root /r run -d x",
            ),
            ("berth --root oci oci oci", "berth --root oci oci", "oci"),
            ("berth run oci x", "berth run oci x", ""),
            ("berth oci", "berth oci", ""),
            ("berth", "berth", ""),
        ] {
            assert_eq!(split(words(line)), (words(own), words(theirs)), "{line}");
        }
    }
}
