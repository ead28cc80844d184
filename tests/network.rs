//! Networks that break, and registries that lie: what a pull makes of them, with the library's patience set short.

mod bombs;
mod digests;
mod flow;
mod limits;
mod progress;
mod resume;
mod retry;

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use fetch::{
    Error, Event, Patience, Proxies, PullOptions, Pulled, RegistryOptions, Source, SourceOptions,
};
use store::oci::Platform;
use store::{LayerLimits, Mode, Repo};

use crate::pull::double::Double;
use crate::pull::noise;
use crate::support::image::{Form, Image, Layer, Tar};

/// Waits that a test can sit out; only silence is given time, since machines that test are busy.
fn patience() -> Patience {
    Patience {
        silence: Duration::from_secs(2),
        backoff: Duration::from_millis(1),
        busy_backoff: Duration::from_millis(1),
        ..Patience::default()
    }
}

/// A repository of its own, and how to pull into it.
struct Puller {
    temp: tempfile::TempDir,
    repo: Repo,
    patience: Patience,
    limits: LayerLimits,
    events: Mutex<Vec<String>>,
}

impl Puller {
    fn new() -> Self {
        Self::with(patience())
    }

    fn with(patience: Patience) -> Self {
        let temp = tempfile::tempdir_in("/var/tmp").unwrap();
        let repo = Repo::init(&temp.path().join("repo"), Mode::BareUser).unwrap();
        Self {
            temp,
            repo,
            patience,
            limits: LayerLimits::default(),
            events: Mutex::default(),
        }
    }

    fn pull(&self, source: &str) -> Result<Pulled, Error> {
        let source: Source = source.parse().unwrap();
        let progress = |event: Event<'_>| {
            let text = match event {
                Event::Retry { what, why } => format!("{what}: {why}"),
                other => format!("{other:?}"),
            };
            self.events.lock().unwrap().push(text);
        };
        let options = PullOptions {
            platform: Platform {
                os: "linux".into(),
                architecture: "amd64".into(),
                variant: None,
            },
            name: Some("app".into()),
            jobs: 2,
            keep_blobs: false,
            source: SourceOptions {
                registry: RegistryOptions {
                    tls_verify: None,
                    certificates: Default::default(),
                    registries: Default::default(),
                    credentials: None,
                    auth_files: Vec::new(),
                    proxies: Proxies::default(),
                    user_agent: "test".into(),
                    patience: self.patience.clone(),
                },
                scratch: self.temp.path().to_owned(),
                rootfs_config: None,
                policy: None,
                platform: Platform::default(),
                docker_socket: PathBuf::new(),
                lock_timeout: Some(Duration::from_millis(200)),
            },
            lock_timeout: None,
            limits: self.limits.clone(),
            progress: &progress,
        };
        fetch::pull(&self.repo, &source, &options)
    }

    /// Pulls, and asks for success.
    #[track_caller]
    fn ok(&self, double: &Double) {
        self.pull(&double.url())
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
    }

    /// Pulls, and gives the error with its causes. Nothing may be visible then, nor staged.
    #[track_caller]
    fn fails(&self, double: &Double) -> String {
        let error = self.pull(&double.url()).expect_err("it must fail");
        self.nothing_is_left();
        chain(&error)
    }

    #[track_caller]
    fn nothing_is_left(&self) {
        assert_eq!(self.repo.refs("").unwrap(), [], "refs");
        let staged = names(&self.temp.path().join("repo/tmp"));
        assert_eq!(staged, Vec::<String>::new(), "staged");
    }

    fn events(&self, text: &str) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|event| event.contains(text)).count()
    }

    /// The sizes of the blobs that are kept aside.
    fn kept(&self) -> Vec<u64> {
        let folder = self.temp.path().join("repo/berth/partial");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|it| it.metadata().unwrap().len()).collect()
    }
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect()
}

/// An error with its causes, as the command line says it.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        next = cause.source();
    }
    text
}

/// One small layer.
fn small() -> Image {
    Image::of(Tar::new().file("hello", "hello\n"))
}

/// One layer of a little over `size` bytes that do not compress.
fn sized(size: usize) -> Image {
    let tar = Tar::new().file("noise", noise(size)).finish();
    Image::new([Layer::new(tar, Form::Plain)])
}
