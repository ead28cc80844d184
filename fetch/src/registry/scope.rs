//! What a token is good for, in the words of registries: `repository:library/redis:pull,push`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::SCOPES_MAX;

/// Several scopes; those of one resource are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// Adds the scopes in `text`, which blanks separate. Returns whether they ask for more than those that were there.
    /// Beyond [`SCOPES_MAX`] resources nothing is added.
    pub(crate) fn add(&mut self, text: &str) -> bool {
        let mut grown = false;
        for scope in text.split_ascii_whitespace() {
            // the name in the middle may hold colons: it may start with a host
            let (resource, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
            let is_new = !self.0.contains_key(resource);
            if is_new && self.0.len() == SCOPES_MAX {
                continue;
            }
            grown |= is_new;
            let known = self.0.entry(resource.to_owned()).or_default();
            for action in actions.split(',').filter(|action| !action.is_empty()) {
                grown |= known.insert(action.to_owned());
            }
        }
        grown
    }

    /// Each scope as it is sent.
    pub(crate) fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            match actions.is_empty() {
                true => resource.clone(),
                false => format!("{resource}:{}", actions.join(",")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(scopes: &Scopes) -> Vec<String> {
        scopes.iter().collect()
    }

    #[test]
    fn scopes_of_one_resource_are_one() {
        let mut scopes = Scopes::default();
        assert!(scopes.add("repository:a/b:pull"));
        assert!(!scopes.add("repository:a/b:pull"));
        assert!(scopes.add("repository:a/b:push,pull repository:h:5000/c:pull"));
        assert!(scopes.add("aws"));
        assert!(!scopes.add("  "));
        assert_eq!(
            all(&scopes),
            [
                "aws",
                "repository:a/b:pull,push",
                "repository:h:5000/c:pull"
            ]
        );
    }

    #[test]
    fn no_more_scopes_than_the_limit() {
        let mut scopes = Scopes::default();
        for number in 0..SCOPES_MAX {
            assert!(scopes.add(&format!("repository:{number}:pull")));
        }
        assert!(!scopes.add("repository:more:pull"));
        assert!(
            scopes.add("repository:0:push"),
            "one that is there may grow"
        );
        assert_eq!(all(&scopes).len(), SCOPES_MAX);
    }
}
