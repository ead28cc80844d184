//! From a registry on loopback to something that can be used.

use std::path::Path;

use crate::bench::{Argv, Bench, argv, record};
use crate::contest::{self, Row, Unit};
use crate::goals::Goal;
use crate::images::Image;
use crate::tools;

/// Of the time of each, for the large image.
const SHARES_MAX: [(&str, f64); 3] = [(PODMAN.name, 0.25), (UMOCI.name, 0.18), (CHAIN.name, 0.3)];
/// Of podman's user and system time.
const CPU_SHARE_MAX: f64 = 0.5;
/// For an image that has not changed.
const AGAIN_SECONDS_MAX: f64 = 0.3;
const AGAIN_REQUESTS_MAX: f64 = 2.0;

/// Of the first image's disk, for one of which 5 % of the base's files differ.
const GROWTH_PERCENT_MAX: f64 = 8.0;

/// Who pulls, and how.
struct Puller {
    name: &'static str,
    needs: &'static [&'static str],
    script: &'static str,
}

/// Scripts know `$berth`, `$store` (a folder), `$host` (of the registry), `$image` (a name),
/// `$layout` (the image as a local layout) and `$layers` (hex digests).
const BERTH: Puller = Puller {
    name: "berth pull",
    needs: &[],
    script: "exec \"$berth\" --root \"$store\" pull --tls-verify=false docker://$host/$image:latest",
};
const PODMAN: Puller = Puller {
    name: "podman pull",
    needs: &["podman"],
    script: "exec $podman pull -q --tls-verify=false $host/$image:latest",
};
const SKOPEO: Puller = Puller {
    name: "skopeo copy to oci: (blobs only)",
    needs: &["skopeo"],
    script: "exec skopeo --insecure-policy copy -q --src-tls-verify=false \
             docker://$host/$image:latest oci:$store:$image",
};
const UMOCI: Puller = Puller {
    name: "umoci unpack (of a local layout)",
    needs: &["umoci"],
    script: "exec umoci unpack --rootless --image $layout:latest \"$store/$image\"",
};
/// What Debian has of the chain that berth replaces: its skopeo has no `ostree:` transport.
const CHAIN: Puller = Puller {
    name: "skopeo oci: | ostree commit, by layer",
    needs: &["skopeo", "ostree"],
    script: "skopeo --insecure-policy copy -q --src-tls-verify=false \
                 docker://$host/$image:latest oci:$store/layout:$image
             [ -d \"$store/repo\" ] || ostree --repo=\"$store/repo\" init --mode=bare-user
             for layer in $layers; do
                 zcat \"$store/layout/blobs/sha256/$layer\" | ostree --repo=\"$store/repo\" commit \
                     --tree=tar=/dev/stdin --tar-autocreate-parents -b layer/$layer
             done
             rm -r \"$store/layout\"",
};
const PULLERS: [Puller; 5] = [BERTH, PODMAN, UMOCI, CHAIN, SKOPEO];

/// One image into an empty store.
pub fn pull(bench: &mut Bench, name: &str) -> Result<Vec<Row>, String> {
    let image = bench.image(name)?;
    let title = format!("pull {}", image.describe());
    let mut rows = run(bench, &PULLERS, &[(title, image)])?;
    rows.iter_mut().for_each(|row| add_goals(row, name));
    Ok(rows)
}

/// The same, with layers that only some can read.
pub fn pull_zstd(bench: &mut Bench, name: &str) -> Result<Vec<Row>, String> {
    let image = bench.image(name)?;
    let title = format!("pull {}", image.describe());
    let mut rows = run(bench, &[BERTH, PODMAN, SKOPEO], &[(title, image)])?;
    rows.iter_mut().for_each(|row| add_goals(row, name));
    Ok(rows)
}

fn add_goals(row: &mut Row, name: &str) {
    let at = |peer: &str| row.entries.iter().position(|it| it.name == peer);
    let wall = SHARES_MAX.iter().filter_map(|(peer, limit)| {
        let at = at(peer)?;
        Some((
            format!("time of {name} beside {peer}"),
            *limit,
            row.share_of(at),
        ))
    });
    let mut goals: Vec<_> = wall.collect();
    if let Some(podman) = at(PODMAN.name) {
        let what = format!("CPU time of {name} beside {}", PODMAN.name);
        goals.push((what, CPU_SHARE_MAX, row.cpu_share_of(podman)));
    }
    row.goals
        .extend(goals.into_iter().map(|(what, limit, found)| Goal {
            what,
            limit,
            unit: "×",
            found,
        }));
}

/// An image that is here already and has not changed.
pub fn again(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let image = bench.image(bench.large())?;
    let store = bench.fresh_dir("store");
    with_berth(bench, &image, &store)?;
    let title = format!("pull {} again", image.name);
    let mut row = Row::new(title, Unit::Milliseconds, [BERTH.name]);
    let before = bench.registry.requests().len();
    let mut pulls = 0.0;
    contest::rounds(bench, &mut row, |bench, _| {
        pulls += 1.0;
        let argv = BERTH.argv(bench, &image, &store, &store);
        bench.time(argv)
    });
    #[expect(clippy::cast_precision_loss, reason = "it is rounded for printing")]
    let requests = (bench.registry.requests().len() - before) as f64 / pulls;
    let walls = row.entries[0].sorted(|it| it.wall);
    row.goals.push(Goal {
        what: format!("time of pulling {} again", image.name),
        limit: AGAIN_SECONDS_MAX,
        unit: "s",
        found: contest::median(&walls).map(|it| it.as_secs_f64()),
    });
    row.goals.push(Goal {
        what: "requests of each".into(),
        limit: AGAIN_REQUESTS_MAX,
        unit: "",
        found: Some(requests),
    });
    bench.remove(&store);
    Ok(vec![row])
}

/// One image into an empty store, then another into the same.
pub fn pull_with_next(bench: &mut Bench, name: &str, next: &str) -> Result<Vec<Row>, String> {
    let images = [bench.image(name)?, bench.image(next)?];
    let titles = [
        format!("pull {}", images[0].describe()),
        format!("then pull {}", images[1].describe()),
    ];
    let pulls: Vec<_> = titles.into_iter().zip(images).collect();
    let mut rows = run(bench, &PULLERS, &pulls)?;
    let grown = |row: &Row| row.entries.first()?.grown_kib();
    if let [first, then] = rows.as_mut_slice() {
        let share = grown(first).zip(grown(then)).map(|(size, more)| {
            #[expect(clippy::cast_precision_loss, reason = "it is rounded for printing")]
            let share = more as f64 / size as f64;
            share * 100.0
        });
        then.goals.push(Goal {
            what: format!("disk that {next} takes beside {name}, of {name}'s"),
            limit: GROWTH_PERCENT_MAX,
            unit: "%",
            found: share,
        });
    }
    Ok(rows)
}

fn run(
    bench: &mut Bench,
    pullers: &[Puller],
    pulls: &[(String, Image)],
) -> Result<Vec<Row>, String> {
    let pullers: Vec<&Puller> = pullers.iter().filter(|it| it.possible()).collect();
    let row = |(title, _): &(String, Image)| {
        Row::new(
            title.clone(),
            Unit::Seconds,
            pullers.iter().map(|it| it.name),
        )
    };
    let mut rows: Vec<Row> = pulls.iter().map(row).collect();
    for round in 0..bench.rounds {
        for at in contest::order(pullers.len(), round) {
            let store = bench.fresh_dir("store");
            let layouts = bench.fresh_dir("layouts");
            for (row, (title, image)) in rows.iter_mut().zip(pulls) {
                let entry = &mut row.entries[at];
                if entry.failure.is_some() {
                    break;
                }
                eprintln!("{title}: {}, round {}", entry.name, round + 1);
                let local = layouts.join(&image.name);
                if pullers[at].name == UMOCI.name {
                    // umoci writes into a layout that it only reads.
                    bench.prepare(argv!["cp", "-r", &image.layout, &local])?;
                }
                let before = bench.disk_kib(&store);
                let argv = pullers[at].argv(bench, image, &store, &local);
                let cost = bench.time(argv)?;
                if !record(entry, cost) {
                    break;
                }
                let grown = bench.disk_kib(&store).saturating_sub(before);
                entry.disk_kib.push(grown);
            }
            bench.remove(&store);
            bench.remove(&layouts);
        }
    }
    Ok(rows)
}

impl Puller {
    fn possible(&self) -> bool {
        self.needs.iter().all(|program| tools::installed(program))
    }

    fn argv(&self, bench: &Bench, image: &Image, store: &Path, layout: &Path) -> Argv {
        let script = format!(
            "berth=$1 store=$2 host=$3 image=$4 layout=$5 layers=$6\n{}",
            self.script.replace("$podman", tools::PODMAN)
        );
        argv![
            "sh",
            "-euc",
            script,
            "sh",
            &bench.berth,
            store,
            bench.registry.host(),
            &image.name,
            layout,
            image.layers.join(" "),
        ]
    }
}

/// Pulls with berth into a store that is used afterwards. Returns the image's name in it.
pub fn with_berth(bench: &mut Bench, image: &Image, store: &Path) -> Result<String, String> {
    let argv = BERTH.argv(bench, image, store, store);
    bench.prepare(argv)?;
    Ok(format!("{}/{}:latest", bench.registry.host(), image.name))
}

/// Pulls with podman, likewise.
pub fn with_podman(bench: &mut Bench, image: &Image, store: &Path) -> Result<String, String> {
    let argv = PODMAN.argv(bench, image, store, store);
    bench.prepare(argv)?;
    Ok(format!("{}/{}:latest", bench.registry.host(), image.name))
}

/// Makes the chain's repository: one ref `layer/<hex>` for each layer.
pub fn with_chain(bench: &mut Bench, image: &Image, store: &Path) -> Result<(), String> {
    let argv = CHAIN.argv(bench, image, store, store);
    bench.prepare(argv)
}
