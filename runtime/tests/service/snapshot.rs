//! Everything that a change of a service may change, as text that two runs can be compared by.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use runtime::service::Info;

use crate::setup::Setup;

/// Path below the setup, and what is there.
pub(crate) type Snapshot = BTreeMap<String, String>;

impl Setup {
    /// Deployments, units, tmpfiles.d files, the host's files, what runs, and what the repository keeps. What is random is
    /// replaced by the name of whose it is.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut found = Snapshot::new();
        for part in [
            "checkouts",
            "units",
            "tmpfiles",
            "host",
            "systemd/active",
            "systemd/failed",
        ] {
            walk(&self.dir, &self.dir.join(part), &mut found);
        }
        found.retain(|path, _| !path.starts_with("checkouts/.berth"));
        walk(
            &self.dir,
            &self.dir.join("repo/refs/heads/berth"),
            &mut found,
        );
        found.retain(|path, what| !path.starts_with("repo") || !what.starts_with("directory"));
        let mut names = vec![(self.dir.display().to_string(), "PLACE".to_owned())];
        for entry in std::fs::read_dir(self.dir.join("checkouts"))
            .into_iter()
            .flatten()
        {
            let path = entry.expect("read").path();
            if let Ok(info) = Info::read(&path.join("info"))
                && !path.is_symlink()
            {
                let slot = path
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                names.push((info.id.expect("an id"), format!("ID-OF-{slot}")));
                names.push((info.values["UUID"].clone(), "UUID".to_owned()));
            }
        }
        let replace = |text: String| {
            let all = names.iter();
            all.fold(text, |text, (from, to)| text.replace(from, to))
        };
        let found = found.into_iter();
        found
            .map(|(path, what)| (replace(path), replace(what)))
            .collect()
    }

    /// What is in `.berth` and should not be when nothing is going on.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut found = Snapshot::new();
        let own = self.dir.join("checkouts/.berth");
        for part in ["journal", "staging", "trash"] {
            walk(&own, &own.join(part), &mut found);
        }
        found
            .into_keys()
            .filter(|path| path.contains('/'))
            .collect()
    }
}

fn walk(base: &Path, path: &Path, found: &mut Snapshot) {
    let Ok(meta) = path.symlink_metadata() else {
        return;
    };
    let name = path
        .strip_prefix(base)
        .expect("below")
        .display()
        .to_string();
    let mode = meta.permissions().mode() & 0o7777;
    let what = if meta.is_symlink() {
        format!("-> {}", path.read_link().expect("read").display())
    } else if meta.is_dir() {
        for entry in std::fs::read_dir(path).expect("read") {
            walk(base, &entry.expect("read").path(), found);
        }
        format!("directory {mode:o}")
    } else {
        let bytes = std::fs::read(path).expect("read");
        format!("{mode:o} {}", String::from_utf8_lossy(&bytes))
    };
    found.insert(name, what);
}

/// Fails with the first difference.
#[track_caller]
pub(crate) fn same(left: &Snapshot, right: &Snapshot, what: &str) {
    if let Some(text) = difference(left, right) {
        panic!("{what}: {text}");
    }
}

pub(crate) fn difference(left: &Snapshot, right: &Snapshot) -> Option<String> {
    let names: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let differing = names
        .into_iter()
        .find(|name| left.get(*name) != right.get(*name))?;
    Some(format!(
        "{differing}:\n  {:?}\n  {:?}",
        left.get(differing),
        right.get(differing)
    ))
}
