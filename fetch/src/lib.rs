//! Brings container images into a store.
//!
//! ```text
//! Source ─► Transport ─► resolve: manifest + config, verified and limited
//!   ─► per missing layer, in parallel: bytes ─► size and digest ─► decompress ─► store::import_layer (diff id, objects)
//!   ─► store::commit_image: refs, the image's own last
//! ```
//!
//! The other way, [`copy()`], [`push()`] and [`save()`] are one function: from a transport, which an image of the store is
//! too, into a sink. Only a copy into an OSTree repository is another, since that keeps layers unpacked.
//!
//! A [`Source`] is where an image is; opened, it is a [`Transport`], of which there are six: a registry, an OCI layout
//! (in a directory or a tar), docker's archive (from a file or its daemon), skopeo's `dir:`, a tar of a root file
//! system, and an OSTree repository as skopeo's `ostree:` left it. [`resolve()`] and [`pull()`] work on any of them.
//!
//! Invariants:
//! 1. Nothing is visible in the store before its size, digest and diff id matched what named it.
//! 2. Every number and every length from outside has a limit, in [`limits`] or beside `store`'s documents.
//! 3. Credentials go only to the registry that asked for them, over the connection that it is reached by.
//! 4. This crate reads no environment and no terminal: whatever a pull needs to know is in its options, save what the
//!    host says about names (`/etc/resolv.conf`, `/etc/hosts`) and about certificate authorities.

#![forbid(unsafe_code)]

mod archive;
mod blob;
mod chunked;
mod copy;
mod decompress;
mod destination;
mod directory;
mod docker_archive;
mod docker_daemon;
mod error;
mod event;
mod file;
mod gzip;
mod inspect;
mod keep;
mod layer;
mod layout;
pub mod limits;
mod load;
mod lock;
mod names;
mod ostree_source;
mod ostree_write;
mod partial;
mod platform;
mod policy;
mod pull;
mod recompress;
mod registry;
mod repair;
mod resolve;
mod rewrite;
mod rootfs_tar;
mod save;
mod schema2;
mod send;
mod sink;
mod source;
mod spool;
mod stored;
mod tags;
mod transport;

#[cfg(fuzzing)]
pub use chunked::planned;
pub use copy::{Copied, CopyOptions, copy};
pub use destination::Destination;
pub use error::{Error, Result};
pub use event::{Event, Progress};
pub use inspect::inspect;
pub use load::{Loaded, load};
pub use names::Names;
pub use policy::{hold_bundle, is_held};
pub use pull::{LeftOut, PullOptions, Pulled, pull};
pub use registry::{
    AuthFile, AuthFileKind, AuthKey, CertificateFiles, Credentials, HelperFault, Network, Patience,
    Proxies, RegistriesConf, RegistriesFiles, RegistryOptions, check_login, find_credentials,
    login, logout, logout_all,
};
#[cfg(fuzzing)]
pub use registry::{auth_file_user, challenge_parts};
pub use repair::{Repaired, repair};
pub use resolve::{Resolved, resolve};
pub use save::{SaveOptions, push, save};
pub use send::Sent;
pub use sink::{scratch_file, write_file};
pub use source::{OstreeName, Pick, Source};
pub use tags::tags;
pub use transport::{Root, Signature, SizedTar, SourceOptions, Transport, open};
