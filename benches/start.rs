//! How long `true` takes in a container of busybox, from the command to its end.
//!
//! All but podman run in an outer user namespace, made before, with cgroup2 over /sys/fs/cgroup: crun
//! refuses hosts with both kinds of cgroups. runc and crun find a bundle ready that asks for the same
//! namespaces and mounts as berth makes, with and without the same filter of system calls. podman and
//! one row of berth's start on the host itself, where both have the user's ranges of ids written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::{Argv, Bench, argv, record};
use crate::bundle::{self, Bundles};
use crate::contest::{self, Row, Unit};
use crate::goals::Goal;
use crate::stopwatch::{Cost, Stopwatch};
use crate::{pull, tools};

const ROUNDS: usize = 50;
const ROUNDS_QUICK: usize = 30;
const SAMPLE: Duration = Duration::from_micros(500);
/// On hosts with cgroup2 alone the mount is refused, and not needed.
pub const OUTER: [&str; 8] = [
    "unshare",
    "-Ur",
    "-m",
    "-C",
    "sh",
    "-euc",
    "mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || :; exec \"$@\"",
    "sh",
];

/// Who starts `true`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Starter {
    Berth { seccomp: bool },
    BerthOnHost,
    Podman,
    Runc { seccomp: bool },
    Crun { seccomp: bool },
    Bwrap,
    Unshare,
}

const STARTERS: [Starter; 10] = [
    Starter::Berth { seccomp: true },
    Starter::Berth { seccomp: false },
    Starter::BerthOnHost,
    Starter::Podman,
    Starter::Runc { seccomp: true },
    Starter::Runc { seccomp: false },
    Starter::Crun { seccomp: true },
    Starter::Crun { seccomp: false },
    Starter::Bwrap,
    Starter::Unshare,
];

impl Starter {
    fn name(self) -> &'static str {
        match self {
            Self::Berth { seccomp: true } => "berth run --rm --network none",
            Self::Berth { seccomp: false } => "berth run, no seccomp",
            Self::BerthOnHost => "berth run, on the host",
            Self::Podman => "podman run --rm --network=none",
            Self::Runc { seccomp: true } => "runc run, ready bundle",
            Self::Runc { seccomp: false } => "runc run, ready bundle, no seccomp",
            Self::Crun { seccomp: true } => "crun run, ready bundle",
            Self::Crun { seccomp: false } => "crun run, ready bundle, no seccomp",
            Self::Bwrap => "bwrap --unshare-all",
            Self::Unshare => "unshare -Ur true, no container",
        }
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Berth { .. } | Self::BerthOnHost => None,
            Self::Podman => Some("podman"),
            Self::Runc { .. } => Some("runc"),
            Self::Crun { .. } => Some("crun"),
            Self::Bwrap => Some("bwrap"),
            Self::Unshare => Some("unshare"),
        }
    }

    fn is_outer(self) -> bool {
        !matches!(self, Self::Podman | Self::BerthOnHost)
    }
}

/// The most that a start of berth may take, as a share of another's that does the same.
const GOALS: [(Starter, Starter, f64); 4] = [
    (
        Starter::Berth { seccomp: false },
        Starter::Crun { seccomp: false },
        1.0,
    ),
    (
        Starter::Berth { seccomp: true },
        Starter::Crun { seccomp: true },
        0.6,
    ),
    (
        Starter::Berth { seccomp: false },
        Starter::Runc { seccomp: false },
        0.45,
    ),
    (Starter::BerthOnHost, Starter::Podman, 0.15),
];

/// Everything that starts need.
struct Ready {
    berth: PathBuf,
    /// berth's and podman's, and where runc and crun keep their state.
    stores: [PathBuf; 3],
    /// The image's name in both stores.
    image: String,
    bundles: Bundles,
    outer: Stopwatch,
    started: u32,
}

pub fn start(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let starters: Vec<Starter> = STARTERS
        .into_iter()
        .filter(|it| it.program().is_none_or(tools::installed))
        .collect();
    let names = starters.iter().map(|it| it.name());
    let mut row = Row::new("start busybox true".into(), Unit::Milliseconds, names);
    let mut ready = prepare(bench, &starters, &mut row)?;

    // The first run, which warms up, is also the one whose memory is looked at.
    for (at, &starter) in starters.iter().enumerate() {
        let entry = &mut row.entries[at];
        if entry.failure.is_some() {
            continue;
        }
        one(bench, &mut ready, starter, None)?;
        let cost = one(bench, &mut ready, starter, Some(SAMPLE))?;
        entry.peak_bytes = cost.peak_bytes;
        if cost.code != 0 {
            record(entry, cost);
        }
    }
    bench.sync();
    let rounds = if bench.quick { ROUNDS_QUICK } else { ROUNDS };
    eprintln!("{}: {rounds} rounds", row.title);
    for round in 0..rounds {
        for at in contest::order(starters.len(), round) {
            let entry = &mut row.entries[at];
            if entry.failure.is_none() {
                let cost = one(bench, &mut ready, starters[at], None)?;
                record(entry, cost);
            }
        }
    }
    for store in &ready.stores {
        bench.remove(store);
    }
    let at = |starter| starters.iter().position(|it| *it == starter);
    for (ours, theirs, limit) in GOALS {
        let found = at(ours).zip(at(theirs));
        row.goals.push(Goal {
            what: format!("{} beside {}", ours.name(), theirs.name()),
            limit,
            unit: "×",
            found: found.and_then(|(ours, theirs)| row.share(ours, theirs)),
        });
    }
    Ok(vec![row])
}

fn prepare(bench: &mut Bench, starters: &[Starter], row: &mut Row) -> Result<Ready, String> {
    let image = bench.image("busybox")?;
    let stores = [
        bench.fresh_dir("berth"),
        bench.fresh_dir("podman"),
        bench.fresh_in_memory("state"),
    ];
    if let Err(why) = pull::with_berth(bench, &image, &stores[0]) {
        for (at, _) in starters
            .iter()
            .enumerate()
            .filter(|(_, it)| it.program().is_none())
        {
            row.entries[at].failure = Some(why.clone());
        }
    }
    if let Some(at) = starters.iter().position(|it| *it == Starter::Podman)
        && let Err(why) = pull::with_podman(bench, &image, &stores[1])
    {
        row.entries[at].failure = Some(why);
    }
    Ok(Ready {
        berth: bench.berth.clone(),
        stores,
        image: format!("{}/busybox:latest", bench.registry.host()),
        bundles: bundle::make(bench, &image, &["true"])?,
        outer: bench.another_stopwatch(&OUTER)?,
        started: 0,
    })
}

fn one(
    bench: &mut Bench,
    ready: &mut Ready,
    starter: Starter,
    sample: Option<Duration>,
) -> Result<Cost, String> {
    ready.started += 1;
    let argv = ready.argv(starter);
    if starter.is_outer() {
        let order = bench.order(argv, sample);
        ready.outer.time(&order)
    } else {
        bench.time_short(argv, sample)
    }
}

impl Ready {
    fn argv(&self, starter: Starter) -> Argv {
        let id = format!("bench-{}", self.started);
        let [ours, podmans, state] = &self.stores;
        match starter {
            Starter::Berth { .. } | Starter::BerthOnHost => {
                let mut argv = argv![
                    &self.berth,
                    "--root",
                    ours,
                    "run",
                    "--rm",
                    "--network",
                    "none"
                ];
                if (starter == Starter::Berth { seccomp: false }) {
                    argv.extend(argv!["--security-opt", "seccomp=unconfined"]);
                }
                argv.extend(argv![&self.image, "true"]);
                argv
            }
            Starter::Podman => podman(podmans, &self.image),
            Starter::Runc { seccomp } | Starter::Crun { seccomp } => {
                let program = starter.program().expect("it has one");
                let bundle = if seccomp {
                    &self.bundles.filtered
                } else {
                    &self.bundles.plain
                };
                argv![
                    program,
                    "--root",
                    state.join(program),
                    "run",
                    "--bundle",
                    bundle,
                    id
                ]
            }
            Starter::Bwrap => argv![
                "bwrap",
                "--unshare-all",
                "--bind",
                &self.bundles.rootfs,
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "true"
            ],
            Starter::Unshare => argv!["unshare", "-Ur", "true"],
        }
    }
}

/// What podman starts containers with: runc where its own choice, crun, refuses the host.
pub fn podmans_runtime() -> &'static str {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if unified { "crun" } else { "runc" }
}

fn podman(store: &Path, image: &str) -> Argv {
    let runtime = podmans_runtime();
    // Its default limits may be above what this host gives.
    let script = format!(
        "store=$1; exec {} --runtime {runtime} run --rm --network=none --pull=never \
         --ulimit nofile=1024:1024 \"$2\" true",
        tools::PODMAN
    );
    argv!["sh", "-euc", script, "sh", store, image]
}
