//! Manifests, indexes and configs: no bytes panic, and what is read keeps its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::oci::{Document, ImageConfig, media};

fuzz_target!(|bytes: &[u8]| {
    let read = |announced: &str| match Document::parse(bytes.to_vec(), announced) {
        Ok(Document::Manifest(manifest)) => {
            assert_eq!(manifest.raw, bytes);
            Some(false)
        }
        Ok(Document::Index(index)) => {
            assert_eq!(index.raw, bytes);
            Some(true)
        }
        Err(_) => None,
    };
    // What is announced can only refuse a document, never turn it into another kind.
    let plain = read("");
    for (announced, is_index) in [(media::OCI_MANIFEST, false), (media::DOCKER_LIST, true)] {
        assert_eq!(read(announced), plain.filter(|found| *found == is_index));
    }
    if let Ok(config) = ImageConfig::parse(bytes.to_vec()) {
        assert_eq!(config.raw, bytes);
    }
});
