//! Manifests, indexes and configs: no bytes panic, and what is read keeps its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::oci::{Document, ImageConfig};

fuzz_target!(|bytes: &[u8]| {
    match Document::parse(bytes.to_vec(), "") {
        Ok(Document::Manifest(manifest)) => assert_eq!(manifest.raw, bytes),
        Ok(Document::Index(index)) => assert_eq!(index.raw, bytes),
        Err(_) => {}
    }
    if let Ok(config) = ImageConfig::parse(bytes.to_vec()) {
        assert_eq!(config.raw, bytes);
    }
});
