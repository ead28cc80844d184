//! Checking every object of a repository that one image is in, with everything warm.

use crate::bench::{Bench, argv};
use crate::contest::{self, Row, Unit};
use crate::goals::Goal;
use crate::{pull, tools};

const BERTH: &str = "berth repo fsck";
const OSTREE: &str = "ostree fsck";
/// Of stock's time.
const SHARE_MAX: f64 = 0.2;

/// Both check the very same repository.
pub fn fsck(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let name = bench.large();
    let image = bench.image(name)?;
    let store = bench.fresh_dir("store");
    pull::with_berth(bench, &image, &store)?;
    let found = bench.ask(&store, &["repo", "fsck", "--json"])?;
    let contenders: &[&str] = if tools::installed("ostree") {
        &[BERTH, OSTREE]
    } else {
        &[BERTH]
    };
    let title = format!("fsck {name}: {} objects, warm", found["objects"]);
    let mut row = Row::new(title, Unit::Seconds, contenders.iter().copied());
    row.bytes = found["bytes"].as_u64();
    let repo = store.join("repo");
    contest::rounds(bench, &mut row, |bench, at| {
        let argv = match contenders[at] {
            BERTH => bench.berth(&store, &["repo", "fsck"]),
            _ => argv!["ostree", "fsck", "--repo", &repo],
        };
        bench.time(argv)
    });
    row.goals.push(Goal {
        what: format!("time of fsck of {name} beside {OSTREE}"),
        limit: SHARE_MAX,
        unit: "×",
        found: row.share_of(1),
    });
    bench.remove(&store);
    Ok(vec![row])
}
