//! Removing one image of three: what only it needed goes, from a new copy of the same store each time.

use std::fs;
use std::path::Path;

use crate::bench::{Bench, argv};
use crate::contest::{self, Row, Unit};
use crate::goals::Goal;
use crate::stopwatch::Cost;
use crate::{pull, tools};

const BERTH: &str = "berth gc";
const OSTREE: &str = "ostree prune --refs-only";
/// Of stock's time.
const SHARE_MAX: f64 = 0.7;

/// What there is before, and must be after.
struct Garbage {
    /// Refs that berth finds outdated, which nobody tells stock.
    refs: Vec<String>,
    /// Objects that stay.
    left: u64,
}

/// The image's own names are gone already; what its layers hold is still there.
pub fn gc(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let removed = if bench.quick { "nginx" } else { "python" };
    let store = bench.fresh_dir("store");
    for name in ["redis", "redis-next", removed] {
        let image = bench.image(name)?;
        let name = pull::with_berth(bench, &image, &store)?;
        if image.name == removed {
            bench.prepare(bench.berth(&store, &["rmi", "--no-gc", &name]))?;
        }
    }
    let found = bench.ask(&store, &["gc", "--dry-run", "--json"])?;
    let refs = found["refs"].as_array().into_iter().flatten();
    let refs: Vec<String> = refs
        .filter_map(|it| it.as_str())
        .map(str::to_owned)
        .collect();
    let goes = found["objects"].as_u64().unwrap_or_default();
    let left = count_objects(&store)?.saturating_sub(goes);
    if refs.is_empty() || goes == 0 {
        return Err(format!("gc of {removed}: there is nothing to collect"));
    }
    let garbage = Garbage { refs, left };

    let contenders: &[&str] = if tools::installed("ostree") {
        &[BERTH, OSTREE]
    } else {
        &[BERTH]
    };
    let title = format!("gc of {removed}: {goes} objects go, {left} stay");
    let mut row = Row::new(title, Unit::Seconds, contenders.iter().copied());
    contest::rounds(bench, &mut row, |bench, at| {
        let copy = bench.fresh("copy");
        bench.prepare(argv!["cp", "-a", &store, &copy])?;
        let cost = collect(bench, contenders[at], &copy, &garbage);
        bench.remove(&copy);
        cost
    });
    row.goals.push(Goal {
        what: format!("time of gc of {removed} beside {OSTREE}"),
        limit: SHARE_MAX,
        unit: "×",
        found: row.share_of(1),
    });
    bench.remove(&store);
    Ok(vec![row])
}

fn collect(
    bench: &mut Bench,
    contender: &str,
    store: &Path,
    garbage: &Garbage,
) -> Result<Cost, String> {
    let argv = match contender {
        BERTH => bench.berth(store, &["gc"]),
        _ => {
            let repo = store.join("repo");
            let mut delete = argv!["ostree", "refs", "--repo", &repo, "--delete"];
            delete.extend(garbage.refs.iter().map(Into::into));
            bench.prepare(delete)?;
            argv!["ostree", "prune", "--repo", &repo, "--refs-only"]
        }
    };
    let cost = bench.time(argv)?;
    let left = count_objects(store)?;
    if cost.code == 0 && left != garbage.left {
        return Err(format!("it left {left} objects, not {}", garbage.left));
    }
    Ok(cost)
}

/// All files below `objects` of a store's repository.
pub fn count_objects(store: &Path) -> Result<u64, String> {
    let list = |path: &Path| {
        fs::read_dir(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| format!("{}: {e}", path.display()))
    };
    let mut count = 0;
    for dir in list(&store.join("repo/objects"))? {
        count += list(&dir.path())?.len() as u64;
    }
    Ok(count)
}
