//! From a store to a directory of hard links, with everything warm.

use std::path::{Path, PathBuf};

use crate::bench::{Argv, Bench, argv};
use crate::contest::{self, Row, Unit};
use crate::images::Image;
use crate::{pull, tools};

const BERTH: &str = "berth checkout";
const OSTREE: &str = "ostree checkout --union -U -H --whiteouts, by layer";
const CP: &str = "cp -al of the result";

/// What is checked out, in every form that it is needed in.
struct Stored {
    image: Image,
    /// Its name in berth's store.
    name: String,
    /// Checked out already, for `cp`.
    copy: PathBuf,
}

/// Checks one image out again and again.
pub fn checkout(bench: &mut Bench, name: &str) -> Result<Vec<Row>, String> {
    let chained = tools::installed("ostree") && tools::installed("skopeo");
    let contenders: &[&str] = if chained {
        &[BERTH, OSTREE, CP]
    } else {
        &[BERTH]
    };
    let title = format!("checkout {name}, warm");
    let mut row = Row::new(title, Unit::Seconds, contenders.iter().copied());
    let image = bench.image(name)?;
    let (ours, theirs) = (bench.fresh_dir("berth"), bench.fresh_dir("chain"));
    let copy = bench.fresh("copy");
    if chained {
        let made = pull::with_chain(bench, &image, &theirs)
            .and_then(|()| bench.prepare(by_layer(&image, &theirs, &copy)));
        for entry in &mut row.entries[1..] {
            entry.failure = made.clone().err();
        }
    }
    let pulled = pull::with_berth(bench, &image, &ours);
    row.entries[0].failure = pulled.as_ref().err().cloned();
    let name = pulled.unwrap_or_default();
    let stored = Stored { image, name, copy };
    run(bench, &mut row, &stored, &ours, &theirs);
    for path in [&stored.copy, &ours, &theirs] {
        bench.remove(path);
    }
    Ok(vec![row])
}

fn run(bench: &mut Bench, row: &mut Row, stored: &Stored, ours: &Path, theirs: &Path) {
    let names: Vec<String> = row.entries.iter().map(|it| it.name.clone()).collect();
    contest::rounds(bench, row, |bench, at| {
        let target = bench.fresh("out");
        let argv = match names[at].as_str() {
            BERTH => argv![
                &bench.berth,
                "--root",
                ours,
                "checkout",
                &stored.name,
                &target
            ],
            OSTREE => by_layer(&stored.image, theirs, &target),
            _ => argv!["cp", "-al", &stored.copy, &target],
        };
        let cost = bench.time(argv);
        bench.remove(&target);
        cost
    });
}

/// The published recipe, with the flags that make it right.
fn by_layer(image: &Image, store: &Path, target: &Path) -> Argv {
    let script = "for layer in $3; do \
         ostree --repo=\"$1/repo\" checkout --union -U -H --whiteouts layer/$layer \"$2\"; done";
    argv![
        "sh",
        "-euc",
        script,
        "sh",
        store,
        target,
        image.layers.join(" ")
    ]
}
