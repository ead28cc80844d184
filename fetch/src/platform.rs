//! The choice of one image from an index: pure.
//!
//! Entries that are no images (attestations and other referrers) are never candidates. Of the rest, the wanted platform
//! wins; where a processor also runs code for its older variants (arm v7 runs v6), those follow, newest first, and an
//! entry that names no platform comes last.

use store::oci::{Descriptor, Platform};

use crate::error::{Error, Result};

/// The annotation that marks a manifest about another manifest.
const REFERRER: &str = "vnd.docker.reference.type";

/// Returns the entry of an index that fits `wanted` best.
pub(crate) fn choose<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor> {
    let candidates: Vec<&Descriptor> = images(entries)
        .into_iter()
        .map(|(_, entry)| entry)
        .collect();
    let fits = |entry: &&&Descriptor, variant: &str| {
        entry.platform.as_ref().is_some_and(|p| {
            p.os == wanted.os
                && p.architecture == wanted.architecture
                && p.variant.as_deref().unwrap_or_default() == variant
        })
    };
    for variant in variants(wanted) {
        if let Some(entry) = candidates.iter().find(|entry| fits(entry, variant)) {
            return Ok(entry);
        }
    }
    candidates
        .iter()
        .find(|entry| entry.platform.is_none())
        .copied()
        .ok_or_else(|| Error::NoPlatform {
            wanted: wanted.to_string(),
            offered: offered(&candidates),
        })
}

/// Whether what is built for `image` runs where `wanted` does; where the image does not say, it may.
pub(crate) fn runs(image: &Platform, wanted: &Platform) -> bool {
    let fits = |image: &str, wanted: &str| image.is_empty() || image == wanted;
    let variant = image.variant.as_deref().unwrap_or_default();
    fits(&image.os, &wanted.os)
        && fits(&image.architecture, &wanted.architecture)
        && (variant.is_empty() || variants(wanted).contains(&variant))
}

/// The entries of an index that are images, with their positions. Where artifacts are all there is, it is those: they
/// are refused later, with the reason.
pub(crate) fn images(entries: &[Descriptor]) -> Vec<(usize, &Descriptor)> {
    let (artifacts, images): (Vec<_>, Vec<_>) = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| !is_about_another(entry))
        .partition(|(_, entry)| entry.artifact_type.is_some());
    match images.is_empty() {
        true => artifacts,
        false => images,
    }
}

/// Whether an entry of an index is something said about an image, an attestation say.
fn is_about_another(entry: &Descriptor) -> bool {
    let unknown = entry
        .platform
        .as_ref()
        .is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
    unknown || entry.annotations.contains_key(REFERRER)
}

/// The variants that a wanted platform accepts, best first; `""` is an entry that names none.
fn variants(wanted: &Platform) -> Vec<&str> {
    const ARM: [&str; 4] = ["v8", "v7", "v6", "v5"];
    const ARM64: [&str; 2] = ["v9", "v8"];
    const AMD64: [&str; 4] = ["v4", "v3", "v2", "v1"];
    let named = wanted.variant.as_deref().unwrap_or_default();
    let (ladder, default): (&[&str], &str) = match wanted.architecture.as_str() {
        "arm" => (&ARM, "v7"),
        "arm64" => (&ARM64, "v8"),
        "amd64" => (&AMD64, "v1"),
        _ => (&[], ""),
    };
    let top = if named.is_empty() { default } else { named };
    match ladder.iter().position(|step| *step == top) {
        Some(at) => ladder
            .get(at..)
            .unwrap_or_default()
            .iter()
            .copied()
            .chain([""])
            .collect(),
        None if top.is_empty() => vec![""],
        None => vec![top, ""],
    }
}

fn offered(candidates: &[&Descriptor]) -> String {
    let mut names: Vec<String> = candidates
        .iter()
        .filter_map(|entry| entry.platform.as_ref())
        .map(ToString::to_string)
        .collect();
    names.dedup();
    if names.is_empty() {
        "nothing to run".into()
    } else {
        crate::names::listed(names.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Digest;

    fn entry(platform: &str) -> Descriptor {
        let platform = (!platform.is_empty()).then(|| platform.parse().expect("platform"));
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(format!("{platform:?}").as_bytes()),
            size: 1,
            platform,
            annotations: Default::default(),
            data: None,
            artifact_type: None,
        }
    }

    fn pick(entries: &[&str], wanted: &str) -> Option<usize> {
        let entries: Vec<_> = entries.iter().map(|p| entry(p)).collect();
        let chosen = choose(&entries, &wanted.parse().expect("platform")).ok()?;
        entries.iter().position(|entry| std::ptr::eq(entry, chosen))
    }

    #[test]
    fn variants_fall_back() {
        let table: [(&[&str], &str, Option<usize>); 10] = [
            (&["linux/arm64", "linux/amd64"], "linux/amd64", Some(1)),
            (&["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", Some(1)),
            (&["linux/arm/v8", "linux/arm/v7"], "linux/arm/v7", Some(1)),
            (&["linux/arm/v8"], "linux/arm/v7", None),
            (&["linux/arm", "linux/arm/v6"], "linux/arm", Some(1)),
            (&["linux/arm64/v8"], "linux/arm64", Some(0)),
            (&["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1)),
            (
                &["linux/amd64", "linux/amd64/v2"],
                "linux/amd64/v3",
                Some(1),
            ),
            (&["", "linux/amd64"], "linux/amd64", Some(1)),
            (&["linux/s390x", ""], "linux/amd64", Some(1)),
        ];
        for (entries, wanted, expected) in table {
            assert_eq!(pick(entries, wanted), expected, "{wanted} of {entries:?}");
        }
    }

    #[test]
    fn an_image_runs_where_its_platform_is_understood() {
        let table = [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64/v1", "linux/amd64", true),
            ("linux/amd64/v3", "linux/amd64", false),
            ("linux/amd64/v3", "linux/amd64/v3", true),
            ("linux/amd64/v2", "linux/amd64/v4", true),
            ("linux/arm64", "linux/amd64", false),
            ("windows/amd64", "linux/amd64", false),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm/v7", "linux/arm/v6", false),
            ("linux/arm/v5", "linux/arm/v6", true),
        ];
        for (image, wanted, expected) in table {
            let [image, wanted] = [image, wanted].map(|it| it.parse().expect("platform"));
            assert_eq!(runs(&image, &wanted), expected, "{image} on {wanted}");
        }
        assert!(runs(
            &Platform::default(),
            &"linux/amd64".parse().expect("platform")
        ));
    }

    #[test]
    fn attestations_are_no_images() {
        assert_eq!(
            pick(&["unknown/unknown", "linux/amd64"], "linux/amd64"),
            Some(1)
        );
        let mut about = entry("linux/amd64");
        about
            .annotations
            .insert(REFERRER.into(), "attestation-manifest".into());
        let mut artifact = entry("");
        artifact.artifact_type = Some("application/x.sbom".into());
        let entries = [about, artifact, entry("linux/arm64")];
        let error = choose(&entries, &"linux/amd64".parse().expect("platform"));
        assert_eq!(
            error.expect_err("none").to_string(),
            "no image for linux/amd64: there is linux/arm64"
        );
    }
}
