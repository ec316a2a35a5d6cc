//! The task runner: everything that is done with this project is one `cargo xtask` command.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to people")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod bpf;
mod checks;
mod deb;
mod demo;
mod install;
mod kernels;
mod labs;
mod step;
mod storm;

/// Tasks of the Ringfence project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing (as root), then run every check and every test
    Test(checks::TestArgs),
    /// What continuous integration runs: the same as `test`
    Ci(checks::CiArgs),
    /// Guard a real Asterisk in namespaces and show what attackers and a phone get
    Demo(demo::DemoArgs),
    /// Put up, use and take down a lab for people: Asterisk, an attacker and a phone in namespaces
    Lab(labs::LabArgs),
    /// Rebuild the kernel object in `bpf/`, or say whether it belongs to the sources
    Bpf(bpf::BpfArgs),
    /// Load and test the kernel object on every supported kernel, in emulated machines
    Kernels(kernels::KernelsArgs),
    /// Make a Debian package, and try it
    Deb(deb::DebArgs),
    /// Measure what a packet costs
    Bench(bench::BenchArgs),
    /// Ten million random and mutated SIP messages through one engine: no panic, and memory within its bound
    Storm(storm::StormArgs),
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Test(args) => checks::test(&args),
        Task::Ci(args) => checks::ci(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Lab(args) => return labs::run(&args),
        Task::Bpf(args) => bpf::run(&args),
        Task::Kernels(args) => kernels::run(&args),
        Task::Deb(args) => deb::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Storm(args) => storm::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root directory.
fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// Where cargo builds to.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
