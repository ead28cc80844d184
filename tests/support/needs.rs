//! What a test needs of the machine. A need that is not met skips the test, aloud:
//!
//! ```ignore
//! needs!(Images, Registry, Userns);
//! ```
//!
//! Skips are printed, and written to the file that `BERTH_TESTS_SKIPPED` names. A need that
//! `BERTH_TESTS_MUST` lists (or `all`) is no excuse there: the test fails instead.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use super::user::User;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Tests run as root, so that they can be several users.
    Root,
    /// The built test images.
    Images,
    /// A user namespace, made by the ordinary user.
    Userns,
    /// An overlay mounted inside one.
    Overlay,
    /// newuidmap, and ranges for the ordinary user.
    Ranges,
    /// A second file system that everybody may write to, in /dev/shm.
    OtherFileSystem,
    /// A file system that ends the links of a file at 65,000, under the tests.
    LinkLimit,
    /// Loop devices to mount file systems from.
    Loop,
    /// A file system with reflinks can be made.
    Xfs,
    Ostree,
    Skopeo,
    Umoci,
    Podman,
    Runc,
    Crun,
    /// pasta, and a /dev/net/tun that an ordinary user may open.
    Pasta,
    /// Debian's docker-registry, and curl and openssl beside it.
    Registry,
}

impl Need {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Why this machine cannot, or nothing.
    fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!User::is_root()).then(|| "not run as root".into()),
            Self::Images => super::images::folder().err(),
            Self::Userns => probe("unshare -Ur true", "no user namespaces for ordinary users"),
            Self::Overlay => probe(
                "mkdir lower upper work merged && unshare -Urm mount -t overlay overlay \
                 -o lowerdir=lower,upperdir=upper,workdir=work,userxattr merged",
                "no overlay in a user namespace",
            ),
            Self::OtherFileSystem => probe(
                "test -w /dev/shm && test $(stat -c %d /dev/shm) != $(stat -c %d .)",
                "no second file system in /dev/shm",
            ),
            Self::LinkLimit => probe(
                "test $(stat -f -c %T .) = ext2/ext3",
                "the tests' file system has no limit of 65,000 links",
            ),
            Self::Ranges => probe(
                "unshare -U --map-root-user --map-auto true",
                "no newuidmap, or no ranges of ids for the test user",
            ),
            Self::Loop => loop_devices(),
            Self::Xfs => program("mkfs.xfs"),
            Self::Ostree => program("ostree"),
            Self::Skopeo => program("skopeo"),
            Self::Umoci => program("umoci"),
            Self::Podman => program("podman"),
            Self::Runc => program("runc"),
            Self::Crun => program("crun"),
            Self::Pasta => program("pasta").or_else(|| {
                probe(
                    "exec 3<>/dev/net/tun",
                    "ordinary users may not open /dev/net/tun",
                )
            }),
            Self::Registry => ["docker-registry", "curl", "openssl"]
                .into_iter()
                .find_map(program),
        }
    }
}

fn program(name: &str) -> Option<String> {
    find(name)
        .is_none()
        .then(|| format!("{name} is not installed"))
}

/// A program's path; also where an ordinary user's PATH does not look.
pub fn find(name: &str) -> Option<PathBuf> {
    [
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
        "/usr/local/sbin",
        "/usr/sbin",
        "/sbin",
    ]
    .iter()
    .map(|folder| Path::new(folder).join(name))
    .find(|path| path.exists())
}

fn probe(script: &str, why: &str) -> Option<String> {
    let user = User::ordinary()?;
    let folder = user.folder("probe");
    let worked = user
        .command("sh")
        .args(["-c", script])
        .current_dir(folder.path())
        .output()
        .is_ok_and(|out| out.status.success());
    (!worked).then(|| why.into())
}

fn loop_devices() -> Option<String> {
    if !User::is_root() {
        return Some("loop mounts need root".into());
    }
    let found = Command::new("losetup")
        .arg("-f")
        .output()
        .is_ok_and(|out| out.status.success());
    (!found).then(|| "no loop devices".into())
}

/// Whether a test may go on; if not, this has said why.
pub fn met(needs: &[Need]) -> bool {
    static KNOWN: OnceLock<Mutex<HashMap<Need, Option<String>>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    for &need in needs {
        let missing = {
            let mut known = known
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            known.entry(need).or_insert_with(|| need.missing()).clone()
        };
        if let Some(why) = missing {
            skip(need, &why);
            return false;
        }
    }
    true
}

fn skip(need: Need, why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("?");
    let must = std::env::var("BERTH_TESTS_MUST").unwrap_or_default();
    assert!(
        !must
            .split([' ', ','])
            .any(|name| name == "all" || name == need.name()),
        "must not be skipped here: {why}"
    );
    let line = format!("skipped: {test}: {why}\n");
    // Not through eprint!, which the test harness swallows when the test "passes".
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("BERTH_TESTS_SKIPPED") {
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// Returns from the test, having said why, unless this machine has all of these.
#[macro_export]
macro_rules! needs {
    ($($need:ident),+ $(,)?) => {
        if !$crate::support::needs::met(&[$($crate::support::Need::$need),+]) {
            return;
        }
    };
}
