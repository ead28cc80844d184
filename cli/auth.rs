//! Who we are at a registry: the flags, and the places where docker and podman keep it.

use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fetch::{AuthFile, AuthFileKind, Credentials};

use crate::context::env;
use crate::prompt;
use crate::report::Failure;

/// Who we are at a registry.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AuthFlags {
    #[command(flatten)]
    file: AuthFileFlag,
    /// Log in as this user; without a password it is asked for
    #[arg(long, value_name = "USER[:PASSWORD]")]
    creds: Option<Creds>,
    /// What was asked for, so that it is asked for once.
    #[arg(skip)]
    asked: OnceCell<Credentials>,
}

impl AuthFlags {
    /// The files to look in, best first.
    pub(crate) fn files(&self) -> Vec<AuthFile> {
        self.file.files()
    }

    /// Takes `USER[:PASSWORD]` for what was given.
    pub(crate) fn set_creds(&mut self, creds: &str) -> Result<(), Failure> {
        self.creds = Some(creds.parse()?);
        Ok(())
    }

    /// The credentials that the user gave, or gives now.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let Some(Creds { user, password }) = &self.creds else {
            return Ok(None);
        };
        if let Some(asked) = self.asked.get() {
            return Ok(Some(asked.clone()));
        }
        let credentials = match password {
            Some(password) => Credentials::new(user, password)?,
            None => {
                // before anybody is asked for a password of nobody
                Credentials::new(user, "")?;
                let password = prompt::password(&format!("Password for {user}: "))
                    .map_err(|failure| failure.hint("give it as --creds USER:PASSWORD"))?;
                Credentials::new(user, &password)?
            }
        };
        Ok(Some(self.asked.get_or_init(|| credentials).clone()))
    }
}

/// Which file to use.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AuthFileFlag {
    /// Use this file of credentials alone [default: $REGISTRY_AUTH_FILE, else podman's and docker's]
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
}

impl AuthFileFlag {
    /// The files to look in, best first: the one that was named, or those of podman and docker.
    pub(crate) fn files(&self) -> Vec<AuthFile> {
        let file = |path, kind| AuthFile { path, kind };
        if let Some(path) = self.named() {
            return vec![file(path, AuthFileKind::Named)];
        }
        let mut files = vec![file(runtime_file(), AuthFileKind::Usual)];
        let kept = config_dir().map(|dir| dir.join("containers/auth.json"));
        let docker = path("DOCKER_CONFIG").or_else(|| Some(path("HOME")?.join(".docker")));
        let docker = docker.map(|dir| dir.join("config.json"));
        let usual = [kept, docker].into_iter().flatten();
        files.extend(usual.map(|path| file(path, AuthFileKind::Usual)));
        let old = path("HOME").map(|home| home.join(".dockercfg"));
        files.extend(old.map(|path| file(path, AuthFileKind::Old)));
        files
    }

    /// The file to write: the one that was named, or the first of podman's whose directory is there, where podman
    /// keeps them until the session ends, or else the one that lasts.
    pub(crate) fn target(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = self.named() {
            return Ok(path);
        }
        let file = runtime_file();
        // /run/containers is root's to make; a session's directory is made by whoever made the session
        let session = match path("XDG_RUNTIME_DIR") {
            Some(dir) => dir.is_dir(),
            None => file.parent().is_some_and(Path::is_dir) || crate::context::is_root(),
        };
        if session {
            return Ok(file);
        }
        let dir = config_dir().ok_or_else(|| {
            Failure::new("cannot find a place for credentials: HOME is not set")
                .hint("name one with --authfile")
        })?;
        Ok(dir.join("containers/auth.json"))
    }

    fn named(&self) -> Option<PathBuf> {
        let flag = self.authfile.clone();
        flag.or_else(|| path("REGISTRY_AUTH_FILE"))
    }
}

/// Where podman keeps credentials for as long as a session lasts.
fn runtime_file() -> PathBuf {
    let dir = match path("XDG_RUNTIME_DIR") {
        Some(dir) => dir.join("containers"),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            PathBuf::from(format!("/run/containers/{uid}"))
        }
    };
    dir.join("auth.json")
}

fn config_dir() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))
}

fn path(name: &str) -> Option<PathBuf> {
    env(name).map(PathBuf::from)
}

/// What `--creds` says.
#[derive(Clone)]
pub(crate) struct Creds {
    user: String,
    password: Option<String>,
}

impl fmt::Debug for Creds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Creds({:?})", self.user)
    }
}

impl FromStr for Creds {
    type Err = fetch::Error;

    fn from_str(text: &str) -> Result<Self, fetch::Error> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(password.to_owned())),
            None => (text, None),
        };
        Credentials::new(user, "")?;
        Ok(Self {
            user: user.to_owned(),
            password,
        })
    }
}
