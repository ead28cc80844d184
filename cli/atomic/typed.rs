//! Flags of a command of berth's, made from words: what that command's own parser makes of them.

use std::ffi::OsString;

use clap::Parser;

use crate::report::Failure;

#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Typed<A: clap::Args> {
    #[command(flatten)]
    args: A,
}

/// Words in the making.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<OsString>);

impl Words {
    /// A flag that was given or not.
    pub(super) fn flag(mut self, flag: &str, given: bool) -> Self {
        if given {
            self.0.push(flag.into());
        }
        self
    }

    /// A flag with as many values as were given.
    pub(super) fn values<V: Into<OsString>>(
        mut self,
        flag: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        for value in values {
            // In one word, so that a value may begin with a dash.
            let mut word = OsString::from(flag);
            word.push("=");
            word.push(value.into());
            self.0.push(word);
        }
        self
    }

    /// What follows the flags.
    pub(super) fn rest<V: Into<OsString>>(mut self, rest: impl IntoIterator<Item = V>) -> Self {
        self.0.push("--".into());
        self.0.extend(rest.into_iter().map(Into::into));
        self
    }

    /// The flags of a command of berth's.
    pub(super) fn parse<A: clap::Args>(self) -> Result<A, Failure> {
        let typed = Typed::<A>::try_parse_from(self.0);
        let typed =
            typed.map_err(|error| Failure::usage(error.to_string().trim_end().to_owned()))?;
        Ok(typed.args)
    }
}
