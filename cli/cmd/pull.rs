//! `berth pull`, and the flags with which any command that takes a SOURCE reaches it.

use std::path::PathBuf;
use std::process::ExitCode;

use fetch::{Event, Patience, PullOptions, Pulled, RegistryOptions, Source, SourceOptions};
use store::LayerLimits;
use store::oci::Platform;

use crate::auth::AuthFlags;
use crate::context::{Context, env};
use crate::hosts;
use crate::progress::Progress;
use crate::report::{Failure, out, printable};

/// How many layers are fetched at a time unless the user says otherwise.
pub(crate) const JOBS: usize = 4;

/// What a source is, in the help of whatever takes one.
pub(crate) const SOURCES: &str = "[docker://]HOST/NAME[:TAG][@DIGEST], oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], docker-daemon:NAME, dir:DIR, rootfs-tar:FILE or ostree:NAME[@REPO]; - as FILE is stdin";

/// Fetch images into the store
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth pull redis:7\n  berth pull --tls-verify=false docker://registry.example:5000/app\n  berth pull oci:./layout:latest docker-archive:saved.tar\n  docker save app | berth pull docker-archive:-"
)]
pub(crate) struct PullArgs {
    /// Where the images are
    #[arg(
        required = true,
        value_name = "SOURCE",
        help = SOURCES
    )]
    sources: Vec<String>,
    #[command(flatten)]
    flags: PullFlags,
    /// Keep the image under this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The image config for a rootfs-tar:, JSON as OCI has it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How many layers to fetch at a time
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
    /// Keep the layers also as they came, so that the image can leave again byte for byte
    #[arg(long)]
    keep_blobs: bool,
    /// Show no progress and no warnings
    #[arg(short, long)]
    quiet: bool,
}

/// How to reach a source.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PullFlags {
    /// The platform to choose where there are several [default: this host's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    auth: AuthFlags,
    /// Hold images to this policy [default: ~/.config/containers/policy.json, /etc/containers/policy.json, if there is one]
    #[arg(long, value_name = "FILE")]
    signature_policy: Option<PathBuf>,
    /// The image config for a `rootfs-tar:`.
    #[arg(skip)]
    rootfs_config: Option<PathBuf>,
}

/// How to trust a registry.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TlsFlags {
    /// Check the registry's certificate; `false` also allows plain HTTP, `true` forbids it on the loopback too
    /// [default: what registries.conf says]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    tls_verify: Option<bool>,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Use the certificates in this directory: *.crt of authorities, *.cert and *.key of ours [default: those of the
    /// registry in certs.d]
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
}

/// How to pull what was reached.
struct How {
    name: Option<String>,
    jobs: usize,
    keep_blobs: bool,
    quiet: bool,
}

/// Pulls each source and prints its name and digest.
pub(crate) fn pull(args: PullArgs, context: &Context) -> Result<ExitCode, Failure> {
    if args.name.is_some() && args.sources.len() > 1 {
        return Err(Failure::usage("--name takes one source"));
    }
    // once for all sources
    args.flags.auth.credentials()?;
    for text in &args.sources {
        let source = parse(text)?;
        if args.config.is_some() && !matches!(source, Source::RootfsTar(_)) {
            return Err(Failure::usage("--config is for a rootfs-tar:"));
        }
        let how = How {
            name: args.name.clone(),
            jobs: args.jobs,
            keep_blobs: args.keep_blobs,
            quiet: args.quiet,
        };
        let mut flags = args.flags.reaching(text);
        flags.rootfs_config = args.config.clone();
        let pulled = flags.pull(context, &source, how)?;
        let name = printable(pulled.image.name.as_str());
        match name.contains('@') {
            true => out!("{name}")?,
            false => out!("{name}@{}", pulled.digest)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a source from the command line; a mistake in it is one of usage.
pub(crate) fn parse(text: &str) -> Result<Source, Failure> {
    text.parse::<Source>()
        .map_err(|error| Failure::from(error).code(crate::report::USAGE))
}

impl PullFlags {
    /// The flags for the source that `text` is: one form of it is a flag in itself.
    pub(crate) fn reaching(&self, text: &str) -> Self {
        let mut flags = self.clone();
        if Source::waives_tls(text) {
            flags.tls.tls_verify = Some(false);
        }
        flags
    }

    /// The same with the credentials `USER[:PASSWORD]`.
    pub(crate) fn with_credentials(mut self, creds: &str) -> Result<Self, Failure> {
        self.auth.set_creds(creds)?;
        Ok(self)
    }

    /// Pulls one source under its own name, for commands that need an image to be there.
    pub(crate) fn pull_source(
        &self,
        context: &Context,
        source: &Source,
        quiet: bool,
    ) -> Result<Pulled, Failure> {
        let how = How {
            name: None,
            jobs: JOBS,
            keep_blobs: false,
            quiet,
        };
        self.pull(context, source, how)
    }

    fn pull(&self, context: &Context, source: &Source, how: How) -> Result<Pulled, Failure> {
        let quiet = how.quiet;
        let repo = context.writable_repo()?;
        let source_options = self.source(context)?;
        let progress = Progress::new(context, quiet);
        let options = PullOptions {
            platform: self.platform(),
            name: how.name,
            jobs: how.jobs,
            keep_blobs: how.keep_blobs,
            source: source_options,
            lock_timeout: Some(context.lock_timeout),
            limits: LayerLimits::default(),
            progress: &|event| progress.event(&event),
        };
        let pulled = fetch::pull(&repo, source, &options)?;
        if let Some(text) = pulled.left_out.words("the store") {
            progress.event(&Event::Warning(&text));
        }
        Ok(pulled)
    }

    /// The platform that is wanted.
    pub(crate) fn platform(&self) -> Platform {
        self.platform.clone().unwrap_or_else(crate::platform::host)
    }

    /// The policy that images are held to, if there is one.
    pub(crate) fn policy(&self) -> Option<PathBuf> {
        self.signature_policy.clone().or_else(hosts::policy)
    }

    /// How to reach a source. Asks for a password that is missing, once.
    pub(crate) fn source(&self, context: &Context) -> Result<SourceOptions, Failure> {
        Ok(SourceOptions {
            registry: self.registry()?,
            scratch: context.scratch(),
            rootfs_config: self.rootfs_config.clone(),
            platform: self.platform(),
            docker_socket: docker_socket(),
            policy: self.policy(),
            lock_timeout: Some(context.lock_timeout),
        })
    }

    /// How to talk to a registry. Asks for a password that is missing, once.
    pub(crate) fn registry(&self) -> Result<RegistryOptions, Failure> {
        Ok(RegistryOptions {
            credentials: self.auth.credentials()?,
            auth_files: self.auth.files(),
            ..self.tls.registry()
        })
    }
}

impl TlsFlags {
    /// How to talk to a registry, as nobody.
    pub(crate) fn registry(&self) -> RegistryOptions {
        RegistryOptions {
            tls_verify: self.tls_verify,
            certificates: hosts::certificates(&self.ca, self.cert_dir.clone()),
            credentials: None,
            auth_files: Vec::new(),
            proxies: hosts::proxies(),
            registries: hosts::registries(),
            user_agent: concat!("berth/", env!("CARGO_PKG_VERSION")).to_owned(),
            patience: Patience::default(),
        }
    }
}

/// The socket of docker's daemon; `DOCKER_HOST` may say something else, which then is no path.
fn docker_socket() -> PathBuf {
    let host = env("DOCKER_HOST").unwrap_or_else(|| "unix:///var/run/docker.sock".into());
    let socket = host.to_str().and_then(|host| host.strip_prefix("unix://"));
    socket.map_or_else(|| host.clone().into(), PathBuf::from)
}

impl From<fetch::Error> for Failure {
    fn from(error: fetch::Error) -> Self {
        let hint = error
            .hint()
            .or_else(|| error.store().and_then(crate::report::store_hint));
        let failure = Self::new(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
