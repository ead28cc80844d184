//! How much memory each verb of the store takes at most. Looked at so often that times say little.

use std::path::Path;
use std::time::Duration;

use crate::bench::{Argv, Bench, argv, record};
use crate::contest::{Row, Unit};
use crate::goals::Goal;
use crate::images::Image;

const SAMPLE: Duration = Duration::from_millis(1);
/// What it takes at most hardly changes from round to round.
const ROUNDS_MAX: usize = 3;
const MIB_MAX: f64 = 64.0;

/// One after another, on the same store.
const VERBS: [&str; 6] = [
    "berth pull",
    "berth checkout",
    "berth verify",
    "berth repo fsck",
    "berth gc, nothing to do",
    "berth rmi, with its gc",
];

/// Pulls, uses and removes one image.
pub fn memory(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let image = bench.image(bench.large())?;
    let title = format!("memory with {}", image.name);
    let mut row = Row::new(title, Unit::Seconds, VERBS);
    row.alone = true;
    'rounds: for round in 0..bench.rounds.min(ROUNDS_MAX) {
        let (store, target) = (bench.fresh_dir("store"), bench.fresh("out"));
        for at in 0..VERBS.len() {
            let entry = &mut row.entries[at];
            eprintln!("{}: {}, round {}", row.title, entry.name, round + 1);
            bench.sync();
            let argv = argv_of(bench, at, &image, &store, &target);
            let cost = bench.time_short(argv, Some(SAMPLE))?;
            // What comes next needs what this one should have done.
            if !record(entry, cost) {
                break 'rounds;
            }
        }
        bench.remove(&target);
        bench.remove(&store);
    }
    let peaks: Option<Vec<u64>> = row.entries.iter().map(|it| it.peak()).collect();
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for printing")]
    let most = peaks
        .and_then(|it| it.into_iter().max())
        .map(|it| it as f64);
    row.goals.push(Goal {
        what: format!("the most memory that any verb takes with {}", image.name),
        limit: MIB_MAX,
        unit: "MiB",
        found: most.map(|bytes| bytes / f64::from(1 << 20)),
    });
    Ok(vec![row])
}

fn argv_of(bench: &Bench, at: usize, image: &Image, store: &Path, target: &Path) -> Argv {
    let name = format!("{}/{}:latest", bench.registry.host(), image.name);
    match at {
        0 => {
            let source = format!("docker://{name}");
            bench.berth(store, &["pull", "--tls-verify=false", &source])
        }
        1 => {
            let mut argv = bench.berth(store, &["checkout", &name]);
            argv.extend(argv![target]);
            argv
        }
        2 => bench.berth(store, &["verify", &name]),
        3 => bench.berth(store, &["repo", "fsck"]),
        4 => bench.berth(store, &["gc"]),
        _ => bench.berth(store, &["rmi", &name]),
    }
}
