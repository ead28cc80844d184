//! `--format`: the part of Go's templates that people use with docker and podman, over JSON values.
//!
//! ```text
//! text ─► scan: text and words of actions ─► parse: a tree ─► eval: the tree over a value ─► text
//! ```
//!
//! Fields, variables, `if`, `range`, `with`, pipes, brackets, and the functions of `functions.rs`. Outside of actions `\t`
//! and `\n` stand for a tab and a line's end, as docker has it. A field that a value does not have is an error, so that a
//! misspelt one is no empty answer. Nothing that is typed here makes us panic, recurse deeply or work without end.

mod eval;
mod functions;
mod parse;
mod printf;
mod scan;

use serde_json::{Map, Value};

use crate::report::{self, Failure, out};

/// The longest template, in bytes.
const TEMPLATE_BYTES_MAX: usize = 64 << 10;
/// How deep blocks and brackets may be nested.
const DEPTH_MAX: usize = 64;
/// How much work a template may do for one value.
const STEPS_MAX: u64 = 1_000_000;
/// The longest text that it makes of one value, in bytes.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// What `--format` asks for.
#[derive(Debug)]
pub(crate) enum Format {
    /// The word `json`: the whole value.
    Json,
    /// A template for each value.
    Lines(Template),
    /// `table` and a template: aligned columns under headers.
    Table(Template),
}

/// A template that was understood.
#[derive(Debug)]
pub(crate) struct Template(Vec<parse::Node>);

impl Format {
    /// Reads the text of `--format`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text == "json" {
            return Ok(Self::Json);
        }
        match text.strip_prefix("table ") {
            Some(rest) => Ok(Self::Table(Template::parse(rest.trim_start())?)),
            None => Ok(Self::Lines(Template::parse(text)?)),
        }
    }

    /// Prints the rows. Each is an object; `headers` says what stands above its fields, where that is not the name of the
    /// field in capitals.
    pub(crate) fn print(&self, rows: &[Value], headers: &[(&str, &str)]) -> Result<(), Failure> {
        match self {
            Self::Json => report::json(&rows),
            Self::Lines(template) => {
                for row in rows {
                    out!("{}", template.render(row)?)?;
                }
                Ok(())
            }
            Self::Table(template) => {
                let mut lines = Vec::new();
                if let Some(first) = rows.first() {
                    lines.push(template.render(&above(first, headers))?);
                }
                for row in rows {
                    lines.push(template.render(row)?);
                }
                let cells = |line: &String| line.split('\t').map(ToOwned::to_owned).collect();
                let table: Vec<Vec<String>> = lines.iter().map(cells).collect();
                report::table(&table)
            }
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, Failure> {
        let fail = |why: String| Failure::usage(format!("cannot use --format: {why}"));
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(fail(format!(
                "it is longer than {TEMPLATE_BYTES_MAX} bytes"
            )));
        }
        let pieces = scan::scan(text).map_err(fail)?;
        Ok(Self(parse::parse(pieces).map_err(fail)?))
    }

    /// The text that the template makes of `value`.
    pub(crate) fn render(&self, value: &Value) -> Result<String, Failure> {
        eval::render(&self.0, value)
            .map_err(|why| Failure::new(format!("cannot use --format: {why}")))
    }
}

/// An object like `row` that has headers for values.
fn above(row: &Value, headers: &[(&str, &str)]) -> Value {
    let names = row.as_object().into_iter().flat_map(Map::keys);
    let header = |name: &String| {
        let known = headers.iter().find(|(field, _)| field == name);
        known.map_or_else(|| spaced(name), |(_, header)| (*header).to_owned())
    };
    names
        .map(|name| (name.clone(), Value::String(header(name))))
        .collect::<Map<String, Value>>()
        .into()
}

/// `CreatedAt` as `CREATED AT`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    let mut before_small = false;
    for letter in name.chars() {
        if letter.is_uppercase() && before_small {
            text.push(' ');
        }
        before_small = letter.is_lowercase();
        text.extend(letter.to_uppercase());
    }
    text
}

#[cfg(test)]
mod tests;
