//! How long `true` takes in a container of busybox that runs already, and what its supervisor holds meanwhile.
//!
//! All but podman run in an outer user namespace, made before, as in `start`.

use std::path::{Path, PathBuf};

use crate::bench::{Argv, Bench, argv, record};
use crate::bundle::{self, Bundles};
use crate::contest::{self, Row, Unit};
use crate::goals::Goal;
use crate::stopwatch::{Cost, Stopwatch};
use crate::{pull, start, tools};

const ROUNDS: usize = 50;
const ROUNDS_QUICK: usize = 20;
/// Of the time that `crun exec` takes.
const SHARE_MAX: f64 = 1.0;
const IDLE_MIB_MAX: f64 = 4.0;
const NAME: &str = "bench-exec";
const FOR_EVER: [&str; 2] = ["sleep", "1000000"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    Berth,
    Podman,
    Runc,
    Crun,
}

const RUNNERS: [Runner; 4] = [Runner::Berth, Runner::Podman, Runner::Runc, Runner::Crun];

impl Runner {
    fn name(self) -> &'static str {
        match self {
            Self::Berth => "berth exec",
            Self::Podman => "podman exec",
            Self::Runc => "runc exec",
            Self::Crun => "crun exec",
        }
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Berth => None,
            Self::Podman => Some("podman"),
            Self::Runc => Some("runc"),
            Self::Crun => Some("crun"),
        }
    }

    fn is_outer(self) -> bool {
        self != Self::Podman
    }
}

struct Ready {
    berth: PathBuf,
    stores: [PathBuf; 3],
    image: String,
    bundles: Bundles,
    outer: Stopwatch,
}

/// Runs `true` in a container that sleeps.
pub fn exec(bench: &mut Bench) -> Result<Vec<Row>, String> {
    let runners: Vec<Runner> = RUNNERS
        .into_iter()
        .filter(|it| it.program().is_none_or(tools::installed))
        .collect();
    let names = runners.iter().map(|it| it.name());
    let mut row = Row::new("exec true in busybox".into(), Unit::Milliseconds, names);
    let mut ready = prepare(bench, &runners, &mut row)?;
    let rounds = if bench.quick { ROUNDS_QUICK } else { ROUNDS };
    eprintln!("{}: {rounds} rounds", row.title);
    for round in 0..=rounds {
        for at in contest::order(runners.len(), round) {
            if row.entries[at].failure.is_none() {
                let argv = ready.exec(runners[at]);
                let cost = run(bench, &mut ready, runners[at], argv)?;
                if round > 0 || cost.code != 0 {
                    record(&mut row.entries[at], cost);
                }
            }
        }
    }
    row.goals.push(Goal {
        what: "exec beside crun".into(),
        limit: SHARE_MAX,
        unit: "×",
        found: runners
            .iter()
            .position(|it| *it == Runner::Crun)
            .and_then(|at| row.share_of(at)),
    });
    row.goals.push(Goal {
        what: "an idle supervisor's share of memory (PSS)".into(),
        limit: IDLE_MIB_MAX,
        unit: "MiB",
        found: idle_mib(bench, &ready),
    });
    for (at, &runner) in runners.iter().enumerate() {
        if row.entries[at].failure.is_none() {
            let argv = ready.remove(runner);
            run(bench, &mut ready, runner, argv)?;
        }
    }
    for store in &ready.stores {
        bench.remove(store);
    }
    Ok(vec![row])
}

fn prepare(bench: &mut Bench, runners: &[Runner], row: &mut Row) -> Result<Ready, String> {
    let image = bench.image("busybox")?;
    let stores = [
        bench.fresh_dir("berth"),
        bench.fresh_dir("podman"),
        bench.fresh_in_memory("state"),
    ];
    let mut ready = Ready {
        berth: bench.berth.clone(),
        image: format!("{}/busybox:latest", bench.registry.host()),
        bundles: bundle::make(bench, &image, &FOR_EVER)?,
        outer: bench.another_stopwatch(&start::OUTER)?,
        stores,
    };
    for (at, &runner) in runners.iter().enumerate() {
        let pulled = match runner {
            Runner::Berth => pull::with_berth(bench, &image, &ready.stores[0]).map(drop),
            Runner::Podman => pull::with_podman(bench, &image, &ready.stores[1]).map(drop),
            Runner::Runc | Runner::Crun => Ok(()),
        };
        let argv = ready.start(runner);
        let failure = match pulled {
            Err(why) => Some(why),
            Ok(()) => {
                let cost = run(bench, &mut ready, runner, argv)?;
                (cost.code != 0).then(|| cost.said.trim().to_owned())
            }
        };
        row.entries[at].failure = failure;
    }
    Ok(ready)
}

fn run(bench: &mut Bench, ready: &mut Ready, runner: Runner, argv: Argv) -> Result<Cost, String> {
    if runner.is_outer() {
        let order = bench.order(argv, None);
        ready.outer.time(&order)
    } else {
        bench.time_short(argv, None)
    }
}

impl Ready {
    fn start(&self, runner: Runner) -> Argv {
        let image = &self.image;
        match runner {
            Runner::Berth => self.berth(&[
                "run", "-d", "--network", "none", "--name", NAME, image, FOR_EVER[0], FOR_EVER[1],
            ]),
            Runner::Podman => self.podman(&format!(
                "--runtime {} run -d --network=none --pull=never --ulimit nofile=1024:1024 --name {NAME} {image} {} {}",
                start::podmans_runtime(),
                FOR_EVER[0],
                FOR_EVER[1]
            )),
            // Their container keeps what it is given open, and a stopwatch reads until nobody writes.
            Runner::Runc | Runner::Crun => {
                let program = runner.program().expect("it has one");
                argv![
                    "sh",
                    "-euc",
                    "exec \"$@\" </dev/null >/dev/null 2>&1",
                    "sh",
                    program,
                    "--root",
                    self.stores[2].join(program),
                    "run",
                    "--detach",
                    "--bundle",
                    &self.bundles.filtered,
                    NAME
                ]
            }
        }
    }

    fn exec(&self, runner: Runner) -> Argv {
        match runner {
            Runner::Berth => self.berth(&["exec", NAME, "true"]),
            Runner::Podman => self.podman(&format!("exec {NAME} true")),
            Runner::Runc | Runner::Crun => self.outer(runner, &["exec", NAME, "true"]),
        }
    }

    fn remove(&self, runner: Runner) -> Argv {
        match runner {
            Runner::Berth => self.berth(&["rm", "-f", NAME]),
            Runner::Podman => self.podman(&format!("rm -f -t 0 {NAME}")),
            Runner::Runc | Runner::Crun => self.outer(runner, &["delete", "--force", NAME]),
        }
    }

    fn berth(&self, words: &[&str]) -> Argv {
        let mut argv = argv![&self.berth, "--root", &self.stores[0]];
        argv.extend(words.iter().map(Into::into));
        argv
    }

    fn podman(&self, words: &str) -> Argv {
        let script = format!("store=$1; exec {} {words}", tools::PODMAN);
        argv!["sh", "-euc", script, "sh", &self.stores[1]]
    }

    fn outer(&self, runner: Runner, words: &[&str]) -> Argv {
        let program = runner.program().expect("it has one");
        let mut argv = argv![program, "--root", self.stores[2].join(program)];
        argv.extend(words.iter().map(Into::into));
        argv
    }
}

/// The proportional share of memory of the process that watches berth's container.
fn idle_mib(bench: &Bench, ready: &Ready) -> Option<f64> {
    let found = bench.ask(&ready.stores[0], &["inspect", NAME]).ok()?;
    let init = found.get(0)?.get("State")?.get("Pid")?.as_i64()?;
    let status = std::fs::read_to_string(format!("/proc/{init}/status")).ok()?;
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))?
        .trim();
    let rollup = Path::new("/proc").join(parent).join("smaps_rollup");
    let rollup = std::fs::read_to_string(rollup).ok()?;
    let kib: f64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()?;
    Some(kib / 1024.0)
}
