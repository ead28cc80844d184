//! Object ids of BLAKE3 beside those of SHA-256, which stock reads too: an import and a check of it.

use crate::bench::{Bench, record};
use crate::contest::{self, Row, Unit};

/// What `repo init` calls them.
const HASHES: [&str; 2] = ["sha256", "blake3"];

/// From a local layout, so that no registry takes a processor.
pub fn hashes(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let image = bench.image(bench.large())?;
    let source = format!("oci:{}:latest", image.layout.display());
    let steps: [(&str, &[&str]); 2] = [("pull", &["pull", &source]), ("fsck", &["repo", "fsck"])];
    let mut rows = steps.map(|(step, _)| {
        let title = match step {
            "pull" => format!("pull {} from a layout, by hash", image.name),
            _ => format!("{step} {}, warm, by hash", image.name),
        };
        Row::new(title, Unit::Seconds, HASHES)
    });
    for round in 0..bench.rounds {
        for at in contest::order(HASHES.len(), round) {
            let store = bench.fresh_dir("store");
            let init = ["repo", "init", "--hash", HASHES[at]];
            bench.prepare(bench.berth(&store, &init))?;
            for (row, (_, words)) in rows.iter_mut().zip(steps) {
                let entry = &mut row.entries[at];
                if entry.failure.is_some() {
                    break;
                }
                eprintln!("{}: {}, round {}", row.title, entry.name, round + 1);
                let cost = bench.time(bench.berth(&store, words))?;
                if !record(entry, cost) {
                    break;
                }
            }
            bench.remove(&store);
        }
    }
    Ok(rows.into())
}
