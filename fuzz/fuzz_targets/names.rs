//! Names: no text panics, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{ImageName, RefName};

fuzz_target!(|text: &str| {
    image_name(text);
    if let Ok(name) = RefName::new(text) {
        assert_eq!(name.as_str(), text);
        if let Some(image) = name.image_name() {
            // A component that reads as a name is that name's and no other's.
            let [image, flat] = [RefName::image(&image), RefName::flat(&image)];
            assert!(image == name || flat == name, "{text:?}");
        }
    }
    if let Some(name) = ImageName::from_encoded(text) {
        assert!(name.encoded() == text || text.len() > 240, "{text:?}");
    }
});

/// Every byte of a name comes back from its refs, unless the name is so long that its refs hold a hash.
fn image_name(text: &str) {
    let Ok(name) = ImageName::new(text) else {
        return;
    };
    assert_eq!(name.as_str(), text);
    for reference in [RefName::image(&name), RefName::flat(&name)] {
        assert_eq!(
            RefName::new(reference.as_str()).expect("an image's ref is a ref"),
            reference
        );
        match reference.image_name() {
            Some(back) => assert_eq!(back, name),
            None => assert!(
                name.encoded().starts_with("_H"),
                "{text:?} is lost in {reference}"
            ),
        }
    }
    let (repository, tag) = name.split_tag();
    assert!(text.starts_with(repository) && tag.is_none_or(|tag| text.ends_with(tag)));
}
