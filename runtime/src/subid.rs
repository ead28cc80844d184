//! Ranges of ids that `/etc/subuid` and `/etc/subgid` give to a user. Pure: text in, ranges out.
//!
//! A line is `owner:first:count`; the owner is a login name or a decimal uid, in both files (the gid file is keyed by the
//! user too). Lines that break the form are skipped, as newuidmap skips them.

use std::path::PathBuf;

use crate::error::Result;
use crate::proc::read_optional;

/// A run of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// Both kinds of ranges of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SubIds {
    pub(crate) uids: Vec<Range>,
    pub(crate) gids: Vec<Range>,
}

impl SubIds {
    /// Reads the ranges of `uid` from the host's files. A file that is not there gives none.
    pub(crate) fn of(uid: u32) -> Result<Self> {
        let passwd = read_optional(&PathBuf::from("/etc/passwd"))?;
        let name = login_name(&passwd, uid);
        let read = |path: &str| -> Result<Vec<Range>> {
            Ok(parse(
                &read_optional(&PathBuf::from(path))?,
                name.as_deref(),
                uid,
            ))
        };
        Ok(Self {
            uids: read("/etc/subuid")?,
            gids: read("/etc/subgid")?,
        })
    }

    /// Whether there is at least one range of each kind.
    pub(crate) fn complete(&self) -> bool {
        !self.uids.is_empty() && !self.gids.is_empty()
    }
}

/// The login name of `uid` in the text of a passwd file.
fn login_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The ranges in `text` that belong to the user of this name or number.
fn parse(text: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let first: u32 = fields.next()?.parse().ok()?;
            let count: u32 = fields.next()?.parse().ok()?;
            let ours = Some(owner) == name || owner == number;
            let fits = count > 0 && first.checked_add(count).is_some();
            (ours && fits && fields.next().is_none()).then_some(Range { first, count })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "ann:100000:65536\n1001:300000:10\nbob:1:1\nann:200000:5\n";
        let range = |first, count| Range { first, count };
        assert_eq!(
            parse(text, Some("ann"), 1001),
            [range(100_000, 65536), range(300_000, 10), range(200_000, 5)]
        );
        assert_eq!(parse(text, None, 1001), [range(300_000, 10)]);
        assert_eq!(parse(text, Some("eve"), 7), []);
    }

    #[test]
    fn broken_lines_are_skipped() {
        let text = "ann\nann:x:1\nann:1\nann:1:0\nann:4294967295:2\nann:1:1:1\n\n # ann:1:1\n";
        assert_eq!(parse(text, Some("ann"), 1), []);
    }

    #[test]
    fn login_names_come_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(login_name(passwd, 1001).as_deref(), Some("ann"));
        assert_eq!(login_name(passwd, 5), None);
    }
}
