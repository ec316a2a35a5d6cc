//! The command `ringfence`: what an administrator types, and the daemon behind it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Args, Command};
use crate::exit::Exit;

/// What may be typed.
mod cli;
/// One file per command.
mod command;
/// What `run` does until it is stopped.
mod daemon;
/// The engine at work, for `replay` and `run`.
mod detection;
/// Exit statuses and the last words.
mod exit;

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Check(args) => command::check::run(&args),
        Command::Convert(args) => command::convert::run(&args),
        Command::Run(args) => command::run::run(&args),
        Command::Stop(args) => command::stop::run(&args),
        Command::Reload(args) => command::reload::run(&args),
        Command::Replay(args) => command::replay::run(&args),
        Command::Status(args) => command::status::run(&args),
    };
    done.unwrap_or_else(Exit::tell)
}
