//! `cargo xtask bench`: what things cost, side by side in one run.

use anyhow::Result;
use clap::{Args, Subcommand};

/// A million bans, beside ipset and fail2ban.
mod bans;
/// Log lines, beside fail2ban-regex.
mod filters;
/// Calls under a flood with forged sources.
mod flood;
/// The gate, by `BPF_PROG_TEST_RUN`.
mod gate;
/// What iptables adds to a packet, over a veth pair.
mod iptables;
/// A log in force.
mod logs;
/// How fast an attacker is banned, under a flood.
mod reaction;
/// Messages, the engine and replay.
mod sip;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A million bans: in, back after a restart, looked at; beside `ipset restore` and fail2ban
    Bans(bans::BansArgs),
    /// Log lines a second through fail2ban's filters for sshd and Asterisk, beside fail2ban-regex
    Filters,
    /// Calls that go through while one core floods the server with forged sources: bare, behind iptables, behind Ringfence
    Flood(flood::FloodArgs),
    /// Nanoseconds per packet by the path that it takes through the gate, beside an empty program and iptables
    Gate,
    /// From a line in a log to the ban, and a large log followed
    Logs(logs::LogsArgs),
    /// From the packet that gives an attacker away to silence, at rest and while a flood with forged sources runs
    Reaction(reaction::ReactionArgs),
    /// Nanoseconds per SIP message, messages a second through the engine, and replay beside tshark
    Sip,
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Bans(args) => bans::run(args),
        What::Filters => filters::run_all(),
        What::Flood(args) => flood::run(args),
        What::Gate => gate::run(),
        What::Logs(args) => logs::run(args),
        What::Reaction(args) => reaction::run(args),
        What::Sip => sip::sip(),
    }
}

/// The middle one of some measurements; 0 of none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
