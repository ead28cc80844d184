//! What a deployment consists of besides the image's own files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use store::oci::Healthcheck;

/// A service, rendered and checked. Nothing of it is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Every variable with its value, also those that nobody may set.
    pub values: BTreeMap<String, String>,
    /// `config.json`; `None` when there is no container.
    pub config: Option<String>,
    /// `NAME.service`; `None` when there is no container.
    pub unit: Option<String>,
    /// `tmpfiles-NAME.conf`; `None` when there is nothing to make.
    pub tmpfiles: Option<String>,
    /// Files for the host, outer before inner, each path once.
    pub host_files: Vec<HostFile>,
    /// `renameFiles` with its values rendered.
    pub renames: BTreeMap<String, String>,
    /// `installedFilesTemplate` as it stands.
    pub templates: Vec<String>,
    /// Whether host files may be hard links.
    pub use_links: bool,
    /// How the program in the container is asked whether it is well; `None` when nobody says.
    pub health: Option<Healthcheck>,
    /// What the reader should know: what was changed, ignored or is missing, a sentence each.
    pub said: Vec<String>,
}

/// A file that an image puts on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Where: absolute, without `..`.
    pub path: PathBuf,
    /// What.
    pub what: HostFileKind,
}

/// What an image puts there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostFileKind {
    /// An empty directory.
    Directory {
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link, which may lead nowhere.
    Link {
        /// As it stands in the image.
        target: String,
    },
    /// A regular file.
    File {
        /// Its permission bits.
        mode: u32,
        /// Its bytes.
        content: HostContent,
    },
}

/// Where the bytes of a host file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostContent {
    /// The file at this path below the deployment's `rootfs`: `exports/hostfs/…`.
    Exported(PathBuf),
    /// A rendered template.
    Rendered(Vec<u8>),
}
