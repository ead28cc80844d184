//! The filter of system calls.
//!
//! Profiles are read in the form of containers/common, of which the runtime specification's is a part; `seccomp.json` is
//! that project's default profile with the harmless calls that newer kernels added. Rules apply or not by capability and
//! architecture. The result is compiled by libseccomp, which takes some 15 ms, and kept under RUN_DIR by a digest of all
//! that went into it; a start only loads it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Digest;

use crate::container::make_private;
use crate::error::{Error, Result};
use crate::security::SeccompChoice;

const DEFAULT: &str = include_str!("seccomp.json");
/// libseccomp's word for a filter that looks system calls up in a tree (seccomp_attr_set(3)). The kernel runs a new filter
/// once for each system call there is, and a list of some 400 takes it 2 ms.
const BINARY_TREE: u32 = 2;
/// What the kept filters of other forms are told apart by.
const FORM: &str = "tree";
/// The kernel's limit of instructions of 8 bytes.
const PROGRAM_BYTES_MAX: usize = 32768 * 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Arg>>,
    #[serde(default, skip_serializing)]
    includes: Condition,
    #[serde(default, skip_serializing)]
    excludes: Condition,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    caps: Vec<String>,
    arches: Vec<String>,
}

/// Fails when the choice is a profile that cannot be read.
pub(crate) fn check(choice: &SeccompChoice, caps: &[&str]) -> Result<()> {
    match choice {
        SeccompChoice::Profile(text) => compile(text, caps).map(drop),
        SeccompChoice::Default | SeccompChoice::Unconfined => Ok(()),
    }
}

/// The compiled filter for a container with these capabilities, from the cache in `run_dir` where it is there already;
/// `None` when nothing is filtered.
pub(crate) fn filter(
    choice: &SeccompChoice,
    caps: &[&str],
    run_dir: &Path,
) -> Result<Option<Vec<u8>>> {
    let text = match choice {
        SeccompChoice::Unconfined => return Ok(None),
        SeccompChoice::Default => DEFAULT,
        SeccompChoice::Profile(text) => text,
    };
    let version = env!("CARGO_PKG_VERSION");
    let key = Digest::of(
        format!(
            "{version}\n{FORM}\n{}\n{}\n{text}",
            std::env::consts::ARCH,
            caps.join(",")
        )
        .as_bytes(),
    );
    let dir = run_dir.join("seccomp");
    let path = dir.join(key.hex());
    if let Some(program) = kept(&path)? {
        return Ok(Some(program));
    }
    let program = compile(text, caps)?;
    make_private(&dir)?;
    let draft = path.with_extension(std::process::id().to_string());
    let sum = Digest::of(&program);
    // One that a crash or a full disk has cut off would be in the way.
    std::fs::remove_file(&draft).ok();
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(sum.hex().as_bytes())?;
            file.write_all(&program)
        })
        .map_err(Error::io("write", &draft))?;
    std::fs::rename(&draft, &path).map_err(Error::io("write", &path))?;
    Ok(Some(program))
}

/// The program in the file, when it is a regular file of ours and whole: its first 64 bytes are the digest of the rest.
fn kept(path: &Path) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let metadata = file.metadata().map_err(Error::io("read", path))?;
    let ours = metadata.is_file() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o022 != 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(64 + PROGRAM_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    let Some((sum, program)) = bytes.split_at_checked(64) else {
        return Ok(None);
    };
    let whole = plausible(program) && Digest::of(program).hex().as_bytes() == sum;
    Ok(whole.then(|| program.to_vec()))
}

/// The profile as the runtime specification writes it, for libcontainer to load: without no-new-privileges loading takes a
/// capability that our executor no longer has.
pub(crate) fn document(choice: &SeccompChoice, caps: &[&str]) -> Result<Option<Value>> {
    let text = match choice {
        SeccompChoice::Unconfined => return Ok(None),
        SeccompChoice::Default => DEFAULT,
        SeccompChoice::Profile(text) => text,
    };
    let profile = parse(text)?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut rules = Vec::new();
    for rule in profile.syscalls.iter().filter(|rule| applies(rule, caps)) {
        if action(&rule.action, rule.errno_ret)? != default {
            rules.push(rule);
        }
    }
    let archs: &[&str] = match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => &[],
    };
    Ok(Some(json!({
        "defaultAction": profile.default_action,
        "defaultErrnoRet": profile.default_errno_ret.unwrap_or(1),
        "architectures": archs,
        "syscalls": rules,
    })))
}

fn parse(text: &str) -> Result<Profile> {
    serde_json::from_str(text).map_err(|error| unreadable(format!("it cannot be read: {error}")))
}

fn plausible(program: &[u8]) -> bool {
    !program.is_empty() && program.len().is_multiple_of(8) && program.len() <= PROGRAM_BYTES_MAX
}

fn compile(text: &str, caps: &[&str]) -> Result<Vec<u8>> {
    let fail = |source| Error::Seccomp { source };
    let profile = parse(text)?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let mut context = ScmpFilterContext::new(default).map_err(fail)?;
    context.set_ctl_optimize(BINARY_TREE).map_err(fail)?;
    for arch in foreign_archs() {
        context.add_arch(*arch).map_err(fail)?;
    }
    for rule in profile.syscalls.iter().filter(|rule| applies(rule, caps)) {
        let action = action(&rule.action, rule.errno_ret)?;
        // libseccomp refuses a rule that says what the default says.
        if action == default {
            continue;
        }
        let args = rule
            .args
            .iter()
            .flatten()
            .map(comparison)
            .collect::<Result<Vec<_>>>()?;
        // A name this libseccomp does not know cannot be let through; the default holds for it.
        for syscall in rule
            .names
            .iter()
            .filter_map(|name| ScmpSyscall::from_name(name).ok())
        {
            context
                .add_rule_conditional(action, syscall, &args)
                .map_err(fail)?;
        }
    }
    let memory = rustix::fs::memfd_create(c"seccomp", MemfdFlags::CLOEXEC)
        .map_err(Error::os("make a memory file"))?;
    context.export_bpf(&memory).map_err(fail)?;
    let mut file = File::from(memory);
    let mut program = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut program))
        .map_err(Error::os("read a seccomp program"))?;
    Ok(program)
}

fn unreadable(why: String) -> Error {
    Error::Option {
        option: "--security-opt",
        given: "seccomp".into(),
        why,
    }
}

/// 32-bit programs run in containers too.
fn foreign_archs() -> &'static [ScmpArch] {
    match std::env::consts::ARCH {
        "x86_64" => &[ScmpArch::X86, ScmpArch::X32],
        "aarch64" => &[ScmpArch::Arm],
        _ => &[],
    }
}

fn applies(rule: &Rule, caps: &[&str]) -> bool {
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let has = |cap: &String| caps.contains(&cap.as_str());
    let here = |arch: &String| arch == own;
    let included = rule.includes.caps.iter().all(has)
        && (rule.includes.arches.is_empty() || rule.includes.arches.iter().any(here));
    included && !rule.excludes.caps.iter().any(has) && !rule.excludes.arches.iter().any(here)
}

fn action(name: &str, errno: Option<u32>) -> Result<ScmpAction> {
    let errno = i32::try_from(errno.unwrap_or(1))
        .map_err(|_| unreadable("an errno is out of range".into()))?;
    match name {
        "SCMP_ACT_ALLOW" => Ok(ScmpAction::Allow),
        "SCMP_ACT_ERRNO" => Ok(ScmpAction::Errno(errno)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(ScmpAction::KillThread),
        "SCMP_ACT_KILL_PROCESS" => Ok(ScmpAction::KillProcess),
        "SCMP_ACT_TRAP" => Ok(ScmpAction::Trap),
        "SCMP_ACT_LOG" => Ok(ScmpAction::Log),
        other => Err(unreadable(format!("action {other} is not supported"))),
    }
}

fn comparison(arg: &Arg) -> Result<ScmpArgCompare> {
    let (op, datum) = match arg.op.as_str() {
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, arg.value),
        "SCMP_CMP_LT" => (ScmpCompareOp::Less, arg.value),
        "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, arg.value),
        "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, arg.value),
        "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, arg.value),
        "SCMP_CMP_GT" => (ScmpCompareOp::Greater, arg.value),
        "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(arg.value), arg.value_two),
        other => return Err(unreadable(format!("comparison {other} is not supported"))),
    };
    Ok(ScmpArgCompare::new(arg.index, op, datum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_compiles_and_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let first =
            filter(&SeccompChoice::Default, &crate::caps::DEFAULT, dir.path()).expect("compiles");
        let first = first.expect("a filter");
        assert!(plausible(&first));
        let again =
            filter(&SeccompChoice::Default, &crate::caps::DEFAULT, dir.path()).expect("kept");
        assert_eq!(again.as_deref(), Some(first.as_slice()));
        let more =
            filter(&SeccompChoice::Default, &["CAP_SYS_ADMIN"], dir.path()).expect("compiles");
        assert_ne!(more, Some(first));
        assert_eq!(
            filter(&SeccompChoice::Unconfined, &[], dir.path()).expect("fine"),
            None
        );
    }

    #[test]
    fn a_filter_that_is_not_as_it_was_kept_is_made_anew() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let get = || {
            filter(&SeccompChoice::Default, &["CAP_KILL"], dir.path())
                .expect("compiles")
                .expect("a filter")
        };
        let right = get();
        let entry = std::fs::read_dir(dir.path().join("seccomp"))
            .expect("a directory")
            .flatten()
            .next()
            .expect("kept");
        let path = entry.path();
        let whole = std::fs::read(&path).expect("read");
        let allow = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
        let torn = &whole[..whole.len() - 8];
        for bad in [&allow[..], torn, &[], &[&whole[..64], &allow].concat()] {
            std::fs::write(&path, bad).expect("written");
            assert_eq!(get(), right);
            assert_eq!(std::fs::read(&path).expect("read"), whole);
        }
        // One that others could have written is not believed, nor is a link.
        let forged = [Digest::of(&allow).hex().as_bytes(), &allow].concat();
        std::fs::write(&path, &forged).expect("written");
        assert_eq!(
            get(),
            allow,
            "the control: a file of ours that is whole is believed"
        );
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o622)).expect("set");
        assert_eq!(get(), right);
        std::fs::write(dir.path().join("forged"), &forged).expect("written");
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink(dir.path().join("forged"), &path).expect("linked");
        assert_eq!(get(), right);
    }

    #[test]
    fn bad_profiles_are_refused() {
        for text in ["", "{}", r#"{"defaultAction":"SCMP_ACT_NOPE"}"#] {
            assert!(
                check(&SeccompChoice::Profile(text.into()), &[]).is_err(),
                "{text}"
            );
        }
        assert!(
            check(
                &SeccompChoice::Profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.into()),
                &[]
            )
            .is_ok()
        );
    }
}
