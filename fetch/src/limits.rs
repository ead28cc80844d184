//! The limits on everything that comes from outside. Limits on manifests and configs are `store`'s, since
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
/// How many names of images or platforms an error lists.
pub const CHOICES_NAMED_MAX: usize = 100;
/// How much of each of them it says, in characters.
pub const CHOICE_CHARS_MAX: usize = 120;
/// The longest `WWW-Authenticate` header that is read, in bytes.
pub const CHALLENGE_BYTES_MAX: usize = 8 << 10;
/// How many redirects one request may follow.
pub const REDIRECTS_MAX: usize = 5;
/// How often one request is sent before a passing trouble counts as lasting.
pub const ATTEMPTS_MAX: u32 = 6;
/// How often a broken download may be taken up again without [`RESUME_PROGRESS_BYTES_MIN`] in between.
pub const RESUMES_MAX: u32 = 7;
/// The progress that makes a download count as alive again, in bytes.
pub const RESUME_PROGRESS_BYTES_MIN: u64 = 1 << 20;
/// The wait before the second attempt, give or take a quarter; it doubles with each further one.
pub const BACKOFF: Duration = Duration::from_millis(200);
/// The same where a registry said that it is asked too often, and not for how long.
pub const BUSY_BACKOFF: Duration = Duration::from_secs(2);
/// The longest `Retry-After` that is waited for; a registry that asks for more is left at once.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// How long a connection may take to come up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a registry may stay silent before an answer and within it.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The time spent on waiting in which [`RATE_BYTES_MIN`] must come of an answer.
pub const RATE_WINDOW: Duration = Duration::from_secs(60);
/// What must come of an answer in each [`RATE_WINDOW`], in bytes: less is a registry that only keeps us busy.
pub const RATE_BYTES_MIN: u64 = 16 << 10;
/// Blobs up to this size are uploaded in one request, from memory, in bytes.
pub const UPLOAD_WHOLE_BYTES_MAX: u64 = 1 << 20;
/// The slowest upload that is waited for, in bytes a second.
pub const UPLOAD_RATE_MIN: u64 = 4 << 10;
/// The largest auth file, in bytes.
pub const AUTH_FILE_BYTES_MAX: u64 = 4 << 20;
/// How many tags a page of them is asked to have.
pub const TAGS_PAGE: usize = 1000;
/// The largest page of tags, in bytes.
pub const TAGS_BYTES_MAX: u64 = 4 << 20;
/// The longest tag, in bytes: no reference has a longer one.
pub const TAG_BYTES_MAX: usize = 128;
/// The most tags of one repository.
pub const TAGS_MAX: usize = 1 << 18;
/// The largest signature policy or key of one, in bytes.
pub const POLICY_BYTES_MAX: u64 = 1 << 20;
/// The most keys of one requirement of a policy.
pub const POLICY_KEYS_MAX: usize = 64;
/// The most signatures that are attached to one image.
pub const SIGNATURES_MAX: usize = 128;
/// The largest payload of a signature, in bytes.
pub const SIGNED_BYTES_MAX: u64 = 1 << 20;
/// The largest bundle of CA certificates, in bytes.
pub const CA_FILE_BYTES_MAX: u64 = 16 << 20;
/// Blobs up to this size are not kept aside while they stream, in bytes.
pub const PARTIAL_BYTES_MIN: u64 = 8 << 20;
/// What a compressed layer may grow to: so many bytes of tar for each of its own (deflate cannot do more than 1032) …
pub const EXPANSION_MAX: u64 = 1100;
/// … and so many bytes before that counts.
pub const EXPANSION_FREE_BYTES: u64 = 16 << 30;
/// The memory that a zstd frame may ask for, as a power of two (zstd's own default).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The memory that xz may ask for, in KiB: what its highest preset takes.
pub const XZ_MEMORY_KIB_MAX: u32 = 80 << 10;
/// The most that is put aside of standard input or a compressed archive, in bytes that are not compressed any more.
pub const SPOOL_BYTES_MAX: u64 = 64 << 30;
/// How long docker's daemon may stay silent: it collects an image before it sends the first byte.
pub const DAEMON_TIMEOUT: Duration = Duration::from_secs(600);
/// The most entries of an archive that holds images.
pub const ARCHIVE_ENTRIES_MAX: usize = 1 << 16;
/// The most that an archive may say of one entry before its content, in bytes: long names, extended headers.
pub const ARCHIVE_HEAD_BYTES_MAX: u64 = 1 << 20;
/// The longest path in an archive that holds images, in bytes.
pub const ARCHIVE_PATH_BYTES_MAX: usize = 4096;
/// How many links may lead to one file of an archive.
pub const ARCHIVE_LINKS_MAX: usize = 8;
/// The most layers that are fetched at a time.
pub const JOBS_MAX: usize = 64;
/// The largest `registries.conf` or drop-in of it, in bytes.
pub const REGISTRIES_CONF_BYTES_MAX: u64 = 1 << 20;
/// The most drop-ins of `registries.conf` that are read.
pub const REGISTRIES_CONF_FILES_MAX: usize = 256;
/// The most files that are looked at in a directory of certificates.
pub const CERTIFICATE_FILES_MAX: usize = 4096;
/// How much of `/etc/resolv.conf` is read, in bytes.
pub const RESOLV_CONF_BYTES_MAX: u64 = 1 << 20;
/// Layers up to this size are fetched whole, whatever their table of contents says, in bytes.
pub const PARTS_LAYER_BYTES_MIN: u64 = 1 << 20;
/// The part of a layer, in percent, that must be here already for the rest to be fetched in ranges.
pub const PARTS_SAVED_PERCENT_MIN: u64 = 10;
/// The most requests for the ranges of one layer.
pub const RANGE_REQUESTS_MAX: usize = 64;
/// The most ranges that one request asks for: they must fit into a header of usual size.
pub const RANGES_PER_REQUEST_MAX: usize = 128;
/// The most bytes between two ranges of one request that are fetched with them: about what a range costs.
pub const RANGE_GAP_BYTES: u64 = 512;
/// The same where each range needs a request of its own.
pub const REQUEST_GAP_BYTES: u64 = 128 << 10;
/// The longest line of the head of a range in an answer with several, in bytes.
pub const RANGE_HEAD_LINE_BYTES_MAX: u64 = 1 << 10;
/// The most lines of such a head.
pub const RANGE_HEAD_LINES_MAX: usize = 16;
/// The largest table of contents of a layer, in bytes.
pub const TOC_BYTES_MAX: u64 = 64 << 20;
/// The same, compressed.
pub const TOC_COMPRESSED_BYTES_MAX: u64 = 16 << 20;
/// The most entries of a table of contents.
pub const TOC_ENTRIES_MAX: usize = 1 << 18;
/// The most parts of a layer that are fetched or not one by one.
pub const TAR_PARTS_MAX: usize = 1 << 20;
/// The largest tar-split data of a layer, in bytes.
pub const TAR_SPLIT_BYTES_MAX: u64 = 1 << 30;
/// The same, compressed.
pub const TAR_SPLIT_COMPRESSED_BYTES_MAX: u64 = 16 << 20;
/// The longest line of tar-split data, in bytes.
pub const TAR_SPLIT_LINE_BYTES_MAX: u64 = 8 << 20;
