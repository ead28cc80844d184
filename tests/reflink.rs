//! `checkout --reflink` on a file system that shares extents: space is shared, changes are not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::checkout::layout;
use crate::needs;
use crate::support::Home;
use crate::support::image::Tar;

/// Bytes of the one large file.
const LARGE: usize = 8 << 20;

/// An xfs with reflinks, mounted from a file of the home; unmounted when dropped.
struct Xfs(PathBuf);

impl Xfs {
    fn new(home: &Home) -> Self {
        let (image, dir) = (home.join("xfs.img"), home.join("xfs"));
        let made = Command::new("sh")
            .args([
                "-euc",
                "truncate -s 512M \"$1\" && mkfs.xfs -q -m reflink=1 \"$1\" && mkdir \"$2\" \
                            && mount -o loop \"$1\" \"$2\" && chown \"$3\" \"$2\"",
                "sh",
            ])
            .args([&image, &dir])
            .arg(format!("{}:{}", home.user.uid, home.user.gid))
            .status();
        assert!(made.unwrap().success());
        Self(dir)
    }

    fn free_bytes(&self) -> u64 {
        assert!(
            Command::new("sync")
                .arg("-f")
                .arg(&self.0)
                .status()
                .unwrap()
                .success()
        );
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        stat.f_bfree * stat.f_frsize
    }
}

impl Drop for Xfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whether all extents of a file are another's too.
fn is_shared(home: &Home, path: &str) -> bool {
    let said = home.sh(&format!("filefrag -v {path}")).ok().stdout;
    let extents: Vec<&str> = said
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(!extents.is_empty(), "{said}");
    extents.iter().all(|line| line.contains("shared"))
}

#[test]
fn a_reflink_shares_blocks_and_no_changes() {
    needs!(Loop, Xfs);
    let home = Home::new();
    let xfs = Xfs::new(&home);
    let large: String = (0..LARGE / 16).map(|n| format!("{n:015}\n")).collect();
    let tar = Tar::new()
        .file("large", &large)
        .file_with("tool", 0o755, 0, 0, "tool");
    let source = layout(&home, "app", vec![tar]);
    let berth = |args: &str| home.sh(&format!("\"$BERTH\" --root xfs/root {args}")).ok();
    berth(&format!("pull -q --name app {source}"));
    assert!(!is_shared(&home, "xfs/root/repo/objects/*/*.file"));

    let before = xfs.free_bytes();
    let made = berth("checkout --reflink --json app xfs/out").json();
    assert_eq!(
        (&made["reflinked"], &made["copied"], &made["linked"]),
        (&2.into(), &0.into(), &0.into()),
        "{made}"
    );
    let grown = before.saturating_sub(xfs.free_bytes());
    assert!(grown < (LARGE / 4) as u64, "{grown} bytes more are in use");
    assert!(is_shared(&home, "xfs/out/large"));
    assert_eq!(
        fs::read_to_string(home.join("xfs/out/large")).unwrap(),
        large
    );
    assert_eq!(
        berth("checkout --reflink app xfs/said").stdout,
        "xfs/said: 2 reflinked, 1 directories\n"
    );

    // Its own from the first byte that is written.
    home.sh("printf CHANGED | dd of=xfs/out/large conv=notrunc status=none && sync xfs/out/large")
        .ok();
    assert!(!is_shared(&home, "xfs/out/large"));
    assert_eq!(berth("cat app large").stdout, large);
    berth("repo fsck");

    // Elsewhere there is nothing to share with.
    let before = xfs.free_bytes();
    let away = berth("checkout --reflink app away");
    assert_eq!(away.stdout, "away: 2 copied, 1 directories\n");
    assert_eq!(fs::read_to_string(home.join("away/large")).unwrap(), large);
    assert_eq!(before, xfs.free_bytes());
}
