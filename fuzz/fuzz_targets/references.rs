//! References and sources: no text panics, and what is printed is read as the same.
#![no_main]

use fetch::{Destination, Source};
use libfuzzer_sys::fuzz_target;
use store::{ImageName, Reference};

fuzz_target!(|text: &str| {
    reference(text);
    if let Ok(source) = text.parse::<Source>() {
        let printed = source.to_string();
        let again: Source = printed.parse().expect("what is printed is a source");
        assert_eq!(again.to_string(), printed, "{text:?}");
        // With a digest, a reference prints without its tag.
        if !matches!(source, Source::Registry(_)) {
            assert_eq!(again, source, "{text:?}");
        }
        assert!(!Source::waives_tls(&printed), "{text:?}");
    }
    if let Ok(destination) = text.parse::<Destination>() {
        let printed = destination.to_string();
        let again: Destination = printed.parse().expect("what is printed is a destination");
        assert_eq!(again.to_string(), printed, "{text:?}");
    }
});

fn reference(text: &str) {
    let Ok(reference) = text.parse::<Reference>() else {
        return;
    };
    let canonical = reference.canonical();
    let again: Reference = canonical.as_str().parse().expect("canonical");
    // With a digest, the tag is left out.
    let tag = if reference.digest.is_some() {
        None
    } else {
        reference.tag.clone()
    };
    assert_eq!(
        again,
        Reference {
            tag,
            ..reference.clone()
        }
    );
    assert_eq!(again.to_string(), canonical.as_str());
    let familiar: Reference = reference.familiar().as_str().parse().expect("familiar");
    assert_eq!(familiar, again, "the short spelling means the same image");
    assert_eq!(
        ImageName::new(canonical.as_str()).expect("a name").as_str(),
        canonical.as_str()
    );
}
