//! berth beside the programs that it replaces, on the same images, by the same ordinary user.
//!
//! Every section runs its contenders in interleaved rounds, each time starting with another one, and
//! reports medians. `make bench` takes `QUICK=1`, which is two rounds of the small images, and
//! `ROUNDS=n`. `BERTH_BIN` is the berth to measure, a release build, which this harness need not be.
//!
//! ```text
//! place       a fresh journaled ext4, mounted where nobody else sees it and gone when we are
//! stopwatch   a process of the ordinary user's that runs commands and says what they cost
//! contest     interleaved rounds and what they gave;  table  how that is printed
//! pull, checkout, start   the sections;  bundle  what runc and crun are given
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
mod images;
mod place;
mod pull;
mod rusage;
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
mod table;
mod tools;

use std::process::ExitCode;

use bench::Bench;
use contest::Row;
use place::Place;

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == stopwatch::FLAG) {
        return stopwatch::serve();
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

/// Runs every section, and prints one table at the end, also of what was measured before a failure.
fn measure(place: &Place) -> Result<ExitCode, String> {
    let mut bench = Bench::new(place)?;
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let mut add = |section: Result<Vec<Row>, String>| match section {
        Ok(more) => rows.extend(more),
        Err(why) => failures.push(why),
    };
    add(pull::pull_with_next(&mut bench, "redis", "redis-next"));
    add(checkout::checkout(&mut bench, "redis"));
    if !bench.quick {
        add(pull::pull(&mut bench, "python"));
        add(checkout::checkout(&mut bench, "python"));
    }
    add(start::start(&mut bench).map(|row| vec![row]));

    println!(
        "\nberth beside its peers: medians of interleaved rounds [min–max]; × is the ratio to berth\n"
    );
    for row in &rows {
        println!("{}", table::draw(row));
    }
    println!("{}\n{}", table::LEGEND, place.note);
    println!("\n{}", tools::versions(&bench));
    failures.extend(rows.iter().flat_map(Row::failures));
    for failure in &failures {
        println!("\nFAILED: {failure}");
    }
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
