//! Ids and names of containers.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Error, Result};

const ADJECTIVES: [&str; 32] = [
    "amber", "ample", "brave", "brisk", "calm", "civil", "clear", "deft", "eager", "early", "fair",
    "fleet", "frank", "fresh", "gentle", "glad", "hardy", "keen", "kind", "light", "lucid",
    "mellow", "neat", "noble", "plain", "quiet", "ready", "sound", "steady", "swift", "tidy",
    "warm",
];
const NOUNS: [&str; 32] = [
    "anchor", "barge", "beacon", "bollard", "brig", "buoy", "cutter", "dinghy", "dory", "ferry",
    "fjord", "galley", "gull", "harbour", "hawser", "heron", "jetty", "keel", "ketch", "lagoon",
    "lantern", "mast", "mooring", "oar", "pier", "quay", "rudder", "sail", "skiff", "sloop",
    "tide", "wharf",
];

/// A new id: 64 hex digits of randomness.
pub(crate) fn new_id() -> Result<String> {
    let bytes = random::<32>()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A made-up name, `adjective_noun`; with a number from the second `attempt` on.
pub(crate) fn random_name(attempt: usize) -> Result<String> {
    let [adjective, noun, number, _] = random::<4>()?;
    let pick = |list: &[&'static str; 32], byte: u8| list[usize::from(byte) % list.len()];
    let name = format!("{}_{}", pick(&ADJECTIVES, adjective), pick(&NOUNS, noun));
    Ok(if attempt == 0 {
        name
    } else {
        format!("{name}{number}")
    })
}

/// Fails when `name` could not be told from an option, a path or an id.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let first = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if first
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    {
        return Ok(());
    }
    Err(Error::option(
        "--name",
        name,
        "a name has letters, digits and _.- only, and starts with a letter or digit",
    ))
}

/// Fails when `name` is no host name; it goes into `/etc/hosts` as it is.
pub(crate) fn check_hostname(name: &str) -> Result<()> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(());
    }
    Err(Error::option(
        "--hostname",
        name,
        "a host name has up to 64 letters, digits, - and dots",
    ))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = getrandom(&mut bytes[..], GetRandomFlags::empty())
        .map_err(Error::os("read random bytes"))?;
    debug_assert_eq!(filled, N, "requests up to 256 bytes are never short");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "web-1", "A.b_c", &random_name(1).expect("random")] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", &"a".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(new_id().expect("random").len(), 64);
        assert!(check_hostname("a.b-c").is_ok());
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a b",
            "a\n1.2.3.4 b",
            &"a".repeat(65),
        ] {
            assert!(check_hostname(bad).is_err(), "{bad}");
        }
    }
}
