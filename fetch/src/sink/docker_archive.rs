//! `docker-archive:`: what `docker load` reads: configs as `<hex>.json`, layers as `<hex of the diff id>.tar`, and
//! `manifest.json`, which says what belongs together. It is written in one pass.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use store::Reference;
use store::oci::{Descriptor, media};

use super::tar_file::TarFile;
use super::{Form, Opener, Outgoing, Sink};
use crate::error::{Error, Result};
use crate::event::Progress;

/// An archive in the making.
#[derive(Debug)]
pub(crate) struct DockerArchiveSink {
    name: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tar: TarFile,
    items: Vec<Value>,
}

impl DockerArchiveSink {
    /// Begins the archive at `path`, whose image is called `name`.
    pub(crate) fn open(path: &Path, name: Option<String>) -> Result<Self> {
        let state = Mutex::new(State {
            tar: TarFile::begin(path)?,
            items: Vec::new(),
        });
        Ok(Self { name, state })
    }
}

fn entry_of(blob: &Descriptor) -> String {
    let suffix = match blob.media_type == media::DOCKER_CONFIG {
        true => "json",
        false => "tar",
    };
    format!("{}.{suffix}", blob.digest.hex())
}

/// The name as docker's tools understand it: with a tag, without a digest; `None` for what is no such name.
fn tag_of(name: &str) -> Option<String> {
    let reference = name.parse::<Reference>().ok()?;
    let tag = reference.tag?;
    Some(format!("{}/{}:{tag}", reference.host, reference.repository))
}

impl Sink for DockerArchiveSink {
    fn form(&self) -> Form {
        Form::Tars
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(state.tar.has(&entry_of(blob)))
    }

    fn put_blob(&self, blob: &Descriptor, bytes: &Opener<'_>, _: Progress<'_>) -> Result<()> {
        // one at a time, and opened only when its turn has come
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = bytes(0)?;
        state.tar.add(&entry_of(blob), blob.size, &mut bytes)
    }

    fn put_manifest(&self, manifest: &Outgoing<'_>) -> Result<()> {
        let Some(image) = manifest.manifest else {
            return Err(Error::unsupported(
                "docker-archive for",
                "an index of several images",
            ));
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = self.name.as_deref().or(manifest.name).and_then(tag_of);
        let config = entry_of(&image.config);
        let same = |item: &&mut Value| item.get("Config") == Some(&json!(config));
        match state.items.iter_mut().find(same) {
            // one image under several names
            Some(item) => {
                if let Some(Value::Array(tags)) = item.get_mut("RepoTags") {
                    tags.extend(tag.map(Value::from));
                }
            }
            None => {
                let layers: Vec<String> = image.layers.iter().map(entry_of).collect();
                let tags: Vec<String> = tag.into_iter().collect();
                let item = json!({ "Config": config, "RepoTags": tags, "Layers": layers });
                state.items.push(item);
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let State { mut tar, items } = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        tar.add_bytes("manifest.json", Value::Array(items).to_string().as_bytes())?;
        tar.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_tags() {
        let digest = "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        let table = [
            ("redis", Some("docker.io/library/redis:latest")),
            ("localhost:5000/a:1", Some("localhost:5000/a:1")),
            ("Not A Reference", None),
            (&format!("redis@{digest}"), None),
        ];
        for (name, tag) in table {
            assert_eq!(tag_of(name).as_deref(), tag, "{name}");
        }
    }
}
