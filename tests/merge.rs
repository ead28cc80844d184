//! Merging layers, beside two judges: the same image unpacked by umoci, mounted by podman and checked out by berth must
//! be the same tree.
//!
//! Where the judges differ, the case says whom berth follows. podman stacks the layers with overlayfs, as docker does: it
//! unpacks each by itself and never looks at the ones below. umoci unpacks one over the other into one directory.

mod cases;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::needs;
use crate::support::Home;
use crate::support::image::{Form, Image, Layer, Layout};
use cases::{Case, Judge};

/// Lists a tree: type, mode, path and link target, then the content of each file. Overlayfs lists whiteouts that hide
/// nothing, and denies that they are there.
const LIST: &str = r#"list() { (cd "$1"; find . -mindepth 1 -printf '%y %m %p %l\n' || :
    find . -type f -exec sh -c 'for file; do echo "= $file $(cat "$file")"; done' sh {} + || :) 2>/dev/null | sort; }"#;

const PODMAN: &str = r#"podman() { command podman --root "$PWD/store" --runroot "$PWD/run" --storage-driver overlay \
    --cgroup-manager cgroupfs --events-backend none "$@"; }"#;

/// The tree of each case, or why there is none.
type Trees = BTreeMap<String, Result<String, String>>;

/// Runs a script once for each case; what it prints is the tree.
fn each(home: &Home, cases: &[Case], script: &str) -> Trees {
    let tree = |case: &Case| {
        let ran = home.sh(script).env("CASE", case.name).run();
        match ran.exit() {
            0 => Ok(ran.stdout),
            _ => Err(ran.stderr),
        }
    };
    cases
        .iter()
        .map(|case| (case.name.to_owned(), tree(case)))
        .collect()
}

fn write_layouts(home: &Home, cases: &[Case]) {
    for case in cases {
        let layers = case
            .layers
            .iter()
            .map(|tar| Layer::new(tar.clone().finish(), Form::Gzip));
        let mut image = Image::new(layers);
        image.config["author"] = case.name.into();
        Layout::with(&home.join("layouts").join(case.name), &image);
    }
}

fn berths(home: &Home, cases: &[Case]) -> Trees {
    let script = format!(
        r#"{LIST}
        "$BERTH" --root "$ROOT" pull -q --name "$CASE" "oci:$PWD/layouts/$CASE:latest" >/dev/null
        "$BERTH" --root "$ROOT" checkout --copy "$CASE" "berth-$CASE" >/dev/null
        list "berth-$CASE""#
    );
    each(home, cases, &script)
}

fn umocis(home: &Home, cases: &[Case]) -> Trees {
    let script = format!(
        r#"{LIST}
        umoci unpack --rootless --image "layouts/$CASE:latest" "umoci-$CASE" >/dev/null
        list "umoci-$CASE/rootfs""#
    );
    each(home, cases, &script)
}

fn podmans(home: &Home, cases: &[Case]) -> Trees {
    let script = format!(
        r#"{LIST}
        {PODMAN}
        id=$(podman pull -q "oci:layouts/$CASE:latest")
        export id
        podman unshare sh -euc '{PODMAN}
            podman image mount "$id"' >mounted-"$CASE"
        podman unshare sh -euc '{}
            {PODMAN}
            dir=$(podman image mount "$id")
            list "$dir"
            podman image umount "$id" >/dev/null'"#,
        LIST.replace('\'', r"'\''"),
    );
    each(home, cases, &script)
}

/// Modes are compared only where a layer says what they are.
fn comparable(tree: &Result<String, String>, case: &Case) -> Result<String, String> {
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (kind, mode, path) = (words.next(), words.next(), words.next());
        let (Some(kind), Some(_), Some(path)) = (kind, mode, path) else {
            return line.to_owned();
        };
        let named = kind == "=" || !case.implicit.contains(&path.trim_start_matches("./"));
        if named {
            return line.to_owned();
        }
        format!("{kind} ? {path} {}", words.next().unwrap_or_default())
    };
    match tree {
        Ok(tree) => Ok(tree.lines().map(line).collect::<Vec<_>>().join("\n")),
        Err(why) => Err(why.lines().last().unwrap_or_default().to_owned()),
    }
}

#[test]
fn layers_merge_as_for_podman_and_umoci() {
    needs!(Umoci, Podman, Overlay, Ranges);
    let home = Home::new();
    let cases = cases::all();
    std::fs::create_dir(home.join("layouts")).unwrap();
    write_layouts(&home, &cases);
    let (ours, podman, umoci) = (
        berths(&home, &cases),
        podmans(&home, &cases),
        umocis(&home, &cases),
    );
    let mut wrong = String::new();
    for case in &cases {
        let of = |trees: &Trees| comparable(&trees[case.name], case);
        let (ours, podman, umoci) = (of(&ours), of(&podman), of(&umoci));
        let agree = match case.judge {
            Judge::Both => ours == podman && ours == umoci,
            Judge::Podman(_) => ours == podman,
            Judge::Umoci(_) => ours == umoci,
        };
        if !agree || ours.is_err() {
            let show = |tree: &Result<String, String>| match tree {
                Ok(tree) => tree.clone(),
                Err(why) => format!("refused: {why}"),
            };
            let _ = write!(
                wrong,
                "\n──── {} ({})\nberth:\n{}\npodman:\n{}\numoci:\n{}\n",
                case.name,
                case.judge.words(),
                show(&ours),
                show(&podman),
                show(&umoci)
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    clean_up(&home, home.path());
}

/// What podman leaves has ids of its own namespace.
fn clean_up(home: &Home, path: &Path) {
    home.sh(&format!(
        "{PODMAN}\n podman unshare rm -rf {}/store {}/run",
        path.display(),
        path.display()
    ))
    .run();
}
