//! An image back to the last byte of its layers' tars, with everything warm. No peer does that.

use crate::bench::Bench;
use crate::contest::{self, Row, Unit};
use crate::pull;

/// The rate is of the tars that are made again.
pub fn verify(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let image = bench.image(bench.large())?;
    let store = bench.fresh_dir("store");
    let name = pull::with_berth(bench, &image, &store)?;
    let found = bench.ask(&store, &["verify", "--json", &name])?;
    let sizes = found[0]["layers"].as_array().into_iter().flatten();
    let tar_bytes: u64 = sizes.filter_map(|it| it["size"].as_u64()).sum();
    let title = format!("verify {}: {} MiB of tar", image.name, tar_bytes >> 20);
    let mut row = Row::new(title, Unit::Seconds, ["berth verify"]);
    row.alone = true;
    row.bytes = Some(tar_bytes);
    contest::rounds(bench, &mut row, |bench, _| {
        let argv = bench.berth(&store, &["verify", &name]);
        bench.time(argv)
    });
    bench.remove(&store);
    Ok(vec![row])
}
