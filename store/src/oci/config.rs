//! The config of an image: what it runs on, what a container of it runs, and how it was built.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CONFIG_BYTES_MAX, HISTORY_MAX, LAYERS_MAX, Platform};
use crate::error::{Error, Result};
use crate::id::{DiffId, Digest};

/// One step of how an image was built.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether this step made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// How docker checks that a container is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, or `CMD`/`CMD-SHELL` and arguments.
    pub test: Option<Vec<String>>,
    /// Nanoseconds between checks.
    pub interval: Option<i64>,
    /// Nanoseconds a check may take.
    pub timeout: Option<i64>,
    /// Nanoseconds before failures count.
    pub start_period: Option<i64>,
    /// Failures in a row until unhealthy.
    pub retries: Option<i64>,
}

/// What a container of the image runs, and with what.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// `user[:group]`, names or numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Ports by `port/proto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    /// `NAME=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, or the program when there is no entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that want a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// The health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize)]
struct RawConfig {
    created: Option<String>,
    author: Option<String>,
    docker_version: Option<String>,
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    config: Option<ContainerConfig>,
    rootfs: Option<RawRootfs>,
    history: Option<Vec<History>>,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Option<Vec<DiffId>>,
}

/// An image config, with the bytes it was read from.
#[derive(Debug, Clone)]
pub struct ImageConfig {
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// When the image was made, RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The docker that made it.
    pub docker_version: Option<String>,
    /// What it runs on.
    pub platform: Platform,
    /// What a container of it runs.
    pub container: ContainerConfig,
    /// The layers' uncompressed digests, base first.
    pub diff_ids: Vec<DiffId>,
    /// How it was built, oldest first.
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Reads a config. Fails on anything over [`CONFIG_BYTES_MAX`] and on a config without `rootfs.diff_ids` (an
    /// artifact's, not an image's).
    pub fn parse(raw: Vec<u8>) -> Result<Self> {
        let what = || format!("config {}", Digest::of(&raw));
        if raw.len() as u64 > CONFIG_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "image config".into(),
                limit: format!("{CONFIG_BYTES_MAX} bytes"),
            });
        }
        let body: RawConfig = serde_json::from_slice(&raw)
            .map_err(|error| Error::malformed(what(), error.to_string()))?;
        let Some(diff_ids) = body.rootfs.and_then(|rootfs| rootfs.diff_ids) else {
            return Err(Error::malformed(
                what(),
                "it has no rootfs.diff_ids, so it is not an image's",
            ));
        };
        let history = body.history.unwrap_or_default();
        if diff_ids.len() > LAYERS_MAX || history.len() > HISTORY_MAX {
            return Err(Error::TooLarge {
                what: what(),
                limit: format!("{LAYERS_MAX} layers, {HISTORY_MAX} steps"),
            });
        }
        Ok(Self {
            created: body.created,
            author: body.author,
            docker_version: body.docker_version,
            platform: Platform {
                os: body.os.unwrap_or_default(),
                architecture: body.architecture.unwrap_or_default(),
                variant: body.variant,
            },
            container: body.config.unwrap_or_default(),
            diff_ids,
            history,
            raw,
        })
    }

    /// The image id: the digest of the config's bytes.
    pub fn id(&self) -> Digest {
        Digest::of(&self.raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_not_an_image() {
        assert!(ImageConfig::parse(b"{}".to_vec()).is_err());
    }
}
