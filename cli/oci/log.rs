//! The file that errors are written to as well: podman and containerd read why a runtime failed from there.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::args::{Args, LogFormat};
use crate::report::Failure;

/// Where errors go besides stderr.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<PathBuf>,
    json: bool,
}

impl Log {
    /// What the command line says.
    pub(super) fn of(args: &Args) -> Self {
        let file = args
            .log
            .as_deref()
            .and_then(|file| std::path::absolute(file).ok());
        Self {
            file,
            json: args.log_format == LogFormat::Json,
        }
    }

    /// The words that tell another process of this binary.
    pub(super) fn words(&self) -> Vec<OsString> {
        let format = if self.json { "json" } else { "text" };
        let file = self.file.iter().map(|file| file.as_os_str().to_owned());
        file.chain(self.file.iter().map(|_| format.into()))
            .collect()
    }

    /// What those words say.
    pub(crate) fn of_words(words: &[OsString]) -> Self {
        Self {
            file: words.first().map(PathBuf::from),
            json: words.get(1).is_some_and(|format| format == "json"),
        }
    }

    /// Writes a failure down. Whether that works changes nothing: it is told on stderr too.
    pub(crate) fn write(&self, failure: &Failure) {
        let Some(path) = &self.file else {
            return;
        };
        let (text, time) = (failure.text(), jiff::Timestamp::now().to_string());
        let line = match self.json {
            true => json!({"level": "error", "msg": text, "time": time}).to_string(),
            false => format!("time={time:?} level=error msg={text:?}"),
        };
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .ok();
    }
}
