//! What a transfer tells while it works.

use store::{Digest, ImageName};

/// One step of a transfer. Events come from several threads, those of one layer in order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another process holds the repository; the text names it.
    Waiting(&'a str),
    /// Another process fetches the same; this one waits and then looks again.
    BeingFetched {
        /// What it is.
        what: &'a str,
        /// Who fetches it.
        holder: &'a str,
    },
    /// The registry does not speak TLS, and plain HTTP is used.
    PlainHttp {
        /// The host with its port.
        host: &'a str,
    },
    /// Who gave the manifest, and will be asked for the rest.
    Answered {
        /// The registry and the repository there.
        place: &'a str,
    },
    /// A mirror did not help, and the next place is asked.
    MirrorFailed {
        /// The registry and the repository there.
        place: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A download broke and is taken up again.
    Retry {
        /// What was being fetched.
        what: &'a str,
        /// Why.
        why: &'a str,
    },
    /// Something that the user should know.
    Warning(&'a str),
    /// The image is known, and so is what has to be fetched.
    Resolved {
        /// The image's name.
        name: &'a ImageName,
        /// The digest that the source gave for it.
        digest: Digest,
        /// How many layers the image has.
        layers: u64,
        /// How many of them are missing here.
        missing: u64,
        /// How many bytes those are, as transferred.
        bytes: u64,
    },
    /// A layer that is here already.
    LayerKnown {
        /// The layer's blob.
        digest: Digest,
    },
    /// A layer begins.
    LayerStarted {
        /// The layer's blob.
        digest: Digest,
        /// Its size as transferred.
        bytes: u64,
        /// How many of them an earlier pull left here.
        resumed: u64,
    },
    /// Some of a layer has come.
    LayerProgress {
        /// The layer's blob.
        digest: Digest,
        /// How many bytes of it are here.
        bytes: u64,
    },
    /// A layer is at its destination.
    LayerSent {
        /// The blob that was sent.
        digest: Digest,
        /// Its size.
        bytes: u64,
    },
    /// A layer is stored.
    LayerDone {
        /// The layer's blob.
        digest: Digest,
        /// How many objects it brought.
        new_objects: u64,
        /// Their size in bytes.
        new_bytes: u64,
    },
}

/// The receiver of events.
pub type Progress<'a> = &'a (dyn Fn(Event<'_>) + Sync);
