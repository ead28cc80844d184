//! The functions of templates: Go's own that people use, and those that docker and podman add.

use serde_json::Value;

use super::printf;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Or,
    Not,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Len,
    Index,
    Join,
    Split,
    Upper,
    Lower,
    Title,
    Truncate,
    Json,
    Print,
    Println,
    Printf,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "lt" => Self::Lt,
            "le" => Self::Le,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            "len" => Self::Len,
            "index" => Self::Index,
            "join" => Self::Join,
            "split" => Self::Split,
            "upper" => Self::Upper,
            "lower" => Self::Lower,
            "title" => Self::Title,
            "truncate" => Self::Truncate,
            "json" => Self::Json,
            "print" => Self::Print,
            "println" => Self::Println,
            "printf" => Self::Printf,
            _ => return None,
        })
    }

    /// Whether `and` or `or` need not look further than this argument.
    pub(super) fn is_decided_by(self, argument: &Value) -> bool {
        match self {
            Self::And => !truth(argument),
            Self::Or => truth(argument),
            _ => false,
        }
    }

    pub(super) fn call(self, arguments: Vec<Value>) -> Result<Value, String> {
        let wrong = || Err(format!("{} has arguments that it cannot use", self.name()));
        Ok(match (self, arguments.as_slice()) {
            // Nothing before the last has decided.
            (Self::And | Self::Or, [.., last]) => last.clone(),
            (Self::Not, [value]) => (!truth(value)).into(),
            (Self::Eq, [first, others @ ..]) if !others.is_empty() => {
                others.iter().any(|other| equal(first, other)).into()
            }
            (Self::Ne, [first, second]) => (!equal(first, second)).into(),
            (Self::Lt | Self::Le | Self::Gt | Self::Ge, [first, second]) => {
                match order(first, second) {
                    Some(order) => self.holds(order).into(),
                    None => return wrong(),
                }
            }
            (Self::Len, [Value::String(text)]) => text.len().into(),
            (Self::Len, [Value::Array(list)]) => list.len().into(),
            (Self::Len, [Value::Object(map)]) => map.len().into(),
            (Self::Len, [Value::Null]) => 0.into(),
            (Self::Index, [value, keys @ ..]) => index(value, keys)?,
            (Self::Join, [Value::Array(list), Value::String(between)]) => {
                let parts: Vec<String> = list.iter().map(shown).collect();
                parts.join(between).into()
            }
            (Self::Join, [Value::Null, Value::String(_)]) => "".into(),
            (Self::Split, [Value::String(text), Value::String(between)]) => {
                let parts = text.split(between.as_str());
                // An empty separator cuts between all characters.
                match between.is_empty() {
                    true => text.chars().map(|c| Value::from(c.to_string())).collect(),
                    false => parts.map(Value::from).collect(),
                }
            }
            (Self::Upper, [Value::String(text)]) => text.to_uppercase().into(),
            (Self::Lower, [Value::String(text)]) => text.to_lowercase().into(),
            (Self::Title, [Value::String(text)]) => title(text).into(),
            (Self::Truncate, [Value::String(text), Value::Number(count)]) => {
                let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
                match count {
                    Some(count) => text.chars().take(count).collect::<String>().into(),
                    None => return wrong(),
                }
            }
            (Self::Json, [value]) => value.to_string().into(),
            (Self::Print, values) => print(values).into(),
            (Self::Println, values) => {
                let parts: Vec<String> = values.iter().map(shown).collect();
                format!("{}\n", parts.join(" ")).into()
            }
            (Self::Printf, [Value::String(format), values @ ..]) => {
                printf::printf(format, values)?.into()
            }
            _ => return wrong(),
        })
    }

    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            _ => order.is_ge(),
        }
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Whether Go takes a value for true: what is neither empty nor zero.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as Go prints it: `[a b]`, `map[key:value]`.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(shown).collect();
            format!("[{}]", parts.join(" "))
        }
        Value::Object(map) => {
            let part = |(key, value): (&String, &Value)| format!("{key}:{}", shown(value));
            let parts: Vec<String> = map.iter().map(part).collect();
            format!("map[{}]", parts.join(" "))
        }
        other => other.to_string(),
    }
}

/// Go's `print`: a blank between two values of which none is a text.
fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| values.get(before));
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            text.push(' ');
        }
        text.push_str(&shown(value));
    }
    text
}

fn equal(first: &Value, second: &Value) -> bool {
    match (first, second) {
        (Value::Number(first), Value::Number(second)) => first.as_f64() == second.as_f64(),
        _ => first == second,
    }
}

fn order(first: &Value, second: &Value) -> Option<std::cmp::Ordering> {
    match (first, second) {
        (Value::Number(first), Value::Number(second)) => match (first.as_i64(), second.as_i64()) {
            (Some(first), Some(second)) => Some(first.cmp(&second)),
            _ => first.as_f64()?.partial_cmp(&second.as_f64()?),
        },
        (Value::String(first), Value::String(second)) => Some(first.cmp(second)),
        _ => None,
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut value = value.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Array(list), Value::Number(at)) => {
                let found = at.as_u64().and_then(|at| usize::try_from(at).ok());
                let found = found.and_then(|at| list.get(at)).cloned();
                found.ok_or_else(|| format!("index {at} of a list of {}", list.len()))?
            }
            (Value::Object(map), Value::String(key)) => match map.get(key) {
                Some(found) => found.clone(),
                // What is missing in a map of texts is the empty text.
                None if map.values().all(Value::is_string) => "".into(),
                None => Value::Null,
            },
            (Value::Null, _) => Value::Null,
            (value, key) => {
                return Err(format!("{} has no index {}", shown(value), shown(key)));
            }
        };
    }
    Ok(value)
}

fn title(text: &str) -> String {
    let mut begins = true;
    let mut result = String::new();
    for letter in text.chars() {
        match begins {
            true => result.extend(letter.to_uppercase()),
            false => result.push(letter),
        }
        begins = !letter.is_alphanumeric() && letter != '_' && letter != '\'';
    }
    result
}
