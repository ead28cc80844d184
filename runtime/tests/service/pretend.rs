//! A systemd that remembers in files what it was told, so that it outlives the process that is killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::service::{Active, Clock, Manager, UnitState};
use runtime::{Error, Result};

pub(crate) struct Pretend {
    units: PathBuf,
    state: PathBuf,
}

/// What a unit says when it will not come up.
pub(crate) const BROKEN: &str = "Environment=BROKEN=yes";

impl Pretend {
    pub(crate) fn new(units: &Path, state: &Path) -> Self {
        std::fs::create_dir_all(state.join("active")).expect("made");
        std::fs::create_dir_all(state.join("failed")).expect("made");
        Self {
            units: units.to_owned(),
            state: state.to_owned(),
        }
    }

    /// Everything that it was told, a line each.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.state.join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn forget_log(&self) {
        let _ = std::fs::remove_file(self.state.join("log"));
    }

    /// Lets every later call of this verb fail.
    pub(crate) fn break_verb(&self, verb: &str) {
        std::fs::write(self.state.join(format!("broken-{verb}")), "").expect("written");
    }

    pub(crate) fn mend_verb(&self, verb: &str) {
        std::fs::remove_file(self.state.join(format!("broken-{verb}"))).expect("removed");
    }

    /// The same for whatever is broken.
    pub(crate) fn mend_all(&self) {
        for entry in std::fs::read_dir(&self.state).expect("read") {
            let path = entry.expect("read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("broken-") {
                std::fs::remove_file(&path).expect("removed");
            }
        }
    }

    /// Lets `other` go down with `unit`.
    pub(crate) fn depend(&self, other: &str, unit: &str) {
        std::fs::write(self.state.join(format!("dependants-{unit}")), other).expect("written");
    }

    /// The text of the unit that runs.
    pub(crate) fn running(&self, unit: &str) -> Option<String> {
        std::fs::read_to_string(self.state.join("active").join(unit)).ok()
    }

    fn told(&self, verb: &str, what: &str) -> Result<()> {
        use std::io::Write as _;
        let mut log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.state.join("log"))
            .expect("opened");
        writeln!(log, "{verb} {what}").expect("written");
        if self.state.join(format!("broken-{verb}")).exists() {
            return Err(Error::Os {
                op: "do what systemd was told",
                source: std::io::Error::other(format!("{verb} is broken")),
            });
        }
        Ok(())
    }

    pub(crate) fn up(&self, unit: &str) {
        let text = std::fs::read_to_string(self.units.join(unit)).unwrap_or_default();
        let (place, other) = match text.contains(BROKEN) {
            true => ("failed", "active"),
            false => ("active", "failed"),
        };
        std::fs::write(self.state.join(place).join(unit), &text).expect("written");
        let _ = std::fs::remove_file(self.state.join(other).join(unit));
    }

    fn wants(&self, unit: &str) -> PathBuf {
        self.units.join("multi-user.target.wants").join(unit)
    }
}

impl Manager for Pretend {
    fn acts(&self) -> bool {
        true
    }

    fn reload(&self) -> Result<()> {
        self.told("daemon-reload", "")
    }

    fn enable(&self, unit: &str) -> Result<()> {
        self.told("enable", unit)?;
        let link = self.wants(unit);
        std::fs::create_dir_all(link.parent().expect("a parent")).expect("made");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(self.units.join(unit), &link).expect("linked");
        Ok(())
    }

    fn disable(&self, unit: &str) -> Result<()> {
        self.told("disable", unit)?;
        let _ = std::fs::remove_file(self.wants(unit));
        Ok(())
    }

    fn start(&self, units: &[&str]) -> Result<()> {
        for unit in units {
            self.told("start", unit)?;
            self.up(unit);
        }
        Ok(())
    }

    fn begin(&self, unit: &str) -> Result<()> {
        self.start(&[unit])
    }

    fn stop(&self, unit: &str) -> Result<()> {
        self.told("stop", unit)?;
        for other in self.dependants(unit)? {
            let _ = std::fs::remove_file(self.state.join("active").join(other));
        }
        let _ = std::fs::remove_file(self.state.join("active").join(unit));
        Ok(())
    }

    fn restart(&self, unit: &str) -> Result<()> {
        self.told("restart", unit)?;
        self.up(unit);
        Ok(())
    }

    fn reset_failed(&self, unit: &str) -> Result<()> {
        let _ = std::fs::remove_file(self.state.join("failed").join(unit));
        Ok(())
    }

    fn states(&self, units: &[&str]) -> Result<Vec<UnitState>> {
        let state = |unit: &&str| UnitState {
            load: "loaded".into(),
            active: match () {
                () if self.state.join("active").join(unit).exists() => Active::Active,
                () if self.state.join("failed").join(unit).exists() => Active::Failed,
                () => Active::Inactive,
            },
            kind: "notify".into(),
            result: "exit-code".into(),
            exit_status: 3,
            condition: true,
            ..UnitState::default()
        };
        Ok(units.iter().map(state).collect())
    }

    fn dependants(&self, unit: &str) -> Result<Vec<String>> {
        let found = std::fs::read_to_string(self.state.join(format!("dependants-{unit}")));
        let found = found.unwrap_or_default();
        let is_up = |unit: &&str| self.state.join("active").join(unit).exists();
        Ok(found.lines().filter(is_up).map(str::to_owned).collect())
    }

    fn tmpfiles_create(&self, file: &Path) -> Result<()> {
        assert!(file.is_file(), "{} is there", file.display());
        self.told("tmpfiles-create", &file.display().to_string())
    }

    fn tmpfiles_remove(&self, file: &Path) -> Result<()> {
        assert!(file.is_file(), "{} is there", file.display());
        self.told("tmpfiles-remove", "")
    }
}

/// A clock on which no time passes but what is slept.
pub(crate) struct Still(std::cell::Cell<Duration>);

impl Still {
    pub(crate) fn new() -> Self {
        Self(std::cell::Cell::new(Duration::ZERO))
    }
}

impl Clock for Still {
    fn now(&self) -> Duration {
        self.0.get()
    }

    fn sleep(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}
