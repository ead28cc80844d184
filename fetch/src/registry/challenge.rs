//! The `WWW-Authenticate` header: pure.
//!
//! One header may hold several challenges, several headers may come; parameters are tokens or quoted strings in any
//! order, and a comma separates both parameters and challenges.

use crate::limits::CHALLENGE_BYTES_MAX;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// The URL that issues tokens.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it is good for.
        scope: Option<String>,
    },
}

/// Reads the challenges of one header, leaving out schemes that are not known.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = if header.len() > CHALLENGE_BYTES_MAX {
        ""
    } else {
        header.trim_start()
    };
    while let Some((scheme, after)) = token(rest) {
        let (parameters, after) = parameters(after.trim_start());
        let get = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            found.push(Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope"),
            });
        }
        rest = after;
    }
    found
}

/// Reads `key=value, key="value"` until a word without `=`, which is the next scheme.
fn parameters(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let Some((key, after)) = token(rest) else {
            return (found, "");
        };
        let Some(after) = after.trim_start().strip_prefix('=') else {
            return (found, rest);
        };
        let Some((value, after)) = value(after.trim_start()) else {
            return (found, "");
        };
        found.push((key.to_owned(), value));
        rest = after;
    }
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// What the challenges of a header hold: realm, service and scope of each.
#[cfg(fuzzing)]
pub fn challenge_parts(header: &str) -> Vec<Vec<String>> {
    let parts = parse(header).into_iter().map(|challenge| match challenge {
        Challenge::Basic => Vec::new(),
        Challenge::Bearer {
            realm,
            service,
            scope,
        } => [Some(realm), service, scope]
            .into_iter()
            .flatten()
            .collect(),
    });
    parts.collect()
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        }
    }

    #[test]
    fn challenges_are_read() {
        let table = [
            (
                r#"Bearer realm="https://a/t",service="s",scope="repository:x:pull,push""#,
                vec![bearer(
                    "https://a/t",
                    Some("s"),
                    Some("repository:x:pull,push"),
                )],
            ),
            (
                r#"bearer Scope=x , REALM = "https://a/t""#,
                vec![bearer("https://a/t", None, Some("x"))],
            ),
            (
                r#"Basic realm="r", Bearer realm="https://a/\"q\"""#,
                vec![Challenge::Basic, bearer("https://a/\"q\"", None, None)],
            ),
            (r#"Negotiate, Basic realm=x"#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (r#"Bearer realm="https://a"#, vec![]),
            (r#"Bearer service="s""#, vec![]),
            ("", vec![]),
            ("=,=\"", vec![]),
        ];
        for (header, expected) in table {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_huge_header_is_ignored() {
        let of = |size: usize| format!("Basic realm={}", "x".repeat(size - "Basic realm=".len()));
        assert_eq!(parse(&of(CHALLENGE_BYTES_MAX)), vec![Challenge::Basic]);
        assert_eq!(parse(&of(CHALLENGE_BYTES_MAX + 1)), vec![]);
    }
}
