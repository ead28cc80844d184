//! The house rules that no lint knows.

use std::fs;
use std::path::{Path, PathBuf};

const PARTS: [&str; 4] = ["store", "fetch", "runtime", "cli"];
const LIBRARIES: [&str; 3] = ["store", "fetch", "runtime"];
const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;

/// A source file of ours.
struct Source {
    part: &'static str,
    path: PathBuf,
    text: String,
}

impl Source {
    fn shown(&self) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        self.path.strip_prefix(root).unwrap().display().to_string()
    }

    /// Numbered lines, without comments and without the unit tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number + 1, line))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for part in PARTS {
        let mut folders = vec![root.join(part)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push(Source { part, path, text });
                }
            }
        }
    }
    assert!(found.len() > PARTS.len());
    found
}

#[track_caller]
fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// Every line of code that `breaks` the rule, as `path:line: text`.
fn lines(parts: &[&str], breaks: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| parts.contains(&source.part))
    {
        for (number, line) in source.code().filter(|(_, line)| breaks(source, line)) {
            found.push(format!("{}:{number}: {}", source.shown(), line.trim()));
        }
    }
    found
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.text.lines().count() > LONGEST_FILE)
        .map(|source| format!("{}: {} lines", source.shown(), source.text.lines().count()))
        .collect();
    none(&long, "files longer than 500 lines");
}

/// A function's end is the next line that closes a brace at its own indentation.
#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for source in sources() {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in source.code() {
            let indent = line.len() - line.trim_start().len();
            match &open {
                Some((depth, start, name))
                    if indent == *depth && line.trim_start().starts_with('}') =>
                {
                    if number - start + 1 > LONGEST_FUNCTION {
                        let length = number - start + 1;
                        long.push(format!(
                            "{}:{start}: {length} lines: {name}",
                            source.shown()
                        ));
                    }
                    open = None;
                }
                None if is_function(line) && !line.trim_end().ends_with(['}', ';']) => {
                    open = Some((indent, number, line.trim().to_owned()));
                }
                _ => {}
            }
        }
    }
    none(&long, "functions longer than 70 lines");
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || ["const", "unsafe", "async", "extern", "\"C\""].contains(word)
    });
    words.next() == Some("fn")
}

#[test]
fn unsafe_is_only_in_sys() {
    let found = lines(&PARTS, |source, line| {
        let in_sys = source.path.file_name().is_some_and(|name| name == "sys.rs");
        !in_sys
            && ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
                .iter()
                .any(|it| line.contains(it))
    });
    none(&found, "unsafe outside sys.rs");
}

/// Libraries take paths and return reports; the clock, the environment and the terminal are cli's.
#[test]
fn libraries_know_nothing_of_the_outside() {
    let words = [
        "env::var",
        "env::home_dir",
        "env::current_dir",
        "env::args",
        "env::temp_dir",
        "SystemTime::now",
        "println!",
        "eprintln!",
        "print!(",
        "process::exit",
        "is_terminal",
    ];
    let found = lines(&LIBRARIES, |source, line| {
        let is_test = source.path.iter().any(|part| part == "tests");
        !is_test && words.iter().any(|word| line.contains(word))
    });
    none(
        &found,
        "a library reads the environment, the clock or the terminal, or prints",
    );
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!(", "unimplemented!(", "dbg!("];
    let found = lines(&PARTS, |_, line| {
        words.iter().any(|word| line.contains(word))
    });
    none(&found, "left for later");
}

#[test]
fn no_file_is_a_drawer() {
    let drawers = [
        "util", "utils", "common", "helpers", "helper", "manager", "misc",
    ];
    let found: Vec<String> = sources()
        .iter()
        .filter(|source| {
            source.path.components().any(|it| {
                let name = it.as_os_str().to_string_lossy();
                drawers.contains(&name.trim_end_matches(".rs"))
            })
        })
        .map(Source::shown)
        .collect();
    none(&found, "names that say nothing");
}

/// cli → fetch → store, cli → runtime → store, and no other arrow.
#[test]
fn arrows_point_one_way() {
    let mut found = Vec::new();
    for (part, forbidden) in [
        ("store", &["fetch", "runtime"][..]),
        ("fetch", &["runtime"]),
        ("runtime", &["fetch"]),
    ] {
        found.extend(lines(&[part], |_, line| {
            forbidden.iter().any(|other| {
                line.trim_start()
                    .trim_start_matches("pub ")
                    .starts_with(&format!("use {other}::"))
            })
        }));
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(part)
            .join("Cargo.toml");
        for line in fs::read_to_string(manifest).unwrap().lines() {
            let key = line.split(['=', '.']).next().unwrap().trim();
            if forbidden.contains(&key) {
                found.push(format!("{part}/Cargo.toml: {line}"));
            }
        }
    }
    none(&found, "arrows other than cli → {fetch, runtime} → store");
}
