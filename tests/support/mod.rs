//! What the tests stand on: an ordinary user, real registries, real images, and stock ostree.
#![allow(dead_code, reason = "each piece is for whichever test needs it")]

pub mod image;
pub mod images;
pub mod needs;
pub mod ostree;
pub mod parts;
pub mod registry;
pub mod user;

pub use needs::Need;
pub use user::{Home, User};

use std::path::Path;

use sha2::{Digest, Sha256};

/// `sha256:<hex>` of some bytes.
pub fn digest(data: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(data) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// Parses a JSON file, or says which one is not.
pub fn read_json(path: &Path) -> serde_json::Value {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
