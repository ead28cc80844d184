//! What the host and the environment say about registries: proxies, certificates, `registries.conf`. Only where the
//! files are is decided here; `fetch` reads them.

use std::path::PathBuf;

use fetch::{CertificateFiles, Proxies, RegistriesFiles};

use crate::context::env;

/// A file or directory below the user's configuration of containers, where there is a home.
fn user_path(name: &str) -> Option<PathBuf> {
    let home = env("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())?;
    Some(home.join(".config/containers").join(name))
}

/// The files of `registries.conf`, chosen as containers/image does: the one that the environment names; else the
/// user's, with the user's drop-ins only; else the system's, with its drop-ins and then the user's.
pub(crate) fn registries() -> RegistriesFiles {
    let system_drop_ins = PathBuf::from("/etc/containers/registries.conf.d");
    let user_drop_ins = user_path("registries.conf.d");
    let user_file = user_path("registries.conf").filter(|path| path.exists());
    let (file, required) = match (env("CONTAINERS_REGISTRIES_CONF"), user_file) {
        (Some(named), _) => (named.into(), true),
        (None, Some(file)) => {
            return RegistriesFiles {
                file: Some(file),
                required: false,
                drop_ins: user_drop_ins.into_iter().collect(),
            };
        }
        (None, None) => (PathBuf::from("/etc/containers/registries.conf"), false),
    };
    RegistriesFiles {
        file: Some(file),
        required,
        drop_ins: [system_drop_ins].into_iter().chain(user_drop_ins).collect(),
    }
}

/// The signature policy of this user or host, if there is one.
pub(crate) fn policy() -> Option<PathBuf> {
    let host = PathBuf::from("/etc/containers/policy.json");
    let own = user_path("policy.json");
    own.into_iter().chain([host]).find(|path| path.exists())
}

/// Where certificates are, with those of the command line.
pub(crate) fn certificates(ca: &[PathBuf], directory: Option<PathBuf>) -> CertificateFiles {
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    CertificateFiles {
        ca: ca.to_vec(),
        host_bundle: env("SSL_CERT_FILE").map(PathBuf::from),
        host_directories: env("SSL_CERT_DIR")
            .map(|list| std::env::split_paths(&list).collect())
            .unwrap_or_default(),
        directory,
        per_host: user_path("certs.d").into_iter().chain(system).collect(),
    }
}

/// The proxies of the environment, by the names that curl and Go read.
pub(crate) fn proxies() -> Proxies {
    let find = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| env(name))
            .and_then(|value| value.into_string().ok())
    };
    // a web server sets HTTP_PROXY for its scripts when a visitor sends a header of that name
    let http = match env("REQUEST_METHOD") {
        None => find(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
        Some(_) => find(&["http_proxy", "all_proxy", "ALL_PROXY"]),
    };
    Proxies {
        http,
        https: find(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        except: find(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
    }
}
