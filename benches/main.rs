//! berth beside the programs that it replaces, on the same images, by the same ordinary user.
//!
//! Every section runs its contenders in interleaved rounds, each time starting with another one, and
//! reports medians. `make bench` takes `QUICK=1`, which is two rounds of the small images, `ROUNDS=n`
//! and `ONLY=fsck,gc`, the names of sections. A missed goal fails it, but not a quick look, since
//! goals are for the large image. `BERTH_BIN` is the berth to measure, a release build, which this harness need not be.
//!
//! ```text
//! place       a fresh journaled ext4, mounted where nobody else sees it and gone when we are
//! stopwatch   a process of the ordinary user's that runs commands and says what they cost
//! contest     interleaved rounds and what they gave;  table  how that is printed
//! goals       what berth is to reach, and whether it did
//! pull, checkout, fsck, verify, gc, gc_scaling, hashes, memory, start, sizes, exec   the sections
//! bundle      what runc and crun are given;  synthetic  many small images
//! ```
#![allow(
    unreachable_pub,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own, whose product is what it prints"
)]

mod bench;
mod bundle;
mod checkout;
mod contest;
mod exec;
mod fsck;
mod gc;
mod gc_scaling;
mod goals;
mod hashes;
mod images;
mod memory;
mod place;
mod pull;
mod rusage;
mod sizes;
mod start;
mod stopwatch;
#[path = "../tests/support/mod.rs"]
#[allow(
    unused_imports,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "made for the tests, and a bench without its materials may panic"
)]
mod support;
mod synthetic;
mod table;
mod tools;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use bench::Bench;
use contest::Row;
use goals::Goal;
use place::Place;

/// What is measured together.
struct Section {
    /// What `ONLY` calls it; more than one may have the same.
    name: &'static str,
    /// Whether it is part of a quick look.
    quick: bool,
    run: fn(&mut Bench) -> Result<Vec<Row>, String>,
}

const fn section(
    name: &'static str,
    quick: bool,
    run: fn(&mut Bench) -> Result<Vec<Row>, String>,
) -> Section {
    Section { name, quick, run }
}

const SECTIONS: [Section; 15] = [
    section("pull", true, |bench| {
        pull::pull_with_next(bench, "redis", "redis-next")
    }),
    section("checkout", true, |bench| checkout::checkout(bench, "redis")),
    section("pull", false, |bench| pull::pull(bench, "python")),
    section("pull", false, |bench| pull::pull_zstd(bench, "python-zstd")),
    section("pull", true, pull::again),
    section("checkout", false, |bench| {
        checkout::checkout(bench, "python")
    }),
    section("fsck", true, fsck::fsck),
    section("verify", true, verify::verify),
    section("gc", true, gc::gc),
    section("scaling", true, gc_scaling::scaling),
    section("hashes", true, hashes::hashes),
    section("memory", true, memory::memory),
    section("start", true, start::start),
    section("start", true, sizes::sizes),
    section("exec", true, exec::exec),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.iter().any(|arg| arg == stopwatch::FLAG) {
        return stopwatch::serve();
    }
    if let Some((_, rest)) = arguments
        .split_first()
        .filter(|(first, _)| *first == synthetic::FLAG)
    {
        return synthetic::serve(rest);
    }
    match place::enter() {
        place::Entered::Elsewhere(code) => code,
        place::Entered::Here(place) => match measure(&place) {
            Ok(code) => code,
            Err(why) => {
                eprintln!("error: {why}");
                ExitCode::FAILURE
            }
        },
    }
}

/// The sections that were asked for.
fn chosen(quick: bool) -> Result<Vec<&'static Section>, String> {
    let only = std::env::var("BERTH_BENCH_ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|it| !it.is_empty()).collect();
    if let Some(odd) = only
        .iter()
        .find(|name| SECTIONS.iter().all(|it| it.name != **name))
    {
        let mut names = SECTIONS.map(|it| it.name).to_vec();
        names.sort_unstable();
        names.dedup();
        return Err(format!(
            "no section {odd:?}: there are {}",
            names.join(", ")
        ));
    }
    let is_chosen =
        |it: &&Section| (it.quick || !quick) && (only.is_empty() || only.contains(&it.name));
    Ok(SECTIONS.iter().filter(is_chosen).collect())
}

/// Runs the sections, and prints one table at the end, also of what was measured before a failure.
fn measure(place: &Place) -> Result<ExitCode, String> {
    let mut bench = Bench::new(place)?;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for section in chosen(bench.quick)? {
        match (section.run)(&mut bench) {
            Ok(more) => rows.extend(more),
            Err(why) => failures.push(format!("{}: {why}", section.name)),
        }
    }

    println!(
        "\nberth beside its peers: medians of interleaved rounds [min–max]; × is the ratio to the first line\n"
    );
    for row in &rows {
        println!("{}", table::draw(row));
    }
    println!("{}\n{}", table::LEGEND, place.note);
    println!("\n{}", tools::versions(&bench));
    let goals: Vec<&Goal> = rows.iter().flat_map(|row| &row.goals).collect();
    if !goals.is_empty() {
        let note = if bench.quick {
            " (a quick look, at smaller images, fails for none)"
        } else {
            ""
        };
        println!("\nGoals{note}");
    }
    for goal in &goals {
        println!("{}", goal.describe());
    }
    failures.extend(rows.iter().flat_map(Row::failures));
    for failure in &failures {
        println!("\nFAILED: {failure}");
    }
    let missed = !bench.quick && goals.iter().any(|it| it.is_missed());
    Ok(if failures.is_empty() && !missed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
