//! An image with a service in it, and an ordinary user with a home of his own who installs it without systemd.

use std::path::PathBuf;

use crate::checkout::layout;
use crate::support::Home;
use crate::support::image::Tar;
use crate::support::user::Run;

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
