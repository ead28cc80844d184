//! Go's `printf`: `%s %v %d %q %t %x %f` with `-`, `0`, a width and a precision.

use serde_json::Value;

use super::functions::shown;

/// The widest field, and the longest fraction.
const WIDTH_MAX: usize = 1024;

/// Puts the values where `format` wants them. What does not fit is said in the text, as Go does.
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let (verb, after) = Verb::parse(after)?;
        rest = after;
        if verb.letter == '%' {
            text.push('%');
            continue;
        }
        match values.next() {
            Some(value) => text.push_str(&verb.padded(&verb.shown(value))),
            None => text.push_str(&format!("%!{}(MISSING)", verb.letter)),
        }
    }
    text.push_str(rest);
    let left: Vec<String> = values.map(shown).collect();
    if !left.is_empty() {
        text.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    Ok(text)
}

/// What stands after a `%`.
struct Verb {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

impl Verb {
    fn parse(text: &str) -> Result<(Self, &str), String> {
        let flags = text.trim_start_matches(['-', '0', '+', ' ', '#']);
        let given = &text[..text.len() - flags.len()];
        let (width, rest) = number(flags)?;
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = number(rest)?;
                (Some(precision), rest)
            }
            None => (None, rest),
        };
        let letter = rest.chars().next().ok_or("a % of printf has no letter")?;
        let verb = Self {
            left: given.contains('-'),
            zeros: given.contains('0'),
            width,
            precision,
            letter,
        };
        Ok((verb, &rest[letter.len_utf8()..]))
    }

    fn shown(&self, value: &Value) -> String {
        let wrong = || format!("%!{}({})", self.letter, shown(value));
        match (self.letter, value) {
            ('v', _) => shown(value),
            ('s', Value::Number(_) | Value::Bool(_)) => wrong(),
            ('s', _) => match self.precision {
                Some(chars) => shown(value).chars().take(chars).collect(),
                None => shown(value),
            },
            ('q', Value::String(text)) => Value::from(text.as_str()).to_string(),
            ('d', Value::Number(number)) if !number.is_f64() => number.to_string(),
            ('t', Value::Bool(value)) => value.to_string(),
            ('x', Value::Number(number)) => match number.as_i64() {
                Some(number) if number < 0 => format!("-{:x}", number.unsigned_abs()),
                Some(number) => format!("{number:x}"),
                None => wrong(),
            },
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('f', Value::Number(number)) => {
                let precision = self.precision.unwrap_or(6);
                format!("{:.precision$}", number.as_f64().unwrap_or_default())
            }
            _ => wrong(),
        }
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        match (self.left, self.zeros) {
            (true, _) => format!("{text:<width$}"),
            (false, true) => {
                let missing = width.saturating_sub(text.chars().count());
                let (sign, digits) = match text.strip_prefix('-') {
                    Some(digits) => ("-", digits),
                    None => ("", text),
                };
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
            (false, false) => format!("{text:>width$}"),
        }
    }
}

/// A number at the start of `text`, 0 if there is none, and what comes after it.
fn number(text: &str) -> Result<(usize, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits {
        "" => Ok((0, rest)),
        digits => match digits.parse() {
            Ok(number) if number <= WIDTH_MAX => Ok((number, rest)),
            _ => Err(format!("a width of printf is more than {WIDTH_MAX}")),
        },
    }
}
