//! The store of berth: container images in an OSTree repository, each file kept once.
//!
//! ```text
//! REPO/
//!   config                      [core] repo_version=1, mode=bare-user: stock ostree reads and writes it too
//!   objects/xx/<62 hex>.file    payload, owner and mode in user.ostreemeta      ┐ content-addressed,
//!                     .dirtree  names of a directory                            │ durable before they
//!                     .dirmeta  its owner and mode                              │ have their name,
//!                     .commit   a tree with its parent and metadata             ┘ never changed
//!   refs/heads/
//!     ociimage/<name>           image: manifest.json        (commit point of a pull)
//!     ociimage/<config>         config: content
//!     ociimage/<blob>           layer, by its compressed blob
//!     ocilayer/<diff id>        layer, by what it unpacks to
//!     ocirecipe/<diff id>       how its tar is made again, byte for byte
//!     ociblob/<blob>            a layer's compressed blob, where it is kept
//!     ocifs/<name>              flattened image, one commit for each step of its history
//!     berth/used/<id>/          what a container or deployment holds
//!   tmp/staging-<boot id>-…/    objects of a running transaction
//!   berth/partial/<digest>      blobs whose download broke off
//!   berth/lock/<digest>         held while an image or layer is being fetched
//!   berth/dup/<id>.<n>          what checkouts link to when an object has all the links that it may have
//!   .lock                       shared: objects stay; exclusive: gc's sweep
//! ```
//!
//! Invariants:
//!
//! 1. A name in `objects/` implies durable, correct bytes ([`Txn`]).
//! 2. Refs are written last and replaced by rename: a reader sees the old image or the new one.
//! 3. Nothing from outside is visible before its digest, size and diff id matched ([`import_layer`]).
//! 4. Objects are never modified; what hands them out hands out hard links, and nothing we run may write to those.
//! 5. Every number from outside has a named limit ([`LayerLimits`], [`oci`]).
//! 6. A crash at any instant leaves only objects that no ref leads to.
//! 7. Writers and checkouts hold the lock shared; gc deletes under the exclusive one, which is never upgraded in place.
//! 8. Storing never changes an owner: any user can store any image.
//!
//! The crate takes paths and times, reads no environment and prints nothing.

mod adopt;
mod bundle_check;
mod bundle_delta;
mod bundle_format;
mod bundle_input;
mod bundle_plan;
mod bundle_read;
mod bundle_write;
mod change;
mod check_object;
mod checkout;
mod checkout_file;
mod checkout_report;
mod checkout_union;
mod chunk;
mod commit;
mod commit_dir;
mod commit_tar;
mod commit_tree;
mod compare;
mod content;
mod crc64;
mod create_ref;
mod delete_refs;
mod derived;
mod detached;
mod diff;
mod diff_local;
mod dir;
mod error;
#[cfg(not(feature = "fault"))]
#[allow(unreachable_pub, reason = "public with the feature")]
mod fault;
#[cfg(feature = "fault")]
pub mod fault;
mod fetch_lock;
mod follow;
mod fsck;
mod fsck_images;
mod fsck_refs;
mod gc;
mod gvariant;
mod hash;
mod history;
mod id;
mod image;
mod import;
mod kept;
mod kept_blob;
mod layer;
mod layer_parse;
mod layer_store;
mod layer_times;
mod layer_tree;
mod leftovers;
mod list;
mod lock;
mod loose;
mod mend;
mod mend_local;
mod merge;
mod mode;
mod name;
mod object;
pub mod oci;
mod owners;
mod pax;
mod payloads;
mod place;
mod plan;
mod prune;
mod reach;
mod real_xattrs;
mod recipe;
mod recorded;
mod recording;
mod reference;
mod refs;
mod refspec;
mod replay;
mod repo;
mod revision;
mod roots;
mod secondary;
mod shared_checkout;
mod sparse;
mod staging;
mod stat;
mod sweep;
mod sys;
mod tag;
mod tar_split;
mod tar_split_read;
mod tar_stream;
mod transport_layout;
mod transport_write;
mod true_times;
mod txn;
mod untag;
mod usage;
mod used;
mod verify;
mod verify_walk;
mod viewing_copy;

pub use adopt::{adopt, holds_flat};
pub use bundle_format::is_bundle;
pub use bundle_read::{LoadedBundle, read_bundle};
pub use bundle_write::{BundleOptions, BundleReport, write_bundle};
pub use check_object::is_whole;
pub use checkout::{CheckoutMode, CheckoutOptions, checkout, checkout_file};
pub use checkout_report::CheckoutReport;
pub use checkout_union::Overwrite;
pub use commit::{Commit, Value};
pub use commit_dir::{Owner, commit_dir};
pub use commit_tar::{TarCommit, commit_tar};
pub use commit_tree::{CommitOptions, CommitReport};
pub use content::{Content, ContentKind, Payload};
pub use create_ref::{create_alias, create_ref};
pub use delete_refs::{DeletedRefs, delete_refs};
pub use detached::detached_metadata;
pub use diff::{Change, ChangeKind, DiffSide, diff};
pub use error::{Error, Result};
pub use fetch_lock::FetchLock;
pub use follow::follow;
pub use fsck::{FsckOptions, FsckReport, Problem, fsck};
pub use gc::{GcOptions, GcReport, gc};
pub use hash::HashKind;
pub use id::{DiffId, Digest, ObjectId};
pub use image::{
    Image, all_images, commit_image, find_image, find_name, image_documents, images, known_config,
    load_image, mend_image, named_image, unix_seconds,
};
pub use import::{ImportedLayer, LayerLimits, LayerOrigin, import_layer, mend_layer};
pub use kept_blob::{BlobKeeper, is_blob_kept, open_kept_blob};
pub use layer::{Layer, known_layer, stored_layer};
pub use list::{ListDepth, Listed, ListedKind, list};
pub use lock::{Lock, LockKind, LockWait, lock_file};
pub use mend::Broken;
pub use mend_local::{MendedLocally, mend_locally};
pub use mode::Mode;
pub use name::{ImageName, RefName};
pub use object::{
    DirTree, Meta, ObjectKind, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, TreeId, Xattrs, file_header,
};
pub use owners::is_root;
pub use payloads::payloads;
pub use prune::{PruneOptions, PruneReport, prune};
pub use reach::Depth;
pub use recorded::{is_of_commit, recorded_digest};
pub use reference::Reference;
pub use refs::Durability;
pub use refspec::{RefSpec, remote_refs};
pub use replay::{ReplayReport, open_tar, replay};
pub use repo::{Entry, Repo};
pub use revision::resolve_revision;
pub use shared_checkout::shared_checkout;
pub use stat::{KindStat, StatReport, stat};
pub use sweep::Swept;
pub use tag::tag;
pub use transport_layout::{TransportLayer, layer_tar, transport_layer};
pub use transport_write::{
    NewLayer, PutLayer, put_transport_image, put_transport_layer, transport_keeps_owners,
    transport_mode,
};
pub use true_times::{TimesReport, restore_times};
pub use txn::{LargeFile, Mtime, Txn, Written};
pub use untag::{UntagOptions, UntagReport, untag};
pub use usage::{ImageUsage, image_usage};
pub use used::{pin, unpin, users_of};
pub use verify::{VerifiedLayer, VerifyOptions, VerifyReport, verify};
pub use viewing_copy::{ViewRemoved, make_viewing_copy, remove_viewing_copy};
