//! The history of an image as a chain of commits: one for each step of its build, each with the tree as it then was.
//!
//! `ostree log` of the last one tells how the image was built, and `ostree diff` of any two what a step changed.

use crate::commit::{Commit, Value};
use crate::derived::Sink;
use crate::error::Result;
use crate::id::{DiffId, ObjectId};
use crate::image::unix_seconds;
use crate::layer::Layer;
use crate::merge::Merge;
use crate::object::TreeId;
use crate::oci::{Descriptor, History, ImageConfig, Manifest};

/// Commits every step; gives the last commit and its tree. An image without layers and history is one empty commit.
pub(crate) fn commit_history(
    sink: Sink<'_, '_>,
    manifest: &Manifest,
    config: &ImageConfig,
    layers: &[Layer],
) -> Result<(ObjectId, TreeId)> {
    let mut merge = Merge::new(sink);
    let mut chain = None;
    let mut last: Option<(ObjectId, TreeId)> = None;
    for (step, index) in steps(config) {
        let made = index.map(|index| (layers[index].diff_id, &manifest.layers[index]));
        if let Some(index) = index {
            merge.apply(&layers[index])?;
            chain = Some(chain_id(chain, layers[index].diff_id));
        }
        let root = match (&last, made) {
            (Some((_, root)), None) => *root,
            _ => merge.store()?,
        };
        let subject = subject(&step, index);
        let commit = Commit {
            metadata: metadata(made, chain),
            parent: last.map(|(commit, _)| commit),
            body: body(&step, &subject, made),
            subject,
            timestamp: unix_seconds(step.created.as_deref().or(config.created.as_deref())),
            root,
        };
        last = Some((sink.put_commit(&commit)?, root));
    }
    if let Some(last) = last {
        return Ok(last);
    }
    let root = merge.store()?;
    let empty = Commit {
        metadata: Vec::new(),
        parent: None,
        subject: "an image without layers".to_owned(),
        body: String::new(),
        timestamp: unix_seconds(config.created.as_deref()),
        root,
    };
    Ok((sink.put_commit(&empty)?, root))
}

/// The steps, each with the layer it made. A history that does not fit the layers is not used.
fn steps(config: &ImageConfig) -> Vec<(History, Option<usize>)> {
    let layers = config.diff_ids.len();
    if config
        .history
        .iter()
        .filter(|step| !step.empty_layer)
        .count()
        != layers
    {
        return (0..layers)
            .map(|layer| (History::default(), Some(layer)))
            .collect();
    }
    let mut next = 0;
    let step = |step: &History| {
        let layer = (!step.empty_layer).then(|| {
            next += 1;
            next - 1
        });
        (step.clone(), layer)
    };
    config.history.iter().map(step).collect()
}

/// The image-spec's chain id: what the layers up to here make together.
fn chain_id(below: Option<DiffId>, layer: DiffId) -> DiffId {
    match below {
        Some(below) => DiffId::of(format!("{below} {layer}").as_bytes()),
        None => layer,
    }
}

fn metadata(made: Option<(DiffId, &Descriptor)>, chain: Option<DiffId>) -> Vec<(String, Value)> {
    let text = |value: &dyn ToString| Value::Str(value.to_string());
    let mut metadata = Vec::new();
    if let Some((layer, blob)) = made {
        metadata.push(("berth.layer".to_owned(), text(&layer)));
        metadata.push(("berth.blob".to_owned(), text(&blob.digest)));
    }
    if let Some(chain) = chain {
        metadata.push(("berth.chain-id".to_owned(), text(&chain)));
    }
    metadata
}

/// The first line of the command of a step.
fn subject(step: &History, layer: Option<usize>) -> String {
    let line = step
        .created_by
        .as_deref()
        .and_then(|text| text.lines().next())
        .map(str::trim);
    match (line.unwrap_or_default(), layer) {
        ("", Some(layer)) => format!("layer {}", layer + 1),
        ("", None) => "an empty step".to_owned(),
        (line, _) => without_nul(line),
    }
}

/// The whole command where the subject is not all of it, the layer, and what else the step says of itself.
fn body(step: &History, subject: &str, made: Option<(DiffId, &Descriptor)>) -> String {
    let mut lines = Vec::new();
    if let Some(command) = step
        .created_by
        .as_deref()
        .filter(|command| command.trim() != subject)
    {
        lines.push(without_nul(command));
    }
    if let Some((layer, blob)) = made {
        lines.push(format!(
            "layer {layer}\nblob {} ({} bytes)",
            blob.digest, blob.size
        ));
    }
    for (key, value) in [("comment", &step.comment), ("author", &step.author)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            lines.push(format!("{key} {}", without_nul(value)));
        }
    }
    lines.join("\n\n")
}

/// A GVariant string cannot hold a NUL; JSON can.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
