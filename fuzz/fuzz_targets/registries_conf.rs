//! `registries.conf`: no text panics, and what is wrong is told on one line, with the file.
#![no_main]

use std::path::Path;

use fetch::RegistriesConf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = RegistriesConf::parse(text, Path::new("/etc/x.conf")) {
        let error = error.to_string();
        assert!(error.starts_with("/etc/x.conf, line "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
});
