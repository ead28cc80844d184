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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values as Python's `substitute(A='1', Ab='2', _x9='$A')` has them.
    fn value(name: &str) -> Option<String> {
        let value = match name {
            "A" => "1",
            "Ab" => "2",
            "_x9" => "$A",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn render(text: &str) -> Result<String, Error> {
        Template::parse("f", text)?.render(&mut |name| Ok(value(name)))
    }

    /// What Python 3 gives.
    #[test]
    fn placeholders_are_pythons() {
        for (text, rendered) in [
            ("", ""),
            ("no dollar", "no dollar"),
            ("$A$A", "11"),
            ("$$", "$"),
            ("$$A", "$A"),
            ("$$$A", "$1"),
            ("$A$$", "1$"),
            ("${A}b", "1b"),
            ("$Ab", "2"),
            ("$A.b", "1.b"),
            ("$Aé", "1é"),
            ("exec $A run $$@", "exec 1 run $@"),
            ("${_x9}$A", "$A1"),
        ] {
            assert_eq!(render(text).expect(text), rendered, "{text:?}");
        }
    }

    /// Lines and columns that Python 3 gives.
    #[test]
    fn what_is_no_placeholder_is_told_by_line_and_column() {
        for (text, line, column) in [
            ("$", 1, 1),
            ("a$", 1, 2),
            ("$(x)", 1, 1),
            ("$5", 1, 1),
            ("${A:-b}", 1, 1),
            ("${}", 1, 1),
            ("${A", 1, 1),
            ("$A-$", 1, 4),
            ("ab\n$", 2, 1),
            ("a\n  $(", 2, 3),
            ("\n\n$!", 3, 1),
            ("x\r\ny $-", 2, 3),
            ("a\rb\r$?", 3, 1),
            ("é\u{2028} $ ", 2, 2),
            ("a\u{b}$.", 2, 1),
            ("a\u{1c}b$9", 2, 2),
            ("a\u{85}b$", 2, 2),
        ] {
            let error = Template::parse("exports/x", text).expect_err(text);
            assert_eq!(
                error.to_string(),
                format!(
                    "cannot render exports/x: Invalid placeholder in string: line {line}, col {column}"
                ),
                "{text:?}"
            );
        }
    }

    #[test]
    fn all_missing_values_are_named_once() {
        let error = render("$NO ${A} $B$NO").expect_err("two are missing");
        assert_eq!(
            error.to_string(),
            "The template file 'f' still contains an unreplaced value for: ''NO'', ''B''"
        );
    }

    #[test]
    fn what_is_rendered_has_a_limit() {
        let text = "$A".repeat(5);
        let template = Template::parse("f", &text).expect("valid");
        let long = "x".repeat(RENDERED_BYTES_MAX / 5 + 1);
        let error = template.render(&mut |_| Ok(Some(long.clone())));
        assert_eq!(
            error.expect_err("it is long").to_string(),
            "f, rendered, exceeds the limit of 4194304 bytes"
        );
        let fits = "x".repeat(RENDERED_BYTES_MAX / 5);
        assert!(template.render(&mut |_| Ok(Some(fits.clone()))).is_ok());
    }

    /// A piece with what it is written as and what becomes of it.
    fn piece() -> impl Strategy<Value = (String, String)> {
        let variable = prop_oneof![Just("A"), Just("Ab"), Just("_x9")];
        let known = |name: &str| value(name).unwrap_or_default();
        prop_oneof![
            Just(("$$".to_owned(), "$".to_owned())),
            // A name ends at the first character that is none of a name's.
            "[^$A-Za-z0-9_][^$]{0,8}".prop_map(|text| (text.clone(), text)),
            variable
                .clone()
                .prop_map(move |name| (format!("${name} "), known(name) + " ")),
            variable.prop_map(move |name| (format!("${{{name}}}"), known(name))),
        ]
    }

    /// The pattern of `string.Template`, tried at each character.
    fn model(text: &str) -> Option<String> {
        let chars: Vec<char> = text.chars().collect();
        let is_start = |c: &char| c.is_ascii_alphabetic() || *c == '_';
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let (mut done, mut at) = (String::new(), 0);
        while at < chars.len() {
            if chars[at] != '$' {
                done.push(chars[at]);
                at += 1;
                continue;
            }
            let braced = chars.get(at + 1) == Some(&'{');
            let start = at + 1 + usize::from(braced);
            let mut end = start;
            while chars.get(end).is_some_and(is_name) {
                end += 1;
            }
            if chars.get(at + 1) == Some(&'$') {
                done.push('$');
                at += 2;
            } else if !chars.get(start).is_some_and(is_start)
                || braced && chars.get(end) != Some(&'}')
            {
                return None;
            } else {
                let name: String = chars[start..end].iter().collect();
                done.push_str(&value(&name)?);
                at = end + usize::from(braced);
            }
        }
        Some(done)
    }

    proptest! {
        #[test]
        fn pieces_become_what_they_stand_for(pieces in proptest::collection::vec(piece(), 0..12)) {
            let text: String = pieces.iter().map(|(text, _)| text.as_str()).collect();
            let rendered: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
            prop_assert_eq!(render(&text).expect("valid"), rendered);
        }

        #[test]
        fn any_text_is_read_as_the_model_reads_it(text in "([$]|[$][{]|[}]|Ab?|_x9|[ 9é\n-]){0,12}") {
            prop_assert_eq!(render(&text).ok(), model(&text));
        }
    }
}
