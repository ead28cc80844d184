//! The unit of a service: the image's own, else one that starts its container as systemd likes it best. Pure.
//!
//! A runtime that writes a pid file leaves the container alone (`Type=forking`), so that no process of ours stays behind.
//! A program that says when it is ready needs somebody to pass its word on, and there the runtime stays (`Type=notify`).

use serde_json::Value;

use super::document::SERVICE_TEMPLATE;
use super::error::Error;
use super::exports::Exports;
use super::values::{Language, Values};
use super::wanted::{Scope, Wanted};
use crate::signal::StopSignal;

/// The text that the unit is rendered from.
pub(crate) fn template(exports: &Exports, wanted: &Wanted<'_>) -> String {
    match &exports.service {
        Some(template) => template.clone(),
        None => generated(wanted),
    }
}

/// Renders the unit.
pub(crate) fn unit(
    exports: &Exports,
    template: &str,
    config: &Value,
    scope: Scope,
    values: &mut Values,
    said: &mut Vec<String>,
) -> Result<String, Error> {
    let mut text = values.render(SERVICE_TEMPLATE, template, Language::Systemd)?;
    if scope == Scope::User {
        text = with_users_targets(&text, said);
    }
    let has_limits = config["linux"]["resources"]
        .as_object()
        .is_some_and(|resources| !resources.is_empty());
    if !has_limits || value_of(&text, "Service", "Delegate").is_some() {
        return Ok(text);
    }
    if exports.service.is_some() {
        said.push("Delegate=yes is added to the unit: its container has limits".to_owned());
    }
    Ok(insert(&text, "Service", "Delegate=yes"))
}

/// A unit for an image that has none, as a template.
fn generated(wanted: &Wanted<'_>) -> String {
    let (settings, notify) = match wanted.quadlet {
        Some(quadlet) => (Some(&quadlet.settings), quadlet.notify),
        None => (None, false),
    };
    let mut unit = Vec::new();
    let own = |line: &String| line.starts_with("Description=");
    if wanted.quadlet.is_none_or(|it| !it.unit.iter().any(own)) {
        unit.push("Description=$NAME".to_owned());
    }
    if wanted.scope == Scope::Root {
        unit.push("After=network.target".to_owned());
    }
    let detached = wanted.runtime.pid_file && !notify;
    let mut service: Vec<String> = if detached {
        vec![
            "Type=forking".into(),
            "ExecStartPre=-$RUNTIME delete --force '$NAME'".into(),
            "ExecStart=$EXEC_START".into(),
            "ExecStopPost=-$EXEC_STOPPOST".into(),
            "PIDFile=$PIDFILE".into(),
        ]
    } else {
        let kind: &[&str] = match notify {
            true => &["Type=notify", "NotifyAccess=all"],
            false => &["Type=exec"],
        };
        let mut lines: Vec<String> = kind.iter().map(|line| (*line).to_owned()).collect();
        lines.extend([
            "ExecStartPre=-$RUNTIME delete --force '$NAME'".to_owned(),
            "ExecStart=$EXEC_START".to_owned(),
            "ExecStopPost=-$RUNTIME delete --force '$NAME'".to_owned(),
        ]);
        lines
    };
    service.extend([
        "WorkingDirectory=$DESTDIR".to_owned(),
        "Restart=on-failure".to_owned(),
        "KillMode=mixed".to_owned(),
    ]);
    let image = wanted
        .config
        .and_then(|config| config.stop_signal.as_deref());
    let image: Option<StopSignal> = image.and_then(|signal| signal.parse().ok());
    if let Some(signal) = settings.and_then(|it| it.life.stop_signal).or(image) {
        service.push(format!("KillSignal={signal}"));
    }
    if let Some(seconds) = settings.and_then(|it| it.life.stop_timeout) {
        service.push(format!("TimeoutStopSec={seconds}"));
    }
    let mut install = Vec::new();
    if let Some(quadlet) = wanted.quadlet {
        // A dollar of theirs is systemd's.
        let own = |lines: &[String]| lines.iter().map(|line| line.replace('$', "$$")).collect();
        let add = |lines: &mut Vec<String>, more: Vec<String>| lines.extend(more);
        add(&mut unit, own(&quadlet.unit));
        add(&mut service, own(&quadlet.service));
        install = own(&quadlet.install);
    }
    if install.is_empty() {
        let target = match wanted.scope {
            Scope::Root => "multi-user.target",
            Scope::User => "default.target",
        };
        install.push(format!("WantedBy={target}"));
    }
    let [unit, service, install] = [unit, service, install].map(|lines| lines.join("\n"));
    format!("[Unit]\n{unit}\n\n[Service]\n{service}\n\n[Install]\n{install}\n")
}

/// The unit with the target that a user's systemd boots into, in place of the system's in `[Install]`: it has none of
/// those, so that what only they want would never be started.
///
/// Source: systemd.special(7), units managed by the user service manager.
fn with_users_targets(text: &str, said: &mut Vec<String>) -> String {
    const OF_THE_SYSTEM: [&str; 2] = ["multi-user.target", "graphical.target"];
    const OF_USERS: &str = "default.target";
    let mut section = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        let plain = line.trim();
        if plain.starts_with('[') {
            section = plain;
        }
        let wants = plain.split_once('=').filter(|(key, units)| {
            let named = |it: &str| OF_THE_SYSTEM.contains(&it);
            section == "[Install]"
                && ["WantedBy", "RequiredBy", "UpheldBy"].contains(&key.trim_end())
                && units.split_ascii_whitespace().any(named)
        });
        let Some((key, units)) = wants else {
            lines.push(line.to_owned());
            continue;
        };
        let mut found: Vec<&str> = Vec::new();
        for unit in units.split_ascii_whitespace() {
            let unit = match OF_THE_SYSTEM.contains(&unit) {
                true => OF_USERS,
                false => unit,
            };
            if !found.contains(&unit) {
                found.push(unit);
            }
        }
        let changed = format!("{}={}", key.trim_end(), found.join(" "));
        said.push(format!(
            "{plain} is read as {changed}: a user's systemd has no other"
        ));
        lines.push(changed);
    }
    lines.join("\n") + "\n"
}

/// What `section` of a unit sets `key` to first, as it stands.
pub(crate) fn value_of<'a>(text: &'a str, section: &str, key: &str) -> Option<&'a str> {
    let header = format!("[{section}]");
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == header;
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim_end() == key
        {
            return Some(value.trim_start());
        }
    }
    None
}

/// The unit with a line at the start of a section, which is made where there is none.
fn insert(text: &str, section: &str, line: &str) -> String {
    let header = format!("[{section}]");
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|line| line.trim() == header) {
        Some(at) => lines.insert(at + 1, line),
        None => lines.extend(["", &header, line]),
    }
    lines.join("\n") + "\n"
}
