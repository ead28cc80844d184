//! Templates as Python's `string.Template` reads them, whose language Atomic's images are written in. Pure.
//!
//! `$NAME` and `${NAME}` are a variable, `$$` is a dollar; a name is `[A-Za-z_][A-Za-z0-9_]*` in ASCII, as long as possible.
//! Any other `$` is an error at its line and column. Values are put in as they are and not read again.

use super::error::Error;

/// The largest rendered text, in bytes.
pub(crate) const RENDERED_BYTES_MAX: usize = 4 << 20;

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template<'a> {
    file: &'a str,
    pieces: Vec<Piece<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

impl<'a> Template<'a> {
    /// Reads the text of `file`, which errors name.
    pub(crate) fn parse(file: &'a str, text: &'a str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            let Some((piece, length)) = placeholder(from) else {
                let (line, column) = position(&text[..text.len() - from.len()]);
                return Err(Error::Placeholder {
                    file: file.to_owned(),
                    line,
                    column,
                });
            };
            pieces.push(piece);
            rest = &from[length..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest));
        }
        Ok(Self { file, pieces })
    }

    /// The names of its variables, each once, in their order.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let mut names = Vec::new();
        for piece in &self.pieces {
            if let Piece::Variable(name) = piece
                && !names.contains(name)
            {
                names.push(name);
            }
        }
        names
    }

    /// Puts the values in. Fails when one is missing, naming all that are, or when the text grows over
    /// [`RENDERED_BYTES_MAX`].
    pub(crate) fn render(
        &self,
        value: &mut dyn FnMut(&str) -> Result<Option<String>, Error>,
    ) -> Result<String, Error> {
        let mut values = std::collections::BTreeMap::new();
        let mut missing = Vec::new();
        for name in self.names() {
            match value(name)? {
                Some(value) => drop(values.insert(name, value)),
                None => missing.push(name.to_owned()),
            }
        }
        if !missing.is_empty() {
            return Err(Error::Unreplaced {
                file: self.file.to_owned(),
                names: missing,
            });
        }
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(name) => text.push_str(values.get(name).map_or("", String::as_str)),
            }
            if text.len() > RENDERED_BYTES_MAX {
                return Err(Error::TooLarge {
                    what: format!("{}, rendered,", self.file),
                    limit: format!("{RENDERED_BYTES_MAX} bytes"),
                });
            }
        }
        Ok(text)
    }
}

/// The placeholder that `text` begins with, and its length; `None` when it is none.
fn placeholder(text: &str) -> Option<(Piece<'_>, usize)> {
    let after = text.strip_prefix('$')?;
    if after.starts_with('$') {
        return Some((Piece::Text("$"), 2));
    }
    if let Some(braced) = after.strip_prefix('{') {
        let name = identifier(braced)?;
        return braced[name.len()..]
            .starts_with('}')
            .then_some((Piece::Variable(name), name.len() + 3));
    }
    let name = identifier(after)?;
    Some((Piece::Variable(name), name.len() + 1))
}

fn identifier(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let name = &text[..end];
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(name)
}

/// Line and column, both from 1 and in characters, of what follows `before`; lines end where Python's `splitlines` ends
/// them.
fn position(before: &str) -> (usize, usize) {
    let (mut line, mut column) = (1, 1);
    let mut last = None;
    for c in before.chars() {
        match c {
            '\n' if last == Some('\r') => {}
            '\n'
            | '\r'
            | '\u{b}'
            | '\u{c}'
            | '\u{1c}'..='\u{1e}'
            | '\u{85}'
            | '\u{2028}'
            | '\u{2029}' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
        last = Some(c);
    }
    (line, column)
}
