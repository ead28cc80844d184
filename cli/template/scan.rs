//! A template's text cut into what is printed as it is and the words of its actions.

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Word>),
}

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    /// `.Name`, or `.` alone with an empty name. `glued` says that no blank stands before it.
    Field {
        name: String,
        glued: bool,
    },
    /// `$name`, or `$` with an empty name.
    Variable(String),
    /// A function, a keyword, `true`, `false` or `nil`.
    Name(String),
    Text(String),
    Number(serde_json::Number),
    /// One of `|`, `(`, `)`, `,`, `:=` and `=`.
    Mark(&'static str),
}

/// Cuts `text` into pieces.
pub(super) fn scan(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    loop {
        let start = rest.find("{{");
        let (before, after) = match start {
            Some(at) => (&rest[..at], Some(&rest[at + 2..])),
            None => (rest, None),
        };
        let trim_end = after.is_some_and(|after| begins_trimmed(after));
        let mut before = before;
        if trim {
            before = before.trim_start();
        }
        if trim_end {
            before = before.trim_end();
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(escaped(before)));
        }
        let Some(mut action) = after else {
            return Ok(pieces);
        };
        if trim_end {
            action = &action[1..];
        }
        if let Some(comment) = action.trim_start().strip_prefix("/*") {
            let end = comment.find("*/").ok_or("a comment does not end")?;
            let tail = comment[end + 2..].trim_start();
            trim = tail.starts_with("-}}");
            rest = tail
                .trim_start_matches('-')
                .strip_prefix("}}")
                .ok_or("something stands after a comment")?;
            continue;
        }
        let (words, left, trimmed) = words(action)?;
        pieces.push(Piece::Action(words));
        (rest, trim) = (left, trimmed);
    }
}

/// `{{- ` trims the text before it; `{{-3}}` is a number.
fn begins_trimmed(action: &str) -> bool {
    let mut chars = action.chars();
    chars.next() == Some('-') && chars.next().is_some_and(char::is_whitespace)
}

/// `\t` and `\n` outside of actions, as docker has it.
fn escaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// The words of an action, what comes after it, and whether blanks there are to go.
fn words(text: &str) -> Result<(Vec<Word>, &str, bool), String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let word = rest.trim_start();
        let glued = word.len() == rest.len() && !found.is_empty();
        if let Some(left) = word.strip_prefix("}}") {
            return Ok((found, left, false));
        }
        if let (false, Some(left)) = (glued, word.strip_prefix("-}}")) {
            return Ok((found, left, true));
        }
        let (next, left) = one(word, glued)?;
        found.push(next);
        rest = left;
    }
}

fn one(text: &str, glued: bool) -> Result<(Word, &str), String> {
    let mut chars = text.chars();
    let first = chars
        .next()
        .ok_or("an action does not end: }} is missing")?;
    let second = chars.next();
    for mark in [":=", "|", "(", ")", ",", "="] {
        if let Some(rest) = text.strip_prefix(mark) {
            return Ok((Word::Mark(mark), rest));
        }
    }
    let name_end = |text: &str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    match first {
        '.' if !second.is_some_and(|second| second.is_ascii_digit()) => {
            let (name, rest) = text[1..].split_at(name_end(&text[1..]));
            let name = name.to_owned();
            Ok((Word::Field { name, glued }, rest))
        }
        '$' => {
            let (name, rest) = text[1..].split_at(name_end(&text[1..]));
            Ok((Word::Variable(name.to_owned()), rest))
        }
        '"' => quoted(text),
        '`' => {
            let end = text[1..].find('`').ok_or("a string does not end")?;
            Ok((Word::Text(text[1..=end].to_owned()), &text[end + 2..]))
        }
        '-' | '+' | '.' | '0'..='9' => number(text),
        _ if first.is_alphabetic() || first == '_' => {
            let (name, rest) = text.split_at(name_end(text));
            Ok((Word::Name(name.to_owned()), rest))
        }
        other => Err(format!("unexpected {other:?} in an action")),
    }
}

fn number(text: &str) -> Result<(Word, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let plain = number.trim_start_matches('+');
    let value = match plain.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => plain.parse().ok().and_then(serde_json::Number::from_f64),
    };
    let value = value.ok_or_else(|| format!("{number:?} is no number"))?;
    Ok((Word::Number(value), rest))
}

fn quoted(text: &str) -> Result<(Word, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, letter)) = chars.next() {
        match letter {
            '"' => return Ok((Word::Text(value), &text[at + 1..])),
            '\n' => break,
            '\\' => value.push(match chars.next().map(|(_, letter)| letter) {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(same @ ('"' | '\\' | '\'')) => same,
                _ => return Err("a string has an unknown escape".to_owned()),
            }),
            letter => value.push(letter),
        }
    }
    Err("a string does not end".to_owned())
}
