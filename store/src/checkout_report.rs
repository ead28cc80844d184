//! What a checkout made, counted by all its threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a checkout made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CheckoutReport {
    /// Directories, the root included.
    pub dirs: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Hard links to objects.
    pub linked: u64,
    /// Hard links to a copy that the repository keeps of an object, because the object has as many links as the file
    /// system allows.
    pub linked_secondary: u64,
    /// Reflinks, because they were asked for or no hard link could be made.
    pub reflinked: u64,
    /// Copies because they were asked for, because a reflink was and there are none here, or because the repository keeps
    /// files compressed.
    pub copied: u64,
    /// Empty files.
    pub copied_empty: u64,
    /// Copies of files that their owner must not read.
    pub copied_unreadable: u64,
    /// Copies because the target is on another file system.
    pub copied_cross_device: u64,
    /// Copies because the object has as many links as the file system allows, and the repository cannot be written to.
    pub copied_link_limit: u64,
    /// Files and directories that were there before and stay.
    pub kept: u64,
    /// Files and symbolic links that took the place of something else.
    pub replaced: u64,
    /// Files and directories that a whiteout removed.
    pub whited_out: u64,
}

impl CheckoutReport {
    /// Whether there are files whose bytes are not an object's.
    pub(crate) fn has_copied_bytes(&self) -> bool {
        self.reflinked
            + self.copied
            + self.copied_unreadable
            + self.copied_cross_device
            + self.copied_link_limit
            > 0
    }
}

/// Why a file is not a hard link.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reason {
    Asked,
    Unreadable,
    CrossDevice,
    LinkLimit,
}

/// The report in the making.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) symlinks: AtomicU64,
    pub(crate) linked: AtomicU64,
    pub(crate) linked_secondary: AtomicU64,
    pub(crate) empty: AtomicU64,
    pub(crate) kept: AtomicU64,
    pub(crate) dirs_kept: AtomicU64,
    pub(crate) replaced: AtomicU64,
    pub(crate) whited_out: AtomicU64,
    reflinked: AtomicU64,
    copied: AtomicU64,
    unreadable: AtomicU64,
    cross_device: AtomicU64,
    link_limit: AtomicU64,
}

impl Counts {
    /// Counts one more.
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a file that is not a hard link.
    pub(crate) fn add_copy(&self, reason: Reason, shared: bool) {
        Self::add(match reason {
            Reason::Unreadable => &self.unreadable,
            _ if shared => &self.reflinked,
            Reason::Asked => &self.copied,
            Reason::CrossDevice => &self.cross_device,
            Reason::LinkLimit => &self.link_limit,
        });
    }

    /// The sum, of a checkout of so many directories.
    pub(crate) fn report(&self, dirs: usize) -> CheckoutReport {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let dirs_kept = get(&self.dirs_kept);
        CheckoutReport {
            dirs: (dirs as u64).saturating_sub(dirs_kept),
            symlinks: get(&self.symlinks),
            linked: get(&self.linked),
            linked_secondary: get(&self.linked_secondary),
            reflinked: get(&self.reflinked),
            copied: get(&self.copied),
            copied_empty: get(&self.empty),
            copied_unreadable: get(&self.unreadable),
            copied_cross_device: get(&self.cross_device),
            copied_link_limit: get(&self.link_limit),
            kept: get(&self.kept) + dirs_kept,
            replaced: get(&self.replaced),
            whited_out: get(&self.whited_out),
        }
    }
}
