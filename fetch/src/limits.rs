//! The limits on everything that comes from outside, in one table. Limits on manifests and configs are `store`'s, since
//! `store` reads those documents; limits on what a layer may hold are [`store::LayerLimits`].

use std::time::Duration;

/// How many indexes may lie within each other.
pub const INDEX_DEPTH_MAX: usize = 4;
/// The largest layer that is fetched, in bytes as transferred.
pub const LAYER_BYTES_MAX: u64 = 64 << 30;
/// The largest authorization token reply, in bytes.
pub const TOKEN_BYTES_MAX: u64 = 1 << 20;
/// How long a token is good for when its service does not say (the distribution project's default).
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// The most scopes that one token is asked for.
pub const SCOPES_MAX: usize = 64;
/// The most challenges of one refusal that are looked at.
pub const CHALLENGES_MAX: usize = 16;
/// How often authorization may be asked for again for one request.
pub const AUTHORIZATIONS_MAX: u32 = 2;
/// The longest answer of a credential helper, in bytes.
pub const HELPER_OUTPUT_BYTES_MAX: u64 = 64 << 10;
/// How long a credential helper may take; it may have to ask a person.
pub const HELPER_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of an error reply is read, in bytes.
pub const ERROR_BODY_BYTES_MAX: u64 = 64 << 10;
/// How much of a registry's own words is repeated in an error, in characters.
pub const ERROR_DETAIL_CHARS_MAX: usize = 200;
/// The longest `WWW-Authenticate` header that is read, in bytes.
pub const CHALLENGE_BYTES_MAX: usize = 8 << 10;
/// How many redirects one request may follow.
pub const REDIRECTS_MAX: usize = 5;
/// How often one request is sent before a passing trouble counts as lasting.
pub const ATTEMPTS_MAX: u32 = 4;
/// How often a broken download may be taken up again without [`RESUME_PROGRESS_BYTES_MIN`] in between.
pub const RESUMES_MAX: u32 = 5;
/// The progress that makes a download count as alive again, in bytes.
pub const RESUME_PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// The wait before the second attempt; it doubles with each further one.
pub const BACKOFF: Duration = Duration::from_millis(200);
/// The longest `Retry-After` that is waited for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// How long a connection may take to come up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a registry may stay silent within an answer.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest auth file, in bytes.
pub const AUTH_FILE_BYTES_MAX: u64 = 4 << 20;
/// The largest bundle of CA certificates, in bytes.
pub const CA_FILE_BYTES_MAX: u64 = 16 << 20;
/// Blobs up to this size are not kept aside while they stream, in bytes.
pub const PARTIAL_BYTES_MIN: u64 = 8 << 20;
/// The memory that a zstd frame may ask for, as a power of two (zstd's own default).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The most entries of an archive that holds images.
pub const ARCHIVE_ENTRIES_MAX: usize = 1 << 16;
/// The longest path in an archive that holds images, in bytes.
pub const ARCHIVE_PATH_BYTES_MAX: usize = 4096;
/// How many links may lead to one file of an archive.
pub const ARCHIVE_LINKS_MAX: usize = 8;
/// The most layers that are fetched at a time.
pub const JOBS_MAX: usize = 64;
