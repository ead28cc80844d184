//! What is wrong, or not as it should be, with what an image exports. Pure.
//!
//! The rules are those that the system images of Project Atomic were held to. What would stop an installation is found by
//! rendering, with a value for each variable that has none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use store::oci::{ContainerConfig, History};

use super::converge::chain;
use super::document::{
    CONFIG, CONFIG_TEMPLATE, EXPORTS, MANIFEST, SERVICE_TEMPLATE, TMPFILES_TEMPLATE,
};
use super::exports::Exports;
use super::name::ServiceName;
use super::render;
use super::rendered::Rendered;
use super::unit::value_of;
use super::wanted::{Runtime, Scope, Wanted};
use crate::error::Result;

/// Something that an image should not have.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The file, from the image's root.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Linted<'a> {
    /// What the image exports.
    pub exports: &'a Exports,
    /// What a container of it runs.
    pub config: Option<&'a ContainerConfig>,
    /// How it was built; nothing when nobody knows.
    pub history: &'a [History],
    /// The text of its Dockerfile, if that is there.
    pub dockerfile: Option<&'a str>,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, file: &str, why: impl Into<String>) {
        let finding = Finding {
            file: file.to_owned(),
            why: why.into(),
        };
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// Looks for everything that is wrong.
pub fn lint(linted: &Linted<'_>) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let exports = linted.exports;
    if exports.misspelt {
        findings.add("export", "the directory is called exports");
    }
    if !exports.present && !exports.misspelt {
        findings.add(EXPORTS, "there is none, so config and unit are generated");
    }
    steps(linted, &mut findings);
    variables(exports, &mut findings);
    match rendered(linted) {
        Ok(rendered) => {
            host_paths(exports, &rendered, &mut findings);
            if let Some(config) = &rendered.config {
                config_of(exports, config, &mut findings);
            }
        }
        Err(error) => findings.add(EXPORTS, chain(&error)),
    }
    unit_of(exports, &mut findings);
    fixed_places(exports, &mut findings);
    findings.0
}

/// Renders as an installation would, with something for every variable that has no value.
fn rendered(linted: &Linted<'_>) -> Result<Rendered> {
    let variables = linted.exports.variables()?;
    let pairs = variables.without_default.into_iter();
    let set: BTreeMap<String, String> = pairs.map(|name| (name, "0".to_owned())).collect();
    let name = ServiceName::new("lint")?;
    let runtime = Runtime {
        words: vec!["/usr/bin/berth".to_owned(), "oci".to_owned()],
        pid_file: true,
        systemd_cgroup: false,
        is_ours: true,
    };
    render(
        linted.exports,
        &Wanted {
            name: &name,
            destination: Path::new("/var/lib/containers/atomic/lint.0"),
            image_name: "lint",
            image_id: String::new(),
            set: &set,
            uuid: "00000000-0000-4000-8000-000000000000",
            scope: Scope::Root,
            uid: 0,
            gid: 0,
            uid_ranges: &[],
            gid_ranges: &[],
            runtime: &runtime,
            atomic: "/usr/bin/berth atomic",
            run_directory: Path::new("/run"),
            state_directory: Path::new("/var/lib"),
            conf_directory: Path::new("/etc"),
            last_cap: 40,
            remote: None,
            exists: &|_| true,
            config: linted.config,
            quadlet: None,
        },
    )
}

/// The instructions that the image was built with.
fn steps(linted: &Linted<'_>, findings: &mut Findings) {
    let lines = linted.dockerfile.into_iter().flat_map(str::lines);
    let built = linted.history.iter().filter_map(|step| {
        let by = step.created_by.as_deref()?;
        // The classic builder writes all but RUN behind a comment of its shell.
        Some(by.split_once("#(nop)").map_or(by, |(_, rest)| rest))
    });
    let file = match linted.dockerfile {
        Some(_) => "Dockerfile",
        None => "history",
    };
    for line in lines.chain(built) {
        let line = line.trim().trim_end_matches("# buildkit").trim_end();
        let mut words = line.split_whitespace();
        let (instruction, last) = (words.next().unwrap_or_default(), words.next_back());
        match instruction.to_ascii_uppercase().as_str() {
            "MAINTAINER" => findings.add(file, "MAINTAINER is obsolete: use the label maintainer"),
            "ADD" if !line.contains("://") && !line.contains(".tar") => {
                findings.add(file, format!("COPY does what ADD is used for: {line}"));
            }
            _ => {}
        }
        let copies = ["ADD", "COPY"].contains(&instruction.to_ascii_uppercase().as_str());
        let last = last.unwrap_or_default();
        if copies && (last == "/export" || last.starts_with("/export/")) {
            findings.add(file, format!("the directory is called exports: {line}"));
        }
        if copies && last == "/exports" {
            findings.add(
                file,
                format!("a directory is written with a slash at its end: {line}"),
            );
        }
    }
}

/// Variables and defaults belong together.
fn variables(exports: &Exports, findings: &mut Findings) {
    let mut used = BTreeSet::new();
    for (file, text) in exports.templates() {
        let Ok(template) = super::template::Template::parse(&file, &text) else {
            continue;
        };
        for name in template.names() {
            used.insert(name.to_owned());
            let known = exports.manifest.default_values.contains_key(name)
                || super::variables::FORCED.contains(&name)
                || super::variables::OVERRIDABLE.contains(&name);
            if !known {
                findings.add(&file, format!("the variable {name} has no default"));
            }
        }
    }
    for name in exports.manifest.default_values.keys() {
        if super::variables::OVERRIDABLE.contains(&name.as_str()) && name != "UUID" {
            findings.add(
                MANIFEST,
                format!("the default of {name} has no effect: the host gives it a value"),
            );
        } else if !used.contains(name) {
            findings.add(MANIFEST, format!("no template has the variable {name}"));
        }
    }
}

/// What goes to the host.
fn host_paths(exports: &Exports, rendered: &Rendered, findings: &mut Findings) {
    for template in &exports.manifest.installed_files_template {
        let goes = |path: &Path| path == Path::new(template);
        if !rendered.host_files.iter().any(|it| goes(&it.path)) && !template.contains("lint") {
            let renamed = exports
                .manifest
                .rename_files
                .values()
                .any(|to| to.contains("NAME"));
            if !renamed {
                findings.add(
                    MANIFEST,
                    format!("installedFilesTemplate names {template}, where no file goes"),
                );
            }
        }
    }
    for from in exports.manifest.rename_files.keys() {
        let is_there = |path: &str| super::host_plan::below(path, from).is_some();
        if !exports.host.iter().any(|it| is_there(&it.path)) {
            findings.add(
                MANIFEST,
                format!("renameFiles names {from}, which is not in hostfs"),
            );
        }
    }
}

/// The runtime's configuration, rendered.
fn config_of(exports: &Exports, text: &str, findings: &mut Findings) {
    let file = match (&exports.config, &exports.config_template) {
        (Some(_), _) => CONFIG,
        (None, Some(_)) => CONFIG_TEMPLATE,
        (None, None) => return,
    };
    // What was normalised is the image's fault all the same.
    let source = exports.config.clone().or(exports.config_template.clone());
    let source = source.unwrap_or_default();
    let Ok(config) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if config["process"]["terminal"] == true {
        findings.add(file, "process.terminal is true: a service has no terminal");
    }
    if source.contains("\"selinuxProcessLabel\"") {
        findings.add(file, "selinuxProcessLabel is process.selinuxLabel");
    }
    for mount in config["mounts"].as_array().into_iter().flatten() {
        let place = mount["destination"].as_str().unwrap_or_default();
        if mount["type"] == "rbind" {
            findings.add(
                file,
                format!("the type of the mount at {place} is bind; rbind is an option"),
            );
        }
    }
}

/// The image's unit, as it stands.
fn unit_of(exports: &Exports, findings: &mut Findings) {
    let Some(unit) = &exports.service else {
        return;
    };
    for (key, variables) in [
        ("ExecStart", &["EXEC_START"][..]),
        ("ExecStop", &["EXEC_STOP"]),
        ("WorkingDirectory", &["DESTDIR"]),
    ] {
        let Some(value) = value_of(unit, "Service", key) else {
            if key != "ExecStop" {
                findings.add(SERVICE_TEMPLATE, format!("{key} is not set"));
            }
            continue;
        };
        let has = |name: &&str| {
            value.contains(&format!("${name}")) || value.contains(&format!("${{{name}}}"))
        };
        if !value.is_empty() && !variables.iter().any(has) {
            findings.add(
                SERVICE_TEMPLATE,
                format!("{key} does not come from ${}", variables.join(" or $")),
            );
        }
    }
}

/// Places of the host that have a variable.
fn fixed_places(exports: &Exports, findings: &mut Findings) {
    let config = exports
        .config
        .as_deref()
        .or(exports.config_template.as_deref());
    // Places in the container look the same, but are no sources.
    let sources = config
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| line.contains("\"source\""))
        .map(|line| (CONFIG_TEMPLATE, line));
    let lines = exports.tmpfiles.as_deref().into_iter().flat_map(str::lines);
    for (file, line) in sources.chain(lines.map(|line| (TMPFILES_TEMPLATE, line))) {
        for (place, variable) in [("/var/lib/", "STATE_DIRECTORY"), ("/run/", "RUN_DIRECTORY")] {
            let starts = ["\"", " ", "\t"].map(|before| format!("{before}{place}"));
            if starts.iter().any(|start| line.contains(start)) {
                findings.add(file, format!("{place} is ${variable}: {}", line.trim()));
            }
        }
    }
}
