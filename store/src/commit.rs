//! Commits: a tree with a parent, a message and metadata. Pure.

use crate::error::{Error, Result};
use crate::gvariant::{self, Member, Tuple, Why};
use crate::id::ObjectId;
use crate::object::{TreeId, to_id};

/// A value in a commit's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Type `s`.
    Str(String),
    /// Type `as`.
    StrList(Vec<String>),
    /// Type `t`, native byte order.
    U64(u64),
    /// Type `b`.
    Bool(bool),
    /// Type `ay`.
    Bytes(Vec<u8>),
    /// Any other type, kept as it came.
    Other {
        /// The GVariant type string.
        ty: String,
        /// The serialised value.
        bytes: Vec<u8>,
    },
}

impl Value {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Str(text) => gvariant::variant("s", &gvariant::string(text)),
            Self::StrList(list) => gvariant::variant(
                "as",
                &gvariant::array(1, list.iter().map(|text| gvariant::string(text))),
            ),
            Self::U64(number) => gvariant::variant("t", &number.to_ne_bytes()),
            Self::Bool(flag) => gvariant::variant("b", &[u8::from(*flag)]),
            Self::Bytes(bytes) => gvariant::variant("ay", bytes),
            Self::Other { ty, bytes } => gvariant::variant(ty, bytes),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Why> {
        let (ty, child) = gvariant::to_variant(bytes)?;
        Ok(match ty {
            "s" => Self::Str(gvariant::to_str(child)?.to_owned()),
            "as" => Self::StrList(
                gvariant::split_array(child, 1)?
                    .into_iter()
                    .map(|text| gvariant::to_str(text).map(str::to_owned))
                    .collect::<Result<_, _>>()?,
            ),
            "t" => Self::U64(u64::from_ne_bytes(
                child.try_into().map_err(|_| "an integer is cut short")?,
            )),
            "b" if child.len() == 1 && child[0] < 2 => Self::Bool(child[0] == 1),
            "ay" => Self::Bytes(child.to_vec()),
            _ => Self::Other {
                ty: ty.to_owned(),
                bytes: child.to_vec(),
            },
        })
    }
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Metadata; the order is part of the id.
    pub metadata: Vec<(String, Value)>,
    /// The commit before this one. 32 zero bytes (skopeo's) read as `Some` of that id.
    pub parent: Option<ObjectId>,
    /// The first line.
    pub subject: String,
    /// The rest.
    pub body: String,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// The root directory.
    pub root: TreeId,
}

/// `a{sv}`: the metadata in a commit, and that kept beside one.
pub(crate) fn parse_dict(bytes: &[u8]) -> Result<Vec<(String, Value)>, Why> {
    gvariant::split_array(bytes, 8)?
        .into_iter()
        .map(|entry| {
            let [key, value] =
                gvariant::split_tuple(entry, [Member::Variable(1), Member::Variable(8)])?;
            Ok((gvariant::to_str(key)?.to_owned(), Value::decode(value)?))
        })
        .collect()
}

const COMMIT_SHAPE: [Member; 8] = [
    Member::Variable(8),
    Member::Variable(1),
    Member::Variable(1),
    Member::Variable(1),
    Member::Variable(1),
    Member::Fixed(8, 8),
    Member::Variable(1),
    Member::Variable(1),
];

impl Commit {
    /// Whether it was committed to no branch on purpose, as `ostree commit --orphan` does.
    pub fn is_orphan(&self) -> bool {
        let binding = |(key, value): &(String, Value)| {
            key == "ostree.ref-binding" && *value == Value::StrList(Vec::new())
        };
        self.metadata.iter().any(binding)
    }

    /// `(a{sv}aya(say)sstayay)`.
    pub fn encode(&self) -> Vec<u8> {
        let metadata = gvariant::array(
            8,
            self.metadata.iter().map(|(key, value)| {
                Tuple::default()
                    .string(key)
                    .variable(8, &value.encode())
                    .finish()
            }),
        );
        let parent: &[u8] = self.parent.as_ref().map_or(&[], |id| id.as_bytes());
        Tuple::default()
            .variable(8, &metadata)
            .variable(1, parent)
            .variable(1, &[])
            .string(&self.subject)
            .string(&self.body)
            .fixed(8, &self.timestamp.to_be_bytes())
            .variable(1, self.root.contents.as_bytes())
            .variable(1, self.root.meta.as_bytes())
            .finish()
    }

    /// The reverse of [`Commit::encode`].
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        Self::parse(bytes).map_err(|why| Error::malformed(what, why))
    }

    fn parse(bytes: &[u8]) -> Result<Self, Why> {
        let [
            metadata,
            parent,
            related,
            subject,
            body,
            timestamp,
            contents,
            meta,
        ] = gvariant::split_tuple(bytes, COMMIT_SHAPE)?;
        if !related.is_empty() {
            // No ostree ever wrote any; dropping them would be another commit.
            return Err("it has related objects");
        }
        Ok(Self {
            metadata: parse_dict(metadata)?,
            parent: if parent.is_empty() {
                None
            } else {
                Some(to_id(parent)?)
            },
            subject: gvariant::to_str(subject)?.to_owned(),
            body: gvariant::to_str(body)?.to_owned(),
            timestamp: u64::from_be_bytes(
                timestamp
                    .try_into()
                    .map_err(|_| "an integer is cut short")?,
            ),
            root: TreeId {
                contents: to_id(contents)?,
                meta: to_id(meta)?,
            },
        })
    }

    /// The metadata value of that key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata
            .iter()
            .find(|(have, _)| have == key)
            .map(|(_, value)| value)
    }

    /// The metadata string of that key.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The metadata list of strings of that key; empty when there is none.
    pub fn get_list(&self, key: &str) -> &[String] {
        match self.get(key) {
            Some(Value::StrList(list)) => list,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // Bytes that stock ostree 2022.7 made.
    #[test]
    fn commit_bytes_are_stock_ostrees() {
        let id = ObjectId::new([7; 32]);
        let commit = Commit {
            metadata: vec![
                ("k1".into(), Value::Str("v1".into())),
                (
                    "ostree.ref-binding".into(),
                    Value::StrList(vec!["test/a".into()]),
                ),
            ],
            parent: None,
            subject: "subj".into(),
            body: "body".into(),
            timestamp: 1_700_000_000,
            root: TreeId {
                contents: id,
                meta: id,
            },
        };
        let bytes = commit.encode();
        assert_eq!(bytes.len(), 142);
        assert!(
            hex(&bytes).starts_with("6b310000000000007631000073"),
            "{}",
            hex(&bytes)
        );
        assert!(hex(&bytes).ends_with("68403b363636"), "{}", hex(&bytes));
        assert_eq!(Commit::decode(&bytes, "commit").expect("own bytes"), commit);
    }
}
