//! `berth pull`, and the flags with which any command that takes a SOURCE reaches it.

use std::path::PathBuf;
use std::process::ExitCode;

use fetch::{LeftOut, Proxies, PullOptions, Pulled, RegistryOptions, Source, SourceOptions};
use store::LayerLimits;
use store::oci::Platform;

use crate::args::LogLevel;
use crate::auth::AuthFlags;
use crate::context::{Context, env};
use crate::progress::Progress;
use crate::report::{Failure, note, out, printable};

/// How many layers are fetched at a time unless the user says otherwise.
const JOBS: usize = 4;

/// Fetch images into the store
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth pull redis:7\n  berth pull --tls-verify=false docker://registry.example:5000/app\n  berth pull oci:./layout:latest docker-archive:saved.tar"
)]
pub(crate) struct PullArgs {
    /// Where the images are
    #[arg(
        required = true,
        value_name = "SOURCE",
        help = "[docker://]HOST/NAME[:TAG][@DIGEST], oci:DIR[:REF], oci-archive:FILE[:REF] or docker-archive:FILE[:REF]"
    )]
    sources: Vec<String>,
    #[command(flatten)]
    flags: PullFlags,
    /// Keep the image under this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How many layers to fetch at a time
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
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
}

/// How to trust a registry.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TlsFlags {
    /// Check the registry's certificate; `false` also allows plain HTTP
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    tls_verify: bool,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
}

/// Pulls each source and prints its name and digest.
pub(crate) fn pull(args: PullArgs, context: &Context) -> Result<ExitCode, Failure> {
    if args.name.is_some() && args.sources.len() > 1 {
        return Err(Failure::usage("--name takes one source"));
    }
    for text in &args.sources {
        let source = parse(text)?;
        let pulled = args
            .flags
            .pull(context, &source, args.name.clone(), args.jobs, args.quiet)?;
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
    /// Pulls one source under its own name, for commands that need an image to be there.
    pub(crate) fn pull_source(
        &self,
        context: &Context,
        source: &Source,
    ) -> Result<Pulled, Failure> {
        self.pull(context, source, None, JOBS, false)
    }

    fn pull(
        &self,
        context: &Context,
        source: &Source,
        name: Option<String>,
        jobs: usize,
        quiet: bool,
    ) -> Result<Pulled, Failure> {
        let repo = context.writable_repo()?;
        let progress = Progress::new(context, quiet);
        let options = PullOptions {
            platform: self.platform(),
            name,
            jobs,
            source: self.source(context)?,
            lock_timeout: Some(context.lock_timeout),
            limits: LayerLimits::default(),
            progress: &|event| progress.event(&event),
        };
        let pulled = fetch::pull(&repo, source, &options)?;
        if !quiet && context.log_level >= LogLevel::Warn {
            say_left_out(&pulled.left_out);
        }
        Ok(pulled)
    }

    /// The platform that is wanted.
    pub(crate) fn platform(&self) -> Platform {
        self.platform.clone().unwrap_or_else(host_platform)
    }

    /// How to reach a source. Asks for a password that is missing, once.
    pub(crate) fn source(&self, context: &Context) -> Result<SourceOptions, Failure> {
        Ok(SourceOptions {
            registry: RegistryOptions {
                credentials: self.auth.credentials()?,
                auth_files: self.auth.files(),
                ..self.tls.registry()
            },
            scratch: context.repo.join("tmp"),
            rootfs_config: None,
            docker_socket: "/var/run/docker.sock".into(),
        })
    }
}

impl TlsFlags {
    /// How to talk to a registry, as nobody.
    pub(crate) fn registry(&self) -> RegistryOptions {
        RegistryOptions {
            tls_verify: self.tls_verify,
            ca: self.ca.clone(),
            ca_bundle: env("SSL_CERT_FILE").map(PathBuf::from),
            credentials: None,
            auth_files: Vec::new(),
            proxies: proxies(),
            user_agent: concat!("berth/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The proxies of the environment, by the names that curl and Go read.
fn proxies() -> Proxies {
    let find = |names: [&str; 3]| {
        names
            .into_iter()
            .find_map(env)
            .and_then(|value| value.into_string().ok())
    };
    Proxies {
        http: find(["http_proxy", "all_proxy", "ALL_PROXY"]),
        https: find(["https_proxy", "HTTPS_PROXY", "all_proxy"]),
        except: find(["no_proxy", "NO_PROXY", "NO_PROXY"]).unwrap_or_default(),
    }
}

/// This host's platform in the words of image indexes.
fn host_platform() -> Platform {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "x86" => ("386", None),
        "aarch64" => ("arm64", Some("v8")),
        "arm" => ("arm", Some("v7")),
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "loongarch64" => ("loong64", None),
        other => (other, None),
    };
    Platform {
        os: "linux".into(),
        architecture: architecture.into(),
        variant: variant.map(Into::into),
    }
}

/// Names what the store could not keep.
fn say_left_out(left_out: &LeftOut) {
    if left_out.total == 0 {
        return;
    }
    let names = left_out
        .first
        .iter()
        .map(|name| printable(name))
        .collect::<Vec<_>>()
        .join(", ");
    let more = if left_out.total > left_out.first.len() as u64 {
        ", …"
    } else {
        ""
    };
    note!(
        "warning: left out {} entries that the store cannot hold: {names}{more}",
        left_out.total
    );
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
