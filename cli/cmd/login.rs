//! `berth login`: credentials that the registry accepts, kept where podman, skopeo and berth find them.

use std::io::Read as _;
use std::process::ExitCode;

use fetch::{AuthKey, Credentials, RegistryOptions};

use super::pull::TlsFlags;
use crate::auth::AuthFileFlag;
use crate::context::Context;
use crate::progress::Progress;
use crate::prompt;
use crate::report::{Failure, cause, out, printable};

/// The longest password that is read from stdin, in bytes.
const PASSWORD_BYTES_MAX: u64 = 64 << 10;

/// Log in to a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  berth login quay.io\n  berth login -u me --password-stdin registry.example:5000 <password"
)]
pub(crate) struct LoginArgs {
    /// The registry, or a namespace of it that has credentials of its own
    #[arg(value_name = "HOST[:PORT][/NAMESPACE]")]
    registry: AuthKey,
    #[command(flatten)]
    file: AuthFileFlag,
    /// The user; else it is asked for
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// The password; else it is asked for. Others can see it in the list of processes
    #[arg(short, long, value_name = "PASSWORD")]
    password: Option<Hidden>,
    /// Read the password from stdin
    #[arg(long, conflicts_with = "password", requires = "username")]
    password_stdin: bool,
    /// Only print the user who is logged in
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin"])]
    get_login: bool,
    #[command(flatten)]
    tls: TlsFlags,
}

/// Text that is not printed.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Logs in, or says who is logged in.
pub(crate) fn login(args: LoginArgs, context: &Context) -> Result<ExitCode, Failure> {
    let key = &args.registry;
    if args.get_login {
        let files = args.file.files();
        let found = fetch::find_credentials(&files, key)?;
        let Some((credentials, _)) = found else {
            return Err(not_logged_in(key));
        };
        out!("{}", printable(credentials.user()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::new(context, false);
    let progress = |event: fetch::Event<'_>| progress.event(&event);
    let (target, options) = (args.file.target()?, args.tls.registry());
    let known = fetch::find_credentials(&known_files(&args), key)?.map(|(known, _)| known);
    if args.username.is_none()
        && args.password.is_none()
        && let Some(known) = &known
        && is_accepted(known, key, &options, &progress)?
    {
        return Ok(ExitCode::SUCCESS);
    }
    let credentials = ask(&args, known.as_ref().map(Credentials::user))?;
    fetch::login(key, &credentials, &target, &options, &progress)?;
    out!("Login Succeeded!")?;
    Ok(ExitCode::SUCCESS)
}

/// The files that may know us already; one that was named need not be there yet.
fn known_files(args: &LoginArgs) -> Vec<fetch::AuthFile> {
    let mut files = args.file.files();
    files.retain(|file| file.path.exists());
    files
}

/// Tries the credentials that are there, and says so.
fn is_accepted(
    known: &Credentials,
    key: &AuthKey,
    options: &RegistryOptions,
    progress: fetch::Progress<'_>,
) -> Result<bool, Failure> {
    out!("Authenticating with existing credentials for {key}")?;
    match fetch::check_login(key, known, options, progress) {
        Ok(()) => {
            out!("Existing credentials are valid. Already logged in to {key}")?;
            Ok(true)
        }
        Err(fetch::Error::LoginRefused { .. }) => {
            out!("Existing credentials are invalid, please enter valid username and password")?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The credentials of the command line; what it lacks is asked for.
fn ask(args: &LoginArgs, known: Option<&str>) -> Result<Credentials, Failure> {
    let help = |failure: Failure| failure.hint("use --username and --password-stdin");
    let user = match (&args.username, known) {
        (Some(user), _) => user.clone(),
        (None, Some(known)) if !known.is_empty() => {
            let known = printable(known);
            let typed = prompt::line(&format!("Username ({known}): ")).map_err(help)?;
            if typed.is_empty() { known } else { typed }
        }
        (None, _) => prompt::line("Username: ").map_err(help)?,
    };
    let password = match &args.password {
        Some(Hidden(password)) => password.clone(),
        None if args.password_stdin => read_password()?,
        None => prompt::password("Password: ").map_err(help)?,
    };
    Ok(Credentials::new(&user, &password)?)
}

/// Reads a password from stdin, without the end of its line.
fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    let mut stdin = std::io::stdin().lock().take(PASSWORD_BYTES_MAX + 1);
    stdin
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format!("cannot read the password: {}", cause(&error))))?;
    if text.len() as u64 > PASSWORD_BYTES_MAX {
        let text = format!("the password is longer than {PASSWORD_BYTES_MAX} bytes");
        return Err(Failure::new(text));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Nobody is logged in there.
pub(crate) fn not_logged_in(key: &AuthKey) -> Failure {
    Failure::new(format!("not logged in to {key}"))
}
