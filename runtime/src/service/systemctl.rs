//! systemd, spoken to with its own program: no bus library, and what is done can be typed again by hand.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::Error as ServiceError;
use super::systemd::{Active, DEPENDANTS_MAX, Manager, PROPERTIES, REVERSE, UnitState, blocks};
use super::wanted::Scope;
use crate::error::{Error, Result};

/// How much of what a program said is repeated.
const SAID_CHARS_MAX: usize = 300;

/// Where systemd's programs are, and what they need to find it.
#[derive(Debug, Clone)]
pub struct SystemctlOptions {
    /// Whose systemd.
    pub scope: Scope,
    /// `systemctl`, absolute; `None` where the host has none.
    pub systemctl: Option<PathBuf>,
    /// `systemd-tmpfiles`, absolute; `None` where the host has none.
    pub tmpfiles: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`: a user's systemd is found there.
    pub runtime_directory: Option<PathBuf>,
}

/// The systemd of a host.
#[derive(Debug, Clone)]
pub struct Systemctl {
    options: SystemctlOptions,
}

impl Systemctl {
    /// Fails when the host has no systemctl, or nothing says where the user's systemd is.
    pub fn new(options: SystemctlOptions) -> Result<Self> {
        if options.systemctl.is_none() {
            return Err(no_systemd("systemctl is not on PATH"));
        }
        if options.scope == Scope::User && options.runtime_directory.is_none() {
            return Err(no_systemd("XDG_RUNTIME_DIR is not set"));
        }
        Ok(Self { options })
    }

    /// Makes what a tmpfiles.d file says. That needs no systemd that runs; `false` where the host has no systemd-tmpfiles.
    pub fn make_temporary(options: SystemctlOptions, file: &Path) -> Result<bool> {
        if options.tmpfiles.is_none() {
            return Ok(false);
        }
        Self { options }.tmpfiles("--create", file).map(|()| true)
    }

    /// Whether `systemctl` reaches a systemd that runs.
    pub fn check(&self) -> Result<()> {
        self.systemctl(&["show", "-p", "Version"]).map(drop)
    }

    fn systemctl(&self, args: &[&str]) -> Result<String> {
        let program = self.options.systemctl.as_deref().unwrap_or(Path::new("/"));
        self.run(program, args)
    }

    fn tmpfiles(&self, verb: &str, file: &Path) -> Result<()> {
        let program = self.options.tmpfiles.as_deref();
        let program = program.ok_or_else(|| no_systemd("systemd-tmpfiles is not on PATH"))?;
        self.run(program, &[verb, &file.to_string_lossy()])
            .map(drop)
    }

    /// Runs one of systemd's programs to its end and gives what it printed.
    fn run(&self, program: &Path, args: &[&str]) -> Result<String> {
        let words = words(program, self.options.scope, args);
        let mut command = Command::new(program);
        command
            .args(words.iter().skip(1))
            // What is read here is English.
            .env("LC_ALL", "C")
            .env("SYSTEMD_COLORS", "0")
            .env("SYSTEMD_PAGER", "")
            .stdin(Stdio::null());
        if let Some(dir) = &self.options.runtime_directory {
            command.env("XDG_RUNTIME_DIR", dir);
        }
        let failed = |source| ServiceError::Systemd {
            command: shown(&words),
            why: "it cannot be executed".to_owned(),
            source: Some(source),
        };
        let output = match command.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(no_systemd("systemctl is not there"));
            }
            outcome => outcome.map_err(failed)?,
        };
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(refused(&words, &output)),
        }
    }
}

/// A command line as it is typed.
fn words(program: &Path, scope: Scope, args: &[&str]) -> Vec<String> {
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend((scope == Scope::User).then(|| "--user".to_owned()));
    words.extend(args.iter().map(|arg| (*arg).to_owned()));
    words
}

/// The same for a reader: without the directory of the program.
fn shown(words: &[String]) -> String {
    let mut words = words.to_vec();
    if let Some(first) = words.first_mut() {
        *first = first.rsplit('/').next().unwrap_or_default().to_owned();
    }
    words.join(" ")
}

fn no_systemd(why: &'static str) -> Error {
    ServiceError::NoSystemd {
        why: why.to_owned(),
    }
    .into()
}

/// The last line that a program said, without its advice.
fn last_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let is_news = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("See ") && !line.starts_with("Hint:")
    };
    let last = said.lines().rfind(is_news).unwrap_or_default();
    last.trim().chars().take(SAID_CHARS_MAX).collect()
}

fn refused(words: &[String], output: &Output) -> Error {
    let said = last_line(output);
    let whole = String::from_utf8_lossy(&output.stderr);
    let is_absent = [
        "has not been booted with systemd",
        "Failed to connect to bus",
    ]
    .iter()
    .any(|text| whole.contains(text));
    if is_absent {
        return ServiceError::NoSystemd { why: said }.into();
    }
    let why = match said.is_empty() {
        true => output.status.to_string(),
        false => said,
    };
    ServiceError::Systemd {
        command: shown(words),
        why,
        source: None,
    }
    .into()
}

impl Manager for Systemctl {
    fn acts(&self) -> bool {
        true
    }

    fn reload(&self) -> Result<()> {
        self.systemctl(&["daemon-reload"]).map(drop)
    }

    fn enable(&self, unit: &str) -> Result<()> {
        self.systemctl(&["enable", unit]).map(drop)
    }

    fn disable(&self, unit: &str) -> Result<()> {
        self.systemctl(&["disable", unit]).map(drop)
    }

    fn start(&self, units: &[&str]) -> Result<()> {
        self.systemctl(&[&["start"], units].concat()).map(drop)
    }

    fn begin(&self, unit: &str) -> Result<()> {
        self.systemctl(&["start", "--no-block", unit]).map(drop)
    }

    fn stop(&self, unit: &str) -> Result<()> {
        match self.systemctl(&["stop", unit]) {
            Err(error) if self.state(unit)?.load != "not-found" => Err(error),
            _ => Ok(()),
        }
    }

    fn restart(&self, unit: &str) -> Result<()> {
        self.systemctl(&["restart", unit]).map(drop)
    }

    fn reset_failed(&self, unit: &str) -> Result<()> {
        self.systemctl(&["reset-failed", unit]).map(drop)
    }

    fn states(&self, units: &[&str]) -> Result<Vec<UnitState>> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let text = self.systemctl(&[&["show", "-p", PROPERTIES], units].concat())?;
        let mut found = blocks(&text).iter().map(UnitState::of).collect::<Vec<_>>();
        found.resize_with(units.len(), UnitState::default);
        Ok(found)
    }

    fn dependants(&self, unit: &str) -> Result<Vec<String>> {
        let mut found: Vec<(String, bool)> = vec![(unit.to_owned(), true)];
        let mut asked = 0;
        while asked < found.len() {
            let names: Vec<String> = found.iter().skip(asked).map(|it| it.0.clone()).collect();
            asked = found.len();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let text = self.systemctl(&[&["show", "-p", REVERSE], names.as_slice()].concat())?;
            for block in blocks(&text) {
                let is_up = UnitState::of(&block).active.is_up();
                let id = block.get("Id").copied().unwrap_or_default();
                if let Some(known) = found.iter_mut().find(|it| it.0 == id) {
                    known.1 = is_up;
                }
                let lists = block
                    .iter()
                    .filter(|(key, _)| !["Id", "ActiveState"].contains(key));
                for name in lists.flat_map(|(_, list)| list.split_whitespace()) {
                    let is_new = !found.iter().any(|it| it.0 == name);
                    if is_new && found.len() < DEPENDANTS_MAX {
                        found.push((name.to_owned(), false));
                    }
                }
            }
        }
        let others = found.into_iter().skip(1).filter(|(_, is_up)| *is_up);
        let mut names: Vec<String> = others.map(|(name, _)| name).collect();
        names.sort();
        Ok(names)
    }

    fn tmpfiles_create(&self, file: &Path) -> Result<()> {
        self.tmpfiles("--create", file)
    }

    fn tmpfiles_remove(&self, file: &Path) -> Result<()> {
        self.tmpfiles("--remove", file)
    }
}

/// Where no systemd is to be spoken to: says what would be run, and knows of no unit that runs.
pub struct Printing<'a> {
    scope: Scope,
    say: &'a dyn Fn(&str),
}

impl std::fmt::Debug for Printing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printing")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl<'a> Printing<'a> {
    /// `say` is given each command as it would be typed.
    pub fn new(scope: Scope, say: &'a dyn Fn(&str)) -> Self {
        Self { scope, say }
    }

    fn says(&self, program: &str, args: &[&str]) {
        (self.say)(&words(Path::new(program), self.scope, args).join(" "));
    }
}

impl Manager for Printing<'_> {
    fn acts(&self) -> bool {
        false
    }

    fn reload(&self) -> Result<()> {
        self.says("systemctl", &["daemon-reload"]);
        Ok(())
    }

    fn enable(&self, unit: &str) -> Result<()> {
        self.says("systemctl", &["enable", unit]);
        Ok(())
    }

    fn disable(&self, unit: &str) -> Result<()> {
        self.says("systemctl", &["disable", unit]);
        Ok(())
    }

    fn start(&self, units: &[&str]) -> Result<()> {
        self.says("systemctl", &[&["start"], units].concat());
        Ok(())
    }

    fn begin(&self, unit: &str) -> Result<()> {
        self.start(&[unit])
    }

    fn stop(&self, unit: &str) -> Result<()> {
        self.says("systemctl", &["stop", unit]);
        Ok(())
    }

    fn restart(&self, unit: &str) -> Result<()> {
        self.says("systemctl", &["restart", unit]);
        Ok(())
    }

    fn reset_failed(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn states(&self, units: &[&str]) -> Result<Vec<UnitState>> {
        let unknown = UnitState {
            active: Active::Inactive,
            ..UnitState::default()
        };
        Ok(vec![unknown; units.len()])
    }

    fn dependants(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn tmpfiles_create(&self, file: &Path) -> Result<()> {
        self.says("systemd-tmpfiles", &["--create", &file.to_string_lossy()]);
        Ok(())
    }

    fn tmpfiles_remove(&self, file: &Path) -> Result<()> {
        self.says("systemd-tmpfiles", &["--remove", &file.to_string_lossy()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
