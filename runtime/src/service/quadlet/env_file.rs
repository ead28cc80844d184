//! Files of variables, as podman reads them. Pure.

/// The variables of a file: `NAME=VALUE` lines as they are; those without `=` are the host's, which a service does not see.
pub(crate) fn variables(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                found.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                return Err(format!(
                    "{line:?} gives no value, and the environment is not passed on"
                ));
            }
        }
    }
    Ok(found)
}
