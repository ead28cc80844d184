//! A registry that counts what it serves of layers, and gives ranges as well or as badly as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::pull::double::{Answer, Asked, Double};
use crate::support::digest;
use crate::support::image::{Image, Layer, OCI_MANIFEST};
use crate::support::parts::Parts;

/// How ranges are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// As a good registry does.
    Good,
    /// One at a time; several get the whole blob.
    Single,
    /// Never: everything gets the whole blob.
    Never,
    /// Well, but so many answers break off in the middle.
    Cut(usize),
    /// Well, but every answer breaks off after so many bytes.
    Short(usize),
    /// With wrong bytes, from so many on.
    Wrong(usize),
    /// With ranges that were not asked for.
    Shifted,
}

pub struct Server {
    pub double: Double,
    pub image: Image,
    served: Arc<AtomicUsize>,
}

impl Server {
    /// Serves an image of such layers as `app:latest`.
    pub fn new(layers: &[Parts], ranges: Ranges) -> Self {
        let image = Image::new(layers.iter().map(|parts| Layer {
            digest: digest(&parts.blob),
            size: parts.blob.len() as u64,
            diff_id: digest(&parts.tar),
            media_type: parts.media_type.into(),
            tar: parts.tar.clone(),
            blob: parts.blob.clone(),
        }));
        let annotations: Vec<Value> = layers.iter().map(|it| it.annotations.clone()).collect();
        let served = Arc::new(AtomicUsize::new(0));
        let (served_, image_) = (Arc::clone(&served), image.clone());
        let mut manifest = image.manifest();
        for (number, annotations) in annotations.into_iter().enumerate() {
            manifest["layers"][number]["annotations"] = annotations;
        }
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let answered = AtomicUsize::new(0);
        let double = Double::serve(&image, move |asked| {
            if asked.path.contains("/manifests/") {
                return Some(Answer::ok(manifest.clone()).with("Content-Type", OCI_MANIFEST));
            }
            let layers = &image_.layers;
            let layer = layers.iter().find(|it| asked.path.ends_with(&it.digest))?;
            let answer = answer(&layer.blob, asked, ranges, &answered);
            let sent = answer.cut.unwrap_or(answer.body.len());
            served_.fetch_add(sent, Ordering::Relaxed);
            Some(answer)
        });
        Self {
            double,
            image,
            served,
        }
    }

    /// How many bytes of layers were served, the heads of ranges included.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    /// The size of all layers.
    pub fn size(&self) -> usize {
        self.image.layers.iter().map(|it| it.blob.len()).sum()
    }

    /// How often a whole layer was asked for.
    pub fn wholes(&self) -> usize {
        let asked = self.double.asked("/blobs/");
        let is_layer = |asked: &&Asked| {
            let mut layers = self.image.layers.iter();
            layers.any(|it| asked.path.ends_with(&it.digest))
        };
        let whole = asked.iter().filter(is_layer);
        whole.filter(|it| it.header("range").is_none()).count()
    }
}

/// The ranges of `bytes=A-B,C-D`.
fn wanted(asked: &Asked) -> Vec<(usize, usize)> {
    let Some(list) = asked.header("range") else {
        return Vec::new();
    };
    let ranges = list.strip_prefix("bytes=").unwrap().split(',');
    let numbers = ranges.map(|range| {
        let (first, last) = range.split_once('-').unwrap();
        (first.parse().unwrap(), last.parse::<usize>().unwrap() + 1)
    });
    numbers.collect()
}

fn answer(blob: &[u8], asked: &Asked, how: Ranges, answered: &AtomicUsize) -> Answer {
    let wanted = wanted(asked);
    let several = wanted.len() > 1;
    if wanted.is_empty() || how == Ranges::Never || (how == Ranges::Single && several) {
        return Answer::ok(blob);
    }
    let number = answered.fetch_add(1, Ordering::Relaxed);
    let part = |start: usize, end: usize| {
        let mut bytes = blob[start..end].to_vec();
        if matches!(how, Ranges::Wrong(from) if number >= from) {
            bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
        }
        let shift = usize::from(how == Ranges::Shifted && number > 0);
        let last = end - 1 + shift;
        let range = format!("bytes {}-{last}/{}", start + shift, blob.len());
        (bytes, range)
    };
    let mut answer = match wanted[..] {
        [(start, end)] => {
            let (bytes, range) = part(start, end);
            Answer::ok(bytes).with("Content-Range", range)
        }
        _ => {
            let mut body = Vec::new();
            for (start, end) in wanted {
                let (bytes, range) = part(start, end);
                body.extend(
                    format!("\r\n--cut\r\nContent-Type: a/b\r\nContent-Range: {range}\r\n\r\n")
                        .into_bytes(),
                );
                body.extend(bytes);
            }
            body.extend(b"\r\n--cut--\r\n");
            Answer::ok(body).with("Content-Type", "multipart/byteranges; boundary=cut")
        }
    };
    answer.status = 206;
    match how {
        Ranges::Short(bytes) if answer.body.len() > bytes => answer.cut(bytes),
        Ranges::Cut(times) if number > 0 && number <= times => {
            let half = answer.body.len() / 2;
            answer.cut(half)
        }
        _ => answer,
    }
}
