//! Objects: whatever decodes encodes to the same bytes, since its id covers them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Commit, DirTree, Meta};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tree) = DirTree::decode(bytes, "dirtree") {
        assert_eq!(tree.encode(), bytes);
    }
    if let Ok(commit) = Commit::decode(bytes, "commit") {
        let again = Commit::decode(&commit.encode(), "commit").expect("own bytes");
        assert_eq!(again, commit);
    }
    if let Ok(meta) = Meta::decode(bytes, "dirmeta") {
        assert_eq!(Meta::decode(&meta.encode(), "dirmeta").expect("own bytes"), meta);
    }
});
