//! Whether gc costs what stays: the same few images are collected beside ever more that are kept.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::bench::{Bench, argv};
use crate::contest::{self, Row, Unit};
use crate::gc::count_objects;
use crate::stopwatch::Cost;
use crate::synthetic;

const KEPT: [u32; 3] = [100, 300, 1000];
const KEPT_QUICK: [u32; 3] = [10, 30, 100];
/// Numbers that no kept image has.
const GARBAGE: Range<u32> = 1_000_000..1_000_003;

/// A store, and the objects of the images that it keeps.
struct Kept {
    store: PathBuf,
    objects: u64,
}

/// The smallest store is first, and others are compared to it.
pub fn scaling(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let sizes = if bench.quick { KEPT_QUICK } else { KEPT };
    let mut stores = Vec::new();
    for images in sizes {
        let store = bench.fresh_dir("store");
        eprintln!("gc: {images} images are made");
        synthesize(bench, &store, 0..images)?;
        let objects = count_objects(&store)?;
        stores.push(Kept { store, objects });
    }
    let names: Vec<String> = sizes
        .iter()
        .zip(&stores)
        .map(|(images, kept)| format!("berth gc, {images} images kept ({} objects)", kept.objects))
        .collect();
    let title = format!("gc of {} small images", GARBAGE.len());
    let mut row = Row::new(title, Unit::Seconds, names.iter().map(String::as_str));
    contest::rounds(bench, &mut row, |bench, at| collect(bench, &stores[at]));
    for kept in &stores {
        bench.remove(&kept.store);
    }
    Ok(vec![row])
}

fn collect(bench: &mut Bench, kept: &Kept) -> Result<Cost, String> {
    synthesize(bench, &kept.store, GARBAGE)?;
    let names: Vec<String> = GARBAGE.map(synthetic::name).collect();
    let mut words = vec!["rmi", "--no-gc"];
    words.extend(names.iter().map(String::as_str));
    bench.prepare(bench.berth(&kept.store, &words))?;
    let before = count_objects(&kept.store)?;
    let cost = bench.time(bench.berth(&kept.store, &["gc"]))?;
    let left = count_objects(&kept.store)?;
    if cost.code == 0 && (before <= left || left != kept.objects) {
        let objects = kept.objects;
        return Err(format!("of {before} objects it left {left}, not {objects}"));
    }
    Ok(cost)
}

fn synthesize(bench: &mut Bench, store: &Path, numbers: Range<u32>) -> Result<(), String> {
    let (first, end) = (numbers.start.to_string(), numbers.end.to_string());
    bench.prepare(argv![bench.itself(), synthetic::FLAG, store, first, end])
}
