//! Whether a start takes longer when the image is large: python has 29,600 files, busybox 300.
//!
//! Both run the same static program, which is mounted into them: what the loader of one image does is no part of it.

use crate::bench::{Bench, argv, record};
use crate::contest::{self, Row, Unit};
use crate::goals::Goal;
use crate::images::Image;
use crate::pull;

const ROUNDS: usize = 50;
const ROUNDS_QUICK: usize = 20;
const SHARE_MAX: f64 = 1.1;

/// Starts the same program in a large image and in a small one.
pub fn sizes(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let images: Vec<Image> = [bench.large(), "busybox"]
        .into_iter()
        .map(|name| bench.image(name))
        .collect::<Result<_, _>>()?;
    let store = bench.fresh_dir("store");
    for image in &images {
        pull::with_berth(bench, image, &store)?;
    }
    let program = bench.fresh("busybox");
    let small = format!("{}/busybox:latest", bench.registry.host());
    bench.prepare(argv![
        "sh",
        "-euc",
        "\"$1\" --root \"$2\" cat \"$3\" /bin/busybox >\"$4\"; chmod 755 \"$4\"",
        "sh",
        &bench.berth,
        &store,
        &small,
        &program,
    ])?;
    let names = images.iter().map(|image| image.name.as_str());
    let mut row = Row::new("start a static true in".into(), Unit::Milliseconds, names);
    let rounds = if bench.quick { ROUNDS_QUICK } else { ROUNDS };
    eprintln!("{}: {rounds} rounds", row.title);
    for round in 0..=rounds {
        for at in contest::order(images.len(), round) {
            let name = format!("{}/{}:latest", bench.registry.host(), images[at].name);
            let volume = format!("{}:/true:ro", program.display());
            let mut argv = bench.berth(&store, &["run", "--rm", "--network", "none"]);
            argv.extend(argv!["--entrypoint", "/true", "-v", volume, name, "true"]);
            let cost = bench.time_short(argv, None)?;
            if round > 0 || cost.code != 0 {
                record(&mut row.entries[at], cost);
            }
        }
    }
    bench.remove(&store);
    row.goals.push(Goal {
        what: format!("start in {} beside busybox", images[0].name),
        limit: SHARE_MAX,
        unit: "×",
        found: row.share_of(1),
    });
    Ok(vec![row])
}
