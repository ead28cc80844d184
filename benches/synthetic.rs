//! Many small images, written straight into a store: what pulling a thousand would take hours for.
//!
//! It is this program again, as the ordinary user. Each image is a base that all share and two layers
//! of its own, twenty files each.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use store::oci::{Document, ImageConfig, Manifest, media};
use store::{
    DiffId, Digest, ImageName, LayerLimits, LayerOrigin, LockKind, LockWait, Mode, Repo,
    commit_image, import_layer, known_layer,
};

use crate::support::image::Tar;

/// What makes this program write images: `FLAG ROOT FIRST END`.
pub const FLAG: &str = "--synthesize";
const FILES: u32 = 20;

type Failure = Box<dyn std::error::Error>;

/// The name of an image.
pub fn name(number: u32) -> String {
    format!("synthetic/image-{number}")
}

/// Writes what the arguments ask for.
pub fn serve(arguments: &[OsString]) -> ExitCode {
    match parse(arguments).and_then(|(root, numbers)| write(root, numbers)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[OsString]) -> Result<(&Path, Range<u32>), Failure> {
    let [root, first, end] = arguments else {
        return Err(format!("{FLAG} takes a root and two numbers").into());
    };
    let number = |word: &OsString| word.to_string_lossy().parse::<u32>();
    Ok((Path::new(root), number(first)?..number(end)?))
}

fn write(root: &Path, numbers: Range<u32>) -> Result<(), Failure> {
    let path = root.join("repo");
    drop(Repo::init(&path, Mode::BareUser)?);
    let config = path.join("config");
    let text = fs::read_to_string(&config)?;
    // Nobody measures the writing. What is measured later waits for the disk as always.
    fs::write(&config, format!("{text}fsync=false\n"))?;
    {
        let repo = Repo::open(&path)?;
        let _lock = repo.lock(LockKind::Shared, &LockWait::QUIET)?;
        for number in numbers {
            image(&repo, number)?;
        }
    }
    fs::write(&config, text)?;
    Ok(())
}

fn image(repo: &Repo, number: u32) -> Result<(), Failure> {
    let tars = [
        tar("usr/lib", "base"),
        tar("opt/app", &format!("{number}'s program")),
        tar("etc/app", &format!("{number}'s settings")),
    ];
    let mut layers = Vec::new();
    for tar in &tars {
        let diff_id = DiffId::of(tar);
        let origin = LayerOrigin {
            diff_id: Some(diff_id),
            blob: None,
        };
        layers.push(match known_layer(repo, &diff_id)? {
            Some(layer) => layer,
            None => import_layer(repo, &mut &tar[..], &origin, &LayerLimits::default())?.layer,
        });
    }
    let diff_ids: Vec<String> = layers.iter().map(|it| it.diff_id.to_string()).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = ImageConfig::parse(config.to_string().into_bytes())?;
    let manifest = manifest(&config, &tars)?;
    let name = ImageName::new(name(number))?;
    commit_image(repo, &name, None, &manifest, &config, &layers)?;
    Ok(())
}

fn tar(folder: &str, what: &str) -> Vec<u8> {
    let tar = (0..FILES).fold(Tar::new().dir(folder), |tar, file| {
        tar.file(
            &format!("{folder}/{file}"),
            format!("{what}, file {file}\n"),
        )
    });
    tar.finish()
}

fn manifest(config: &ImageConfig, tars: &[Vec<u8>]) -> Result<Manifest, Failure> {
    let layers: Vec<_> = tars
        .iter()
        .map(|tar| json!({"mediaType": media::OCI_LAYER, "digest": Digest::of(tar), "size": tar.len()}))
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "config": {"digest": config.id(), "size": config.raw.len()},
        "layers": layers,
    });
    match Document::parse(manifest.to_string().into_bytes(), "")? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => Err("a manifest is no index".into()),
    }
}
