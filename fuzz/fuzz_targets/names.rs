//! References and names: no text panics, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{ImageName, RefName, Reference};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let canonical = reference.to_string();
        assert_eq!(canonical.parse::<Reference>().expect("canonical").to_string(), canonical);
    }
    if let Ok(name) = ImageName::new(text) {
        let reference = RefName::image(&name);
        RefName::new(reference.as_str()).expect("an image's ref is a ref");
        if let Some(back) = reference.image_name() {
            assert_eq!(back, name);
        }
    }
});
