//! A place with a repository, two versions of an image, and everything that services touch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use runtime::service::{
    self, Deployment, Event, Exports, GateOptions, IdRanges, Installer, Order, Places, Root,
    Runtime, Scope, Service, ServiceName, World, WorldOptions,
};
use runtime::{Error, Result};
use store::{Image, LockWait, Mode, Repo};

use crate::pretend::{Pretend, Still};
use crate::tars::{Item, image_named, tar_of};

pub(crate) struct Setup {
    pub(crate) dir: PathBuf,
    pub(crate) places: Places,
    pub(crate) repo: Repo,
    pub(crate) systemd: Pretend,
    _temp: Option<tempfile::TempDir>,
}

const UNIT: &str = "[Unit]\nDescription=$NAME $WORD\n[Service]\nExecStart=$EXEC_START\n\
ExecStop=$EXEC_STOP\nExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE\nWorkingDirectory=$DESTDIR\n";
const INSTALL: &str = "[Install]\nWantedBy=multi-user.target\n";
const CONFIG: &str = r#"{"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": true},
"process": {"args": ["$WORD"], "cwd": "/", "env": []}, "mounts": [], "linux": {"namespaces": []}}"#;
const MANIFEST: &str = r#"{"version": "1.0", "defaultValues": {"WORD": "DEFAULT"},
"renameFiles": {"/etc/NAME.conf": "/etc/$NAME.conf"}, "installedFilesTemplate": ["/etc/web.conf"]}"#;

/// What an image exports, to be changed before it is made.
pub(crate) struct Shape {
    pub(crate) manifest: String,
    pub(crate) unit: String,
    pub(crate) config: String,
    pub(crate) tmpfiles: String,
    /// Below `exports/hostfs`.
    pub(crate) host: Vec<(&'static str, &'static str)>,
    /// Elsewhere.
    pub(crate) files: Vec<(&'static str, &'static str)>,
}

impl Shape {
    /// A service with a default for WORD, one file of its own on the host and one in common.
    pub(crate) fn new(version: u32) -> Self {
        let (own, text) = match version {
            1 => ("usr/lib/first/only", "first"),
            _ => ("usr/lib/second/only", "second"),
        };
        Self {
            manifest: MANIFEST.replace("DEFAULT", text),
            unit: format!("{UNIT}{INSTALL}"),
            config: CONFIG.to_owned(),
            tmpfiles: "d /var/$NAME 0700 - - -\n".to_owned(),
            host: vec![
                (
                    "etc/NAME.conf",
                    if version == 1 {
                        "1 $WORD\n"
                    } else {
                        "2 $WORD\n"
                    },
                ),
                (own, text),
            ],
            files: vec![("usr/bin/program", text), (own, "in the image")],
        }
    }

    pub(crate) fn make(&self, repo: &Repo, name: &str) -> Image {
        let mut items = Vec::new();
        let mut dirs = std::collections::BTreeSet::new();
        let host: Vec<_> = self
            .host
            .iter()
            .map(|(p, t)| (format!("exports/hostfs/{p}"), *t))
            .collect();
        let files = self.files.iter().map(|(p, t)| ((*p).to_owned(), *t));
        let all: Vec<(String, &str)> = files
            .chain(host)
            .chain([
                ("exports/manifest.json".to_owned(), self.manifest.as_str()),
                ("exports/service.template".to_owned(), self.unit.as_str()),
                (
                    "exports/config.json.template".to_owned(),
                    self.config.as_str(),
                ),
                (
                    "exports/tmpfiles.template".to_owned(),
                    self.tmpfiles.as_str(),
                ),
            ])
            .filter(|(_, text)| !text.is_empty())
            .collect();
        for (path, _) in &all {
            let parents = Path::new(path).ancestors().skip(1);
            dirs.extend(
                parents
                    .map(|it| it.display().to_string())
                    .filter(|it| !it.is_empty()),
            );
        }
        items.extend(dirs.iter().map(|dir| Item::Dir(dir, 0o755)));
        items.extend(
            all.iter()
                .map(|(path, text)| Item::File(path, 0o644, text.as_bytes())),
        );
        image_named(repo, name, &[tar_of(&items)], &|_| {})
    }
}

impl Setup {
    pub(crate) fn new() -> Self {
        let temp = temp();
        let mut setup = Self::at(temp.path());
        setup._temp = Some(temp);
        setup
    }

    /// The setup in this directory, made when it is not there.
    pub(crate) fn at(dir: &Path) -> Self {
        let path = dir.join("repo");
        if !path.exists() {
            Repo::init(&path, Mode::BareUser).expect("init");
            let config = "[core]\nrepo_version=1\nmode=bare-user\nfsync=false\n";
            std::fs::write(path.join("config"), config).expect("config");
            let repo = Repo::open(&path).expect("open");
            Shape::new(1).make(&repo, "example.org/web:1");
            Shape::new(2).make(&repo, "example.org/web:2");
            for part in [
                "units/multi-user.target.wants",
                "tmpfiles",
                "host/etc",
                "checkouts",
            ] {
                std::fs::create_dir_all(dir.join(part)).expect("made");
            }
        }
        let places = Places {
            checkouts: dir.join("checkouts"),
            preinstalled: dir.join("preinstalled"),
            units: dir.join("units"),
            tmpfiles: dir.join("tmpfiles"),
            host_root: dir.join("host"),
        };
        Self {
            systemd: Pretend::new(&places.units, &dir.join("systemd")),
            repo: Repo::open(&path).expect("open"),
            dir: dir.to_owned(),
            places,
            _temp: None,
        }
    }

    pub(crate) fn host(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.dir.join("host").join(path)).ok()
    }

    pub(crate) fn unit(&self) -> String {
        std::fs::read_to_string(self.dir.join("units/web.service")).expect("a unit")
    }

    pub(crate) fn current(&self) -> Deployment {
        let service = Service::get(&self.places, &web()).expect("installed");
        service.current().expect("current").clone()
    }

    pub(crate) fn slots(&self) -> Vec<u32> {
        let service = Service::get(&self.places, &web()).expect("installed");
        let mut slots: Vec<u32> = service.deployments.iter().map(|it| it.slot).collect();
        slots.sort_unstable();
        slots
    }

    /// Opens the services, and tells `told` of everything.
    pub(crate) fn world<T>(
        &self,
        told: &mut dyn FnMut(Event<'_>),
        act: impl FnOnce(&mut World<'_>) -> Result<T>,
    ) -> Result<T> {
        let clock = Still::new();
        let options = WorldOptions {
            repo: self.repo.path().to_owned(),
            gate: GateOptions::default(),
            clock: &clock,
            health: None,
            wait: LockWait::QUIET,
        };
        let mut world = World::open(&self.places, &self.systemd, options, told)?;
        act(&mut world)
    }

    /// An order of an image, or of the root file system that another service has.
    pub(crate) fn order_remote<T>(
        &self,
        name: &ServiceName,
        given: &Path,
        set: &[(&str, &str)],
        act: impl FnOnce(&Order<'_>) -> Result<T>,
    ) -> Result<T> {
        let rootfs = service::find_remote(&self.places, given)?;
        let exports = Exports::of_directory(&rootfs)?;
        let runtime = our_runtime();
        act(&Order {
            name,
            root: Root::Remote(&rootfs),
            exports: &exports,
            image_name: ONE.to_owned(),
            source: None,
            revision: service::revision_of_remote(&self.places, &rootfs)?,
            digest: None,
            config: None,
            quadlet: None,
            plain: false,
            set: map(set),
            runtime: &runtime,
            keep: 2,
        })
    }

    pub(crate) fn order<T>(
        &self,
        name: &ServiceName,
        image: &str,
        set: &[(&str, &str)],
        act: impl FnOnce(&Order<'_>) -> Result<T>,
    ) -> Result<T> {
        let image = store::find_image(&self.repo, image)?;
        let exports = Exports::of_image(&self.repo, &image)?;
        let runtime = our_runtime();
        let order = Order {
            name,
            root: Root::Image(&self.repo, &image),
            exports: &exports,
            image_name: image.name.to_string(),
            source: None,
            revision: image.id.hex(),
            digest: None,
            config: Some(&image.config.container),
            quadlet: None,
            plain: false,
            set: map(set),
            runtime: &runtime,
            keep: 2,
        };
        act(&order)
    }

    pub(crate) fn install(
        &self,
        told: &mut dyn FnMut(Event<'_>),
        image: &str,
    ) -> Result<Deployment> {
        self.install_as(&web(), told, image, &[])
    }

    pub(crate) fn install_as(
        &self,
        name: &ServiceName,
        told: &mut dyn FnMut(Event<'_>),
        image: &str,
        set: &[(&str, &str)],
    ) -> Result<Deployment> {
        self.order(name, image, set, |order| {
            self.world(told, |world| {
                let plan = service::plan_install(&self.places, &installer(), order)?;
                service::install(world, &installer(), order, &plan)
            })
        })
    }

    pub(crate) fn update(
        &self,
        told: &mut dyn FnMut(Event<'_>),
        image: &str,
    ) -> Result<Deployment> {
        self.update_with(told, image, &[], 2)
    }

    /// Updates without anybody agreeing to more files on the host.
    pub(crate) fn update_unasked(&self, image: &str) -> Result<Deployment> {
        self.order(&web(), image, &[], |order| {
            self.world(&mut quiet(), |world| {
                let service = Service::get(&self.places, &web())?;
                let plan =
                    service::plan_update(&self.places, &installer(), &service, order, false)?;
                service::update(world, &installer(), order, &plan.expect("a change"), false)
            })
        })
    }

    pub(crate) fn update_with(
        &self,
        told: &mut dyn FnMut(Event<'_>),
        image: &str,
        set: &[(&str, &str)],
        keep: u32,
    ) -> Result<Deployment> {
        self.order(&web(), image, set, |order| {
            let mut order = order.clone();
            order.keep = keep;
            self.world(told, |world| {
                let service = Service::get(&self.places, &web())?;
                let before = service::set_by_user(service.current()?, &installer())?;
                for (name, value) in before {
                    order.set.entry(name).or_insert(value);
                }
                let is_running = self.systemd.running("web.service").is_some();
                let plan =
                    service::plan_update(&self.places, &installer(), &service, &order, is_running)?;
                match plan {
                    None => service.current().cloned(),
                    Some(plan) => service::update(world, &installer(), &order, &plan, true),
                }
            })
        })
    }

    pub(crate) fn rollback(&self, told: &mut dyn FnMut(Event<'_>)) -> Result<Deployment> {
        self.world(told, |world| service::rollback(world, &web()))
    }

    pub(crate) fn uninstall(&self, told: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        self.world(told, |world| service::uninstall(world, &web()))
    }

    /// Installed and running.
    pub(crate) fn running(image: &str) -> Self {
        let setup = Self::new();
        setup.install(&mut quiet(), image).expect("installed");
        setup.systemd.up("web.service");
        setup
    }
}

/// A directory, in memory where a repository can be there: a change waits for its disk.
pub(crate) fn temp() -> tempfile::TempDir {
    let fast = tempfile::tempdir_in("/dev/shm").ok();
    let fast = fast.filter(|dir| Repo::init(&dir.path().join("probe"), Mode::BareUser).is_ok());
    fast.map_or_else(
        || tempfile::tempdir().expect("a directory"),
        |dir| {
            std::fs::remove_dir_all(dir.path().join("probe")).expect("removed");
            dir
        },
    )
}

pub(crate) fn web() -> ServiceName {
    ServiceName::new("web").expect("a name")
}

pub(crate) const ONE: &str = "example.org/web:1";
pub(crate) const TWO: &str = "example.org/web:2";

pub(crate) fn quiet() -> impl FnMut(Event<'_>) {
    |_| {}
}

pub(crate) fn our_runtime() -> Runtime {
    Runtime {
        words: vec!["/usr/bin/berth".into(), "oci".into()],
        pid_file: true,
        systemd_cgroup: false,
        is_ours: true,
    }
}

pub(crate) fn installer() -> Installer {
    Installer {
        scope: Scope::Root,
        uid: 0,
        gid: 0,
        ranges: IdRanges::default(),
        atomic: "/usr/bin/berth atomic".into(),
        run_directory: "/run".into(),
        state_directory: "/var/lib".into(),
        conf_directory: "/etc".into(),
        last_cap: 40,
        now: 1_700_000_000,
    }
}

/// An error with its causes.
pub(crate) fn words(error: &Error) -> String {
    service::chain(error)
}

/// Values as a map.
pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}
