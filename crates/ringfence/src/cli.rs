//! What may be typed: the definitions from which help, man pages and completions are made.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::command::replay::LocalNetwork;

/// Where a daemon's socket and lock are, if nothing else is said.
pub(crate) const DEFAULT_RUN_DIR: &str = "/run/ringfence";
/// Where the gate is pinned, if nothing else is said.
pub(crate) const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/ringfence";

/// A SIP firewall: drops scanners in the kernel, before the PBX sees them
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say whether a policy is right, and if not, where and why
    Check(CheckArgs),
    /// Judge the packets of captures as the policy would
    Replay(ReplayArgs),
    /// Turn a rule file of iptables-save into a TOML policy, on stdout
    Convert(ConvertArgs),
    /// Guard this host until stopped
    Run(RunArgs),
    /// Stop the daemon; the gate goes on, unless `--clean` is given
    Stop(StopArgs),
    /// Make the daemon read its policy again
    Reload(DaemonArgs),
    /// Show what is guarded, what was dropped, and whether the kernel agrees
    Status(StatusArgs),
}

/// How something is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line, for programs
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ConvertArgs {
    /// A file that iptables-save or ip6tables-save wrote
    pub(crate) file: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// A TOML policy, or a file that iptables-save or ip6tables-save wrote
    pub(crate) policy: PathBuf,
    /// How the answer is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Judge the packets of captures as the policy would
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = REPLAY_HELP)]
pub(crate) struct ReplayArgs {
    /// A TOML policy, or a file that iptables-save or ip6tables-save wrote
    #[arg(long, value_name = "POLICY", default_value = "/etc/ringfence/policy.toml")]
    pub(crate) policy: PathBuf,
    /// An address or network of the guarded host; may be given several times [default: told from the SIP requests]
    #[arg(long, value_name = "ADDR")]
    pub(crate) local: Vec<LocalNetwork>,
    /// The interface of frames for which the capture names none
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// Whether a wrong UDP, TCP or ICMP checksum of an arriving packet makes it INVALID, as in the kernel
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(crate) checksums: Checksums,
    /// How the verdicts are shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Show the packets that are accepted, too
    #[arg(long)]
    pub(crate) all: bool,
    /// pcap or pcapng files, plain or gzip
    #[arg(required = true, value_name = "CAPTURE")]
    pub(crate) captures: Vec<PathBuf>,
}

const REPLAY_HELP: &str = "\
Captures are judged one after another. One that begins where the one before ended, or later, goes on with its connections; \
one that begins earlier starts afresh.

Packets to the local addresses, and broadcasts, go through INPUT; packets from them through OUTPUT. Packets between others go \
through FORWARD where --local was given; else they are not judged.

What the engine finds (docs/detectors.md) stands between the packets: evidence, alerts, limits and bans. A policy that puts them in \
force (not one of iptables-save) drops what banned and limited sources send to its SIP ports.

Reasons: banned and limited (see there), signature (a rule that looks for text led to the verdict; `rule` is its name, or the text), trusted and blocked (networks \
of a TOML policy), rule (`rule` is its name, or its chain and line), policy (the end of a chain), broken-header (a rule found a \
header that is not all there), malformed (Linux discards it on arrival), fragment (its fragments contradict each other), \
fragment-timeout (they did not all come), hop-limit (it was to be forwarded and has no hop left), conntrack-full, no-rules \
(no filter for this family), not-ip, not-local.

Under a TOML policy that searches TCP, connections are followed as `run` does, so that a text divided between segments is found: \
ended-connection (a signature was found in it before), out-of-order-segment (it comes before its turn; the sender repeats it), \
rewritten-segment (it repeats what went through, with other bytes), fragmented-segment (TCP in IP fragments).";

/// What to do about transport checksums.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Checksums {
    /// Verify, unless most are wrong: then they were not there yet when the capture was made
    #[default]
    Auto,
    /// Verify them all
    Verify,
    /// Take them all for right
    Ignore,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// A TOML policy, or a file that iptables-save or ip6tables-save wrote
    #[arg(long, value_name = "POLICY", default_value = "/etc/ringfence/policy.toml")]
    pub(crate) policy: PathBuf,
    /// Guard this interface only, now or when it appears; may be given several times [default: all]
    #[arg(long = "interface", value_name = "IF")]
    pub(crate) interfaces: Vec<String>,
    /// Judge, count and log, but let everything through
    #[arg(long)]
    pub(crate) observe: bool,
    /// Where events are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ringfence")]
    pub(crate) state_dir: PathBuf,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Where the kernel keeps the gate alive; on a bpf file system, which is mounted if there is none
    #[arg(long, value_name = "DIR", default_value = DEFAULT_PIN_DIR)]
    pub(crate) pin_dir: PathBuf,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct DaemonArgs {
    /// Where the daemon's control socket is
    #[arg(long, value_name = "DIR", default_value = DEFAULT_RUN_DIR)]
    pub(crate) run_dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Take everything off: the gate, its pins, the nftables table. Works without a daemon, too
    #[arg(long)]
    pub(crate) clean: bool,
    /// The pins to remove, where the run directory does not tell them
    #[arg(long, value_name = "DIR")]
    pub(crate) pin_dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// How the answer is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Args::command().debug_assert();
    }
}
