//! Names: what is parsed is printed the same, and every name comes back from its refs.

use proptest::prelude::*;
use store::{ImageName, ObjectId, RefName, Reference};

const HEX: &str = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";

/// References as people write them, and some that look like others.
fn reference() -> impl Strategy<Value = String> {
    let host = "((docker\\.io|index\\.docker\\.io|localhost|localhost:5000|quay\\.io|[a-c]\\.d|\\[::1\\]:5|library)/)?";
    let path =
        "(library/|localhost/|a\\.b/|docker\\.io/)?[a-z0-9]{1,4}((/|-|_|__|\\.)[a-z0-9]{1,3}){0,3}";
    let tag = "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,4})?";
    (host, path, tag, prop::bool::weighted(0.2)).prop_map(|(host, path, tag, pinned)| {
        let digest = if pinned {
            format!("@sha256:{HEX}")
        } else {
            String::new()
        };
        format!("{host}{path}{tag}{digest}")
    })
}

fn check_reference(text: &str) -> Result<(), TestCaseError> {
    let Ok(parsed) = text.parse::<Reference>() else {
        return Ok(());
    };
    // With a digest, the tag is left out.
    let tag = if parsed.digest.is_some() {
        None
    } else {
        parsed.tag.clone()
    };
    let meant = Reference {
        tag,
        ..parsed.clone()
    };
    for name in [parsed.canonical(), parsed.familiar()] {
        let again: Reference = name
            .as_str()
            .parse()
            .map_err(|error| TestCaseError::fail(format!("{name}: {error}")))?;
        prop_assert_eq!(&again, &meant, "{} of {}", name, text);
        check_name(&name)?;
    }
    prop_assert_eq!(parsed.to_string(), parsed.canonical().to_string());
    Ok(())
}

fn check_name(name: &ImageName) -> Result<(), TestCaseError> {
    for reference in [RefName::image(name), RefName::flat(name)] {
        prop_assert_eq!(
            RefName::new(reference.as_str()).expect("a ref"),
            reference.clone()
        );
        match reference.image_name() {
            Some(back) => prop_assert_eq!(&back, name),
            None => prop_assert!(name.encoded().starts_with("_H"), "{} is lost", name),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn references_mean_the_same_when_printed(text in reference()) {
        check_reference(&text)?;
    }

    #[test]
    fn any_text_is_a_reference_or_an_error(text in "[a-z0-9./:@_A\\[\\]-]{0,60}") {
        check_reference(&text)?;
    }

    #[test]
    fn names_come_back_from_their_refs(text in "\\PC{1,300}") {
        if let Ok(name) = ImageName::new(text) {
            check_name(&name)?;
        }
    }

    #[test]
    fn different_names_have_different_refs(one in "[a_.2DEF-]{1,6}", other in "[a_.2DEF-]{1,6}") {
        let refs = [one.clone(), other.clone()].map(|text| RefName::image(&ImageName::new(text).expect("a name")));
        prop_assert_eq!(refs[0] == refs[1], one == other);
    }
}

#[test]
fn every_byte_is_escaped_and_comes_back() {
    for byte in 0..=u8::MAX {
        let plain = byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        // Bytes past ASCII come in twos.
        let text = char::from(byte).to_string();
        let Ok(name) = ImageName::new(format!("x{text}y")) else {
            assert!(char::from(byte).is_control(), "{byte:#x}");
            continue;
        };
        let escaped: String = match plain {
            true => text,
            false => text.bytes().map(|byte| format!("_{byte:02X}")).collect(),
        };
        assert_eq!(name.encoded(), format!("x{escaped}y"));
        assert_eq!(RefName::image(&name).image_name(), Some(name));
    }
}

/// A repository must fit its limit in the canonical spelling too.
#[test]
fn library_counts() {
    let parse = |len| "a".repeat(len).parse::<Reference>();
    assert!(parse(247).is_ok());
    let error = parse(248).expect_err("one too many").to_string();
    assert!(
        error.ends_with(" is malformed: its repository is longer than 255 bytes"),
        "{error}"
    );
}

#[test]
fn an_id_is_no_name() {
    assert!(ObjectId::from_hex(HEX).is_ok());
    assert_eq!(
        ImageName::new(HEX)
            .expect_err("its ref is a layer's or config's")
            .to_string(),
        format!("image name {HEX:?} is malformed: 64 hex digits are an image id, not a name")
    );
    assert!(
        ImageName::new(HEX.to_uppercase()).is_ok() && ImageName::new(format!("{HEX}0")).is_ok()
    );
}
