//! berth: pulls container images into an OSTree-format store, checks them out with hard links, runs them without root.
//!
//! This package only reads the command line and the environment, calls one library function per command and prints
//! what came out. Processes that enter libcontainer are this binary again, started afresh; they are told apart before
//! anything else happens, since they must never have a second thread.

mod args;
mod atomic;
mod auth;
mod called;
mod cmd;
mod context;
mod create;
mod holders;
mod hosts;
mod meter;
mod moment;
mod oci;
mod platform;
mod problem;
mod progress;
mod prompt;
mod quick;
mod report;
mod services;
mod template;
mod units;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    if let Some(code) = cmd::supervise::dispatch() {
        return code;
    }
    let argv = called::command_line(std::env::args_os().collect());
    let (argv, words) = called::split(argv);
    let mut args = match quick::parse(&argv).unwrap_or_else(|| args::Args::try_parse_from(&argv)) {
        Ok(args) => args,
        Err(error) => return report::usage(&error),
    };
    args.command.give(words);
    let context = match context::Context::new(&args.global) {
        Ok(context) => context,
        Err(failure) => return failure.report(),
    };
    match args.command.run(&context) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
