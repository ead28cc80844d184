//! The syntax of unit files, as systemd.syntax(7) has it: sections, assignments, continued lines, and words. Pure.

use super::File;
use crate::service::error::Error;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) value: String,
    /// Where it begins, from 1.
    pub(crate) number: usize,
}

/// The assignments of a file. A line that ends in a backslash goes on with the next one that is no comment, with a blank in
/// the backslash's place.
pub(crate) fn lines(file: &File) -> Result<Vec<Line>, Error> {
    let mut found = Vec::new();
    let mut section = None;
    let mut pending: Option<(usize, String)> = None;
    let is_comment = |line: &str| line.trim_start().starts_with(['#', ';']);
    for (at, line) in file.text.lines().enumerate() {
        if is_comment(line) {
            continue;
        }
        let (number, mut text) = pending.take().unwrap_or((at + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(line) => {
                text.push_str(line);
                text.push(' ');
                pending = Some((number, text));
            }
            None => {
                text.push_str(line);
                take(file, number, &text, &mut section, &mut found)?;
            }
        }
    }
    if let Some((number, text)) = pending {
        take(file, number, &text, &mut section, &mut found)?;
    }
    Ok(found)
}

fn take(
    file: &File,
    number: usize,
    text: &str,
    section: &mut Option<String>,
    found: &mut Vec<Line>,
) -> Result<(), Error> {
    let text = text.trim();
    let refuse = |why: &str| {
        Err(Error::Quadlet {
            file: file.path.display().to_string(),
            line: number,
            why: why.to_owned(),
        })
    };
    if text.is_empty() {
        return Ok(());
    }
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return refuse("a control character is in it");
    }
    if let Some(name) = text.strip_prefix('[') {
        return match name.strip_suffix(']') {
            Some(name) if !name.is_empty() => {
                *section = Some(name.to_owned());
                Ok(())
            }
            _ => refuse("it is no header of a section"),
        };
    }
    let (Some(section), Some((key, value))) = (section, text.split_once('=')) else {
        return refuse("it is no assignment in a section");
    };
    found.push(Line {
        section: section.clone(),
        key: key.trim_end().to_owned(),
        value: value.trim_start().to_owned(),
        number,
    });
    Ok(())
}

/// Splits a value into words as systemd does: blanks between them, quotes of both kinds, escapes as in C. Tells what is
/// wrong with it.
pub(crate) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                let c = escape(&mut rest)?;
                word.get_or_insert_default().push(c);
            }
            '"' | '\'' if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && quote.is_none() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(quote) => Err(format!("a quote {quote} is not closed")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

/// What follows a backslash.
fn escape(rest: &mut std::str::Chars<'_>) -> Result<char, String> {
    let c = rest.next().ok_or("a backslash stands at its end")?;
    let digits = |rest: &mut std::str::Chars<'_>, first: &str, count: usize, radix| {
        let more: String = rest.take(count).collect();
        let whole = more.chars().count() == count;
        let code = u32::from_str_radix(&format!("{first}{more}"), radix).ok();
        code.filter(|code| whole && *code != 0)
            .and_then(char::from_u32)
            .ok_or_else(|| format!("the escape \\{c} is incomplete"))
    };
    match c {
        'a' => Ok('\u{7}'),
        'b' => Ok('\u{8}'),
        'f' => Ok('\u{c}'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\u{b}'),
        's' => Ok(' '),
        '\\' | '"' | '\'' | ' ' => Ok(c),
        'x' => digits(rest, "", 2, 16).and_then(|c| match c.is_ascii() {
            true => Ok(c),
            false => Err("the escape \\x is for ASCII; use \\u".to_owned()),
        }),
        'u' => digits(rest, "", 4, 16),
        'U' => digits(rest, "", 8, 16),
        '0'..='7' => digits(rest, c.encode_utf8(&mut [0; 4]), 2, 8),
        other => Err(format!("the escape \\{other} is not known")),
    }
}
