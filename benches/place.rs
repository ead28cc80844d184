//! Where the figures are taken: a new ext4 with a journal, in a file, mounted through a loop device.
//!
//! Not the machine's own file system: an ext4 without a journal, as some machines have for theirs,
//! creates files 5–10 times slower for minutes after many were removed, so there a bench measures its
//! own cleaning up. And a new one looks the same on every machine.
//!
//! What holds for one boot, such as runtimes' state, is in memory, as it is on every host with systemd.
//!
//! The mounts are in a mount namespace of ours, the file has no name any more, and everything runs in a
//! pid namespace that dies with us. So whatever happens to the bench, the kernel cleans up after it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::support::User;
use crate::support::user::Folder;

const INSIDE: &str = "BERTH_BENCH_INSIDE";
/// Sparse: what it takes of the disk is what the bench writes.
const SIZE: &str = "14G";
/// Mounts over the folder that the file is in, where it is still the working folder.
const SCRIPT: &str = "\
    cd \"$1\"
    truncate -s \"$2\" image
    mkfs.ext4 -q -F image
    mount -o loop,noinit_itable image \"$1\" && mounted=1 || mounted=
    rm image
    cd /
    mkdir \"$1/run\"
    mount -t tmpfs -o mode=0755 tmpfs \"$1/run\"
    [ -n \"$mounted\" ] && exec \"$3\"";

/// Which process goes on measuring.
pub enum Entered {
    /// This one.
    Here(Place),
    /// Another one did, and ended so.
    Elsewhere(ExitCode),
}

/// A folder, and what figures that are taken there are worth.
pub struct Place {
    pub dir: PathBuf,
    pub note: String,
    /// Removes the folder in the end, where the kernel does not.
    _folder: Option<Folder>,
}

/// Goes to the place, which takes another process, or stays here where that cannot be.
pub fn enter() -> Entered {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return Entered::Here(Place {
            dir: dir.into(),
            note: "Taken on a new ext4 with a journal, loop-mounted, synced before every command."
                .into(),
            _folder: None,
        });
    }
    if !User::is_root() {
        return here("only root can mount a file system for it");
    }
    let folder = Folder::new("bench");
    let nothing = Path::new("/bin/true");
    match inside(folder.path(), nothing)
        .stderr(Stdio::piped())
        .output()
    {
        Ok(out) if out.status.success() => {}
        Ok(out) => return here(String::from_utf8_lossy(&out.stderr).trim()),
        Err(e) => return here(&format!("setpriv and unshare: {e}")),
    }
    let this = std::env::current_exe().expect("a running program has a path");
    let status = inside(folder.path(), &this)
        .status()
        .expect("it ran just now");
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Entered::Elsewhere(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn here(why: &str) -> Entered {
    let folder = Folder::new("bench");
    Entered::Here(Place {
        dir: folder.path().to_owned(),
        note: format!(
            "NOT COMPARABLE with other figures: taken on whatever file system was there ({why})."
        ),
        _folder: Some(folder),
    })
}

/// A program in namespaces and on a file system of its own, which all go when it or we end.
fn inside(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
        ])
        .args(["--kill-child", "--mount-proc", "sh", "-euc", SCRIPT, "sh"])
        .arg(folder)
        .arg(SIZE)
        .arg(program)
        .env(INSIDE, folder)
        .env("BERTH_TESTS_DIR", folder);
    command
}
