use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A systemd that knows the states of these units.
struct Knows(Vec<(&'static str, Active, &'static str)>);

impl Manager for Knows {
    fn acts(&self) -> bool {
        !self.0.is_empty()
    }
    fn reload(&self) -> Result<()> {
        Ok(())
    }
    fn enable(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn disable(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn start(&self, _: &[&str]) -> Result<()> {
        Ok(())
    }
    fn begin(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn stop(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn restart(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn reset_failed(&self, _: &str) -> Result<()> {
        Ok(())
    }
    fn states(&self, units: &[&str]) -> Result<Vec<UnitState>> {
        let state = |unit: &&str| {
            let known = self.0.iter().find(|it| it.0 == *unit);
            UnitState {
                active: known.map_or(Active::Inactive, |it| it.1),
                sub: known.map_or("dead", |it| it.2).to_owned(),
                ..UnitState::default()
            }
        };
        Ok(units.iter().map(state).collect())
    }
    fn dependants(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn tmpfiles_create(&self, _: &Path) -> Result<()> {
        Ok(())
    }
    fn tmpfiles_remove(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["checkouts", "preinstalled"] {
            fs::create_dir(dir.path().join(name)).expect("made");
        }
        Self(dir)
    }

    fn checkouts(&self) -> PathBuf {
        self.0.path().join("checkouts")
    }

    fn deployment(&self, base: &str, dir: &str, image: &str, has_unit: bool) -> PathBuf {
        let dir = self.0.path().join(base).join(dir);
        fs::create_dir(&dir).expect("made");
        let info = Info {
            image: image.to_owned(),
            has_container_service: has_unit,
            ..Info::default()
        };
        info.write(&dir.join(INFO)).expect("written");
        let config = r#"{"process": {"args": ["serve", "--port", "80"]}}"#;
        fs::write(dir.join("config.json"), config).expect("written");
        dir
    }

    fn service(&self, name: &str, has_unit: bool) {
        let dir = self.deployment("checkouts", &format!("{name}.1"), name, has_unit);
        symlink(dir, self.checkouts().join(name)).expect("linked");
    }

    fn list(&self, manager: &dyn Manager) -> Vec<Listed> {
        list(
            &self.checkouts(),
            &self.0.path().join("preinstalled"),
            manager,
        )
        .expect("listed")
    }
}

fn names(listed: &[Listed]) -> Vec<(&str, &'static str)> {
    let pair = |it: &'_ Listed| it.state.name();
    listed
        .iter()
        .map(|it| (it.name.as_str(), pair(it)))
        .collect()
}

#[test]
fn defect_14_a_failed_service_is_not_a_running_one() {
    let place = Place::new();
    for name in ["broken", "files", "off", "tries", "web"] {
        place.service(name, name != "files");
    }
    let systemd = Knows(vec![
        ("broken.service", Active::Failed, "failed"),
        ("files.service", Active::Active, "running"),
        ("tries.service", Active::Activating, "auto-restart"),
        ("web.service", Active::Active, "running"),
    ]);
    let listed = place.list(&systemd);
    let expected = [
        ("broken", "failed"),
        ("files", "no service"),
        ("off", "inactive"),
        ("tries", "failed"),
        ("web", "running"),
    ];
    assert_eq!(names(&listed), expected);
    assert_eq!(listed[0].command, ["serve", "--port", "80"]);
    // Nothing is claimed that nobody was asked.
    let listed = place.list(&Knows(Vec::new()));
    assert!(
        names(&listed)
            .iter()
            .all(|it| ["unknown", "no service"].contains(&it.1))
    );
}

#[test]
fn what_came_with_the_system_is_listed_unless_there_is_another_of_its_name() {
    let place = Place::new();
    place.deployment("preinstalled", "etcd", "of the system", true);
    place.deployment("preinstalled", "web", "of the system", true);
    place.service("web", true);
    let listed = place.list(&Knows(vec![("etcd.service", Active::Active, "running")]));
    let told: Vec<_> = listed
        .iter()
        .map(|it| (it.name.as_str(), it.info.image.as_str(), it.is_preinstalled))
        .collect();
    assert_eq!(
        told,
        [("etcd", "of the system", true), ("web", "web", false)]
    );
}

#[test]
fn deployments_without_a_link_and_odd_names_are_no_services() {
    let place = Place::new();
    place.deployment("checkouts", "gone.0", "gone", true);
    fs::create_dir(place.checkouts().join(".berth")).expect("made");
    symlink("nowhere", place.checkouts().join("dangling")).expect("linked");
    fs::write(place.checkouts().join("file"), "").expect("written");
    assert!(place.list(&Knows(Vec::new())).is_empty());
    // A link that leads nowhere has a name all the same: it cannot be installed over.
    let name = ServiceName::new("dangling").expect("valid");
    let found = find(
        &place.checkouts(),
        Path::new("/nowhere"),
        &Knows(Vec::new()),
        &name,
    );
    let problem = found.expect("looked").expect("there").problem.expect("one");
    assert!(
        problem.starts_with("cannot read ") && problem.contains("No such file"),
        "{problem}"
    );
    let absent = Path::new("/nowhere/at/all");
    assert!(
        list(absent, absent, &Knows(Vec::new()))
            .expect("none")
            .is_empty()
    );
}

#[test]
fn one_that_cannot_be_read_hides_no_other() {
    let place = Place::new();
    place.service("bad", true);
    place.service("good", true);
    fs::write(place.checkouts().join("bad/info"), "{").expect("written");
    let listed = place.list(&Knows(vec![("good.service", Active::Active, "running")]));
    assert_eq!(names(&listed), [("bad", "inactive"), ("good", "running")]);
    assert!(
        listed[0]
            .problem
            .as_ref()
            .is_some_and(|it| it.contains("info is malformed: EOF")),
        "{listed:?}"
    );
    assert!(listed[1].problem.is_none());
}
