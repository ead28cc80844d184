//! What the journal is told when a service was put back by itself: whoever reads the unit's lines sees why it is the old
//! one again.

use std::path::Path;

use super::wanted::Scope;
use crate::error::Result;
use crate::log::journal;

/// Where the journal listens.
pub const JOURNAL_SOCKET: &str = journal::SOCKET;
/// By which these entries are found: `journalctl MESSAGE_ID=…`.
const ROLLED_BACK: &str = "5c1c3b0de5ab4b4c9d3f0f7f4f0a9a3e";
/// `err` of syslog.
const PRIORITY: &str = "3";

/// A service that was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledBack<'a> {
    /// Its name.
    pub name: &'a str,
    /// The image that did not come up, by its id.
    pub failed: &'a str,
    /// The image that it has again.
    pub now: &'a str,
    /// Why.
    pub why: &'a str,
}

impl RolledBack<'_> {
    /// Writes an entry about it to the journal that listens at `socket`, among those of the service's unit. `scope` says
    /// whose systemd runs it.
    pub fn note(&self, socket: &Path, scope: Scope) -> Result<()> {
        let unit = format!("{}.service", self.name);
        let message = format!(
            "rolled {} back from {} to {}: {}",
            self.name,
            short(self.failed),
            short(self.now),
            self.why
        );
        // What `journalctl -u` looks for in entries that are not the unit's own.
        let about = match scope {
            Scope::Root => "OBJECT_SYSTEMD_UNIT",
            Scope::User => "USER_UNIT",
        };
        let fields = [
            ("MESSAGE", message.as_str()),
            ("MESSAGE_ID", ROLLED_BACK),
            ("PRIORITY", PRIORITY),
            ("SYSLOG_IDENTIFIER", "berth"),
            (about, &unit),
            ("BERTH_SERVICE", self.name),
            ("BERTH_FAILED_IMAGE", self.failed),
            ("BERTH_IMAGE", self.now),
        ];
        journal::send(socket, &fields)
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_is_an_entry_of_its_unit() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        let listening = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
        let back = RolledBack {
            name: "web",
            failed: "0123456789abcdef",
            now: "fedcba9876543210",
            why: "exit code 3\nand more",
        };
        back.note(&path, Scope::Root).expect("sent");
        let mut entry = vec![0; 4096];
        let count = listening.recv(&mut entry).expect("received");
        let message = "rolled web back from 0123456789ab to fedcba987654: exit code 3\nand more";
        let mut expected = b"MESSAGE\n".to_vec();
        expected.extend((message.len() as u64).to_le_bytes());
        expected.extend(message.as_bytes());
        expected.extend(
            b"\nMESSAGE_ID=5c1c3b0de5ab4b4c9d3f0f7f4f0a9a3e\nPRIORITY=3\nSYSLOG_IDENTIFIER=berth\n\
              OBJECT_SYSTEMD_UNIT=web.service\nBERTH_SERVICE=web\nBERTH_FAILED_IMAGE=0123456789abcdef\n\
              BERTH_IMAGE=fedcba9876543210\n",
        );
        assert_eq!(
            String::from_utf8_lossy(&entry[..count]),
            String::from_utf8_lossy(&expected)
        );
        assert!(back.note(&dir.path().join("none"), Scope::User).is_err());
    }
}
