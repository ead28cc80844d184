//! Values in GVariant's text format, as far as stock ostree prints them: metadata and xattrs.

use std::fmt::Write as _;

use store::{Commit, ObjectId, Value, Xattrs};

/// How integers of metadata are read. The format leaves it open: stock ostree takes them for big-endian unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integers {
    /// Big-endian.
    Swapped,
    /// This machine's.
    Native,
}

/// A whole commit, as `ostree show --raw` prints it.
pub(crate) fn commit(commit: &Commit, integers: Integers) -> String {
    let metadata: Vec<String> = commit
        .metadata
        .iter()
        .map(|(key, it)| format!("{}: <{}>", string(key), value(it, integers)))
        .collect();
    let metadata = match metadata.is_empty() {
        true => "@a{sv} {}".to_owned(),
        false => format!("{{{}}}", metadata.join(", ")),
    };
    let time = match integers {
        Integers::Swapped => commit.timestamp,
        Integers::Native => commit.timestamp.swap_bytes(),
    };
    let id = |id: &ObjectId| byte_string(id.as_bytes(), true);
    format!(
        "({metadata}, {}, @a(say) [], {}, {}, uint64 {time}, {}, {})",
        commit.parent.as_ref().map_or("@ay []".to_owned(), id),
        string(&commit.subject),
        string(&commit.body),
        id(&commit.root.contents),
        id(&commit.root.meta),
    )
}

/// A metadata value.
pub(crate) fn value(value: &Value, integers: Integers) -> String {
    match value {
        Value::Str(text) => string(text),
        Value::StrList(list) if list.is_empty() => "@as []".to_owned(),
        Value::StrList(list) => format!(
            "[{}]",
            list.iter()
                .map(|text| string(text))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Value::U64(number) if integers == Integers::Swapped => {
            format!("uint64 {}", number.swap_bytes())
        }
        Value::U64(number) => format!("uint64 {number}"),
        Value::Bool(flag) => flag.to_string(),
        Value::Bytes(bytes) => byte_string(bytes, true),
        Value::Other { ty, bytes } => format!("<{} bytes of type {ty}>", bytes.len()),
    }
}

/// Extended attributes, as `ostree ls -X` prints them.
pub(crate) fn xattrs(xattrs: &Xattrs) -> String {
    if xattrs.is_empty() {
        return "@a(ayay) []".to_owned();
    }
    let pair = |(index, (name, value)): (usize, (&[u8], &[u8]))| {
        // The type is only said of the first element.
        let name = byte_string(&[name, &[0]].concat(), index == 0);
        format!("({name}, {})", byte_string(value, index == 0))
    };
    format!(
        "[{}]",
        xattrs
            .iter()
            .enumerate()
            .map(pair)
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// `ay`: bytes that end in their only NUL read as a string, others as numbers.
fn byte_string(bytes: &[u8], typed: bool) -> String {
    match bytes.split_last() {
        Some((0, text)) if !text.contains(&0) => quoted_bytes(text),
        None if typed => "@ay []".to_owned(),
        None => "[]".to_owned(),
        Some(_) => {
            let numbers: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
            format!(
                "[{}{}]",
                if typed { "byte " } else { "" },
                numbers.join(", ")
            )
        }
    }
}

fn quoted_bytes(text: &[u8]) -> String {
    let quote = if text.contains(&b'\'') { '"' } else { '\'' };
    let mut quoted = format!("b{quote}");
    for byte in text {
        match byte {
            0x08 => quoted.push_str("\\b"),
            0x0b => quoted.push_str("\\v"),
            0x0c => quoted.push_str("\\f"),
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            b'\\' => quoted.push_str("\\\\"),
            b'"' => quoted.push_str("\\\""),
            0x20..=0x7e => quoted.push(char::from(*byte)),
            _ => drop(write!(quoted, "\\{byte:03o}")),
        }
    }
    quoted.push(quote);
    quoted
}

fn string(text: &str) -> String {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => drop(write!(quoted, "\\{c}")),
            c if c.is_control() => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    // What stock ostree 2022.7 printed.
    #[test]
    fn xattrs_read_as_stock_ostree_prints_them() {
        assert_eq!(xattrs(&Xattrs::default()), "@a(ayay) []");
        let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        assert_eq!(
            xattrs(&Xattrs::new(vec![pair("user.foo", b"bar")])),
            "[(b'user.foo', [byte 0x62, 0x61, 0x72])]"
        );
    }

    #[test]
    fn strings_are_quoted_once() {
        let value = |it| value(&it, Integers::Native);
        assert_eq!(value(Value::Str("it's".into())), "\"it's\"");
        assert_eq!(value(Value::Str("a\"b\n".into())), "'a\"b\\n'");
        assert_eq!(
            value(Value::StrList(vec!["a".into(), "b".into()])),
            "['a', 'b']"
        );
    }
}
