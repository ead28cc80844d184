//! Repositories of every mode: root's `bare` one, stock ostree's that are only read, and BLAKE3 ones of our own.

mod bare;
mod blake3;
mod foreign;
mod private;
mod read_only;
mod tree;

use crate::support::image::{Header, Tar};

/// A file capability of version 2: `cap_net_bind_service=ep`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A tar whose owners, modes and xattrs only root can make real.
fn owned() -> Tar {
    let link = Header {
        name: b"etc/owned-link".into(),
        kind: b'2',
        mode: 0o777,
        uid: 1000,
        gid: 1001,
        link: b"shadow".into(),
        ..Header::default()
    };
    Tar::new()
        .dir_with("bin", 0o755, 0, 0)
        .file_with("bin/su", 0o4755, 0, 0, "su")
        .file_with("bin/both", 0o6711, 33, 44, "both")
        .file_with("bin/wall", 0o2755, 0, 5, "tty")
        .pax(&[("SCHILY.xattr.security.capability", CAPABILITY)])
        .file_with("bin/ping", 0o755, 12, 34, "ping")
        .dir_with("etc", 0o755, 0, 0)
        .file_with("etc/shadow", 0o000, 0, 42, "secret")
        .file_with("etc/empty", 0o666, 7, 8, "")
        .file_with("etc/empty-too", 0o4640, 7, 8, "")
        .entry(&link, b"")
        .pax(&[("SCHILY.xattr.user.note", "of a folder")])
        .dir_with("srv", 0o2775, 33, 33)
        .pax(&[
            ("SCHILY.xattr.user.b", "two"),
            ("SCHILY.xattr.user.a", "one"),
        ])
        .file_with("srv/noted", 0o644, 70_000, 70_000, "noted")
        .dir_with("tmp", 0o1777, 0, 0)
        .dir_with("closed", 0o000, 5, 6)
        .file_with("closed/in", 0o600, 5, 6, "in")
}
