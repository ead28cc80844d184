//! Brings container images into a store.
//!
//! ```text
//! Source ─► Transport ─► resolve: manifest + config, verified and limited
//!   ─► per missing layer, in parallel: bytes ─► size and digest ─► decompress ─► store::import_layer (diff id, objects)
//!   ─► store::commit_image: refs, the image's own last
//! ```
//!
//! A [`Source`] is where an image is; opened, it is a [`Transport`], of which there are three: a registry, an OCI
//! layout (in a directory or a tar), and docker's archive. [`resolve()`] and [`pull()`] work on any of them.
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
mod copy;
mod decompress;
mod destination;
mod docker_archive;
mod error;
mod event;
mod inspect;
mod layer;
mod layout;
pub mod limits;
mod names;
mod ostree_source;
mod ostree_write;
mod partial;
mod platform;
mod pull;
mod registry;
mod repair;
mod resolve;
mod schema2;
mod source;
mod transport;

pub use copy::{Copied, CopyOptions, copy};
pub use destination::Destination;
pub use error::{Error, Result};
pub use event::{Event, Progress};
pub use inspect::inspect;
pub use names::Names;
pub use pull::{LeftOut, PullOptions, Pulled, pull};
pub use registry::{Credentials, Network, Proxies, RegistryOptions};
pub use repair::{Repaired, repair};
pub use resolve::{Resolved, resolve};
pub use source::{OstreeName, Pick, Source};
pub use transport::{Root, SourceOptions, Transport, open};
