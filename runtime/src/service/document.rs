//! The documents that an image exports, by their places.

/// Where exports are, from the image's root.
pub(crate) const EXPORTS: &str = "exports";
/// Keys of the service.
pub(crate) const MANIFEST: &str = "exports/manifest.json";
/// The runtime's configuration as it stands.
pub(crate) const CONFIG: &str = "exports/config.json";
/// The runtime's configuration.
pub(crate) const CONFIG_TEMPLATE: &str = "exports/config.json.template";
/// The unit.
pub(crate) const SERVICE_TEMPLATE: &str = "exports/service.template";
/// What systemd-tmpfiles makes.
pub(crate) const TMPFILES_TEMPLATE: &str = "exports/tmpfiles.template";
/// Files for the host.
pub(crate) const HOSTFS: &str = "exports/hostfs";

/// The largest document, in bytes.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// How many bytes all documents and host templates of an image may have together.
pub(crate) const TEXT_BYTES_MAX: u64 = 16 << 20;
/// How many files and directories an image may have for the host.
pub(crate) const HOST_ENTRIES_MAX: usize = 4096;
/// How deep they may be nested.
pub(crate) const HOST_DEPTH_MAX: usize = 32;
