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
/// Filters on the disk, and the lines of logs.
mod disk;
/// Periods of time.
mod duration;
/// Exit statuses and the last words.
mod exit;
/// What commands ask of the daemon.
mod request;
/// The time zone of this host.
mod zone;

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Audit(args) => command::audit::run(&args),
        Command::Init(args) => command::init::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Convert(args) => command::convert::run(&args),
        Command::Run(args) => command::run::run(&args),
        Command::Stop(args) => command::stop::run(&args),
        Command::Reload(args) => command::reload::run(&args),
        Command::Replay(args) => command::replay::run(&args),
        Command::Status(args) => command::status::run(&args),
        Command::Bans(args) => command::bans::run(&args),
        Command::Ban(args) => command::ban::run(&args),
        Command::Unban(args) => command::unban::run(&args),
        Command::Why(args) => command::why::run(&args),
        Command::Trust(args) => command::trust::run(&args),
        Command::Top(args) => command::top::run(&args),
        Command::Confirm(args) => command::confirm::run(&args),
        Command::Panic(args) => command::panic::run(&args),
        Command::TestFilter(args) => command::test_filter::run(&args),
        Command::Completions(args) => command::generate::completions(&args),
        Command::Man(args) => command::generate::man(&args),
        Command::RollBack(args) => command::confirm::roll_back(&args),
        Command::Sessions(args) => command::helpers::sessions(&args),
        Command::Fetchers(args) => command::helpers::fetchers(&args),
        Command::Fetch(args) => command::helpers::fetch(&args),
        Command::Confined(args) => command::helpers::confined(&args),
    };
    done.unwrap_or_else(Exit::tell)
}
