//! Who runs in a container: `user[:group]`, names or numbers, looked up in the image's own passwd and group. Pure.
//!
//! The host's name services are never asked: a static binary that loads them from inside a root directory would run the
//! image's code (CVE-2019-14271). A name counts before a number; a number need not exist.

use crate::error::{Error, Result};

/// The account a container's first process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups, without `gid`.
    pub(crate) groups: Vec<u32>,
    /// Never empty.
    pub(crate) home: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Finds the user that `wanted` names in the texts of a passwd and a group file. Empty means root.
pub(crate) fn lookup(wanted: &str, passwd: &str, group: &str) -> Result<User> {
    let (user, wanted_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    let account = accounts(passwd)
        .find(|account| account.name == user)
        .or_else(|| accounts(passwd).find(|account| Some(account.uid) == number));
    let uid = match (&account, number) {
        (Some(account), _) => account.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(missing("user", user, "passwd")),
    };
    let gid = match wanted_group {
        None => account.as_ref().map_or(0, |account| account.gid),
        Some(wanted) => groups(group)
            .find(|(name, ..)| *name == wanted)
            .map(|(_, gid, _)| gid)
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| missing("group", wanted, "group"))?,
    };
    let supplementary = match (&account, wanted_group) {
        (Some(account), None) => groups(group)
            .filter(|(_, other, members)| {
                *other != gid && members.split(',').any(|member| member == account.name)
            })
            .map(|(_, other, _)| other)
            .collect(),
        _ => Vec::new(),
    };
    let home = account
        .map(|account| account.home)
        .filter(|home| home.starts_with('/'))
        .unwrap_or("/");
    Ok(User {
        uid,
        gid,
        groups: supplementary,
        home: home.to_owned(),
    })
}

/// The numbers of the groups that `wanted` names, in the text of a group file. A number need not be there.
pub(crate) fn lookup_groups(wanted: &[String], group: &str) -> Result<Vec<u32>> {
    let find = |wanted: &String| {
        let named = groups(group).find(|(name, ..)| name == wanted);
        named
            .map(|(_, gid, _)| gid)
            .or_else(|| wanted.parse().ok())
            .ok_or_else(|| missing("group", wanted, "group"))
    };
    wanted.iter().map(find).collect()
}

fn missing(what: &str, name: &str, file: &str) -> Error {
    Error::Image {
        why: format!("{what} {name} is not in its /etc/{file}"),
    }
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default();
        Some(Account {
            name,
            uid,
            gid,
            home,
        })
    })
}

fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default().trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nredis:x:999:998::/var/lib/redis:/bin/false\n42:x:7:7::/h:\nbad\n";
    const GROUP: &str = "root:x:0:\nredis:x:998:\ntls:x:101:other,redis\nextra:x:102:redis\n";

    #[test]
    fn names_and_numbers_are_found() {
        let user = |uid, gid, groups: &[u32], home: &str| User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.into(),
        };
        for (wanted, expected) in [
            ("", user(0, 0, &[], "/root")),
            ("redis", user(999, 998, &[101, 102], "/var/lib/redis")),
            ("999", user(999, 998, &[101, 102], "/var/lib/redis")),
            ("redis:tls", user(999, 101, &[], "/var/lib/redis")),
            ("redis:5", user(999, 5, &[], "/var/lib/redis")),
            ("1234", user(1234, 0, &[], "/")),
            ("1234:redis", user(1234, 998, &[], "/")),
            (":redis", user(0, 998, &[], "/root")),
            ("42", user(7, 7, &[], "/h")),
        ] {
            assert_eq!(
                lookup(wanted, PASSWD, GROUP).expect(wanted),
                expected,
                "{wanted}"
            );
        }
    }

    #[test]
    fn more_groups_are_found_by_name_and_number() {
        let wanted = ["tls".to_owned(), "5".to_owned()];
        assert_eq!(lookup_groups(&wanted, GROUP).expect("found"), [101, 5]);
        assert!(lookup_groups(&["none".to_owned()], GROUP).is_err());
    }

    #[test]
    fn unknown_names_are_refused() {
        for wanted in ["nobody", "redis:nogroup", "-1", "4294967296"] {
            assert!(lookup(wanted, PASSWD, GROUP).is_err(), "{wanted}");
        }
    }
}
