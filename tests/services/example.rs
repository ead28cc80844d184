//! An image with a service in it, and an ordinary user with a home of his own who installs it without systemd.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checkout::layout;
use crate::support::image::{Form, Image, Layer, Layout, Tar};
use crate::support::user::Run;
use crate::support::{Home, images};

pub(super) const UNIT: &str = "[Unit]\nDescription=$NAME says $WORD\n[Service]\nExecStart=$EXEC_START\n\
ExecStop=$EXEC_STOP\nWorkingDirectory=$DESTDIR\n[Install]\nWantedBy=default.target\n";
const CONFIG: &str = r#"{"ociVersion": "1.0.0", "root": {"path": "rootfs", "readonly": true},
"process": {"args": ["/bin/say", "$WORD"], "cwd": "/", "env": []}, "mounts": [],
"linux": {"namespaces": [{"type": "mount"}]}}"#;

/// An image with a service in it, whose default for WORD this is.
pub(super) fn image(home: &Home, word: &str) -> String {
    image_with(home, word, UNIT)
}

/// The same with another unit. It takes the place of the one before.
pub(super) fn image_with(home: &Home, word: &str, unit: &str) -> String {
    let _ = std::fs::remove_dir_all(home.join("layout-web"));
    let manifest = format!(r#"{{"version": "1.0", "defaultValues": {{"WORD": "{word}"}}}}"#);
    let files = Tar::new()
        .file("bin/say", word)
        .file("usr/share/common", "the same in all")
        .file("exports/manifest.json", manifest)
        .file("exports/config.json.template", CONFIG)
        .file("exports/service.template", unit)
        .file(
            "exports/tmpfiles.template",
            "d $STATE_DIRECTORY/$NAME 0700 - - -\n",
        );
    layout(home, "web", vec![files])
}

/// berth with a home of its own.
pub(super) fn berth(home: &Home, args: &[&str]) -> Run {
    home.berth(args)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
}

/// Installs the image as `web`.
pub(super) fn install(home: &Home, source: &str) -> Run {
    berth(home, &["install", "--no-systemd", "--name", "web", source])
}

pub(super) fn checkouts(home: &Home) -> PathBuf {
    home.join(".local/share/containers/atomic")
}

pub(super) fn unit(home: &Home) -> PathBuf {
    home.join(".config/systemd/user/web.service")
}

pub(super) fn tmpfiles(home: &Home) -> PathBuf {
    home.join(".local/share/containers/tmpfiles/web.conf")
}

/// An image of busybox with these files on top and this config, as a source to pull.
pub(super) fn busybox(home: &Home, name: &str, files: Tar, config: &Value) -> String {
    let built = images::get("busybox");
    let below = built.layers.iter().map(|layer| Layer {
        tar: Vec::new(),
        blob: std::fs::read(built.blob(&layer.digest)).unwrap(),
        media_type: Form::Gzip.media_type().into(),
        digest: layer.digest.clone(),
        size: layer.size,
        diff_id: layer.diff_id.clone(),
    });
    let above = Layer::new(files.finish(), Form::Gzip);
    let mut image = Image::new(below.chain([above]));
    image.config["config"] = config.clone();
    let path = home.join(format!("layout-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    Layout::with(&path, &image);
    format!("oci:{}:latest", path.display())
}

/// Everything below a directory with its mode, its size and its links.
pub(super) fn listing(home: &Home, dir: &Path) -> String {
    let find = "find . -printf '%p %y %m %n %s %l\\n' | sort";
    home.sh(find).dir(dir).ok().stdout
}

/// What is in a directory; nothing when it is not there.
pub(super) fn entries(dir: &Path) -> Vec<String> {
    let found = std::fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<String> = found
        .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
