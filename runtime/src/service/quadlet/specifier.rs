//! Specifiers of systemd in settings of a container. Pure.

use super::Surroundings;

/// Replaces those that are known before systemd is asked. Tells which one is not.
pub(crate) fn expand(text: &str, around: &Surroundings<'_>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match rest.next() {
            Some('%') => expanded.push('%'),
            Some('n') => expanded.push_str(&around.name.unit()),
            Some('N' | 'p') => expanded.push_str(around.name.as_str()),
            Some('h') => expanded.push_str(&around.home.display().to_string()),
            Some('t') => expanded.push_str(&around.run_directory.display().to_string()),
            // Nothing is between @ and the end of a name without @.
            Some('i' | 'I') => {}
            Some(other) => {
                return Err(format!(
                    "only systemd knows what %{other} is; %n, %N, %p, %h, %t, %i and %% can be used here"
                ));
            }
            None => return Err("a % stands at its end".to_owned()),
        }
    }
    Ok(expanded)
}
