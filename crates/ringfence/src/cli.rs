//! What may be typed: the definitions from which help, man pages and completions are made.

mod audit;
/// `test-filter`
mod filter;
/// `init`
mod init;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use ledger::{Net, NetError};

pub(crate) use audit::AuditArgs;

use crate::command::replay::LocalNetwork;
use crate::duration;
pub(crate) use filter::TestFilterArgs;
pub(crate) use init::InitArgs;

/// Where a daemon's socket and lock are, if nothing else is said.
pub(crate) const DEFAULT_RUN_DIR: &str = "/run/ringfence";
/// The policy, if nothing else is said.
pub(crate) const DEFAULT_POLICY: &str = "/etc/ringfence/policy.toml";
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
    /// Write a policy for this very host: what listens, what the PBX is told, and who administers it
    Init(InitArgs),
    /// Say whether a policy is right, and if not, where and why
    Check(CheckArgs),
    /// Judge the packets of captures as the policy would
    Replay(ReplayArgs),
    /// Turn a rule file of iptables-save, or fail2ban's jails, into a TOML policy, on stdout
    Convert(ConvertArgs),
    /// Guard this host until stopped
    Run(RunArgs),
    /// Stop the daemon; the gate goes on, unless `--clean` is given
    Stop(StopArgs),
    /// Make the daemon read its policy again
    Reload(ReloadArgs),
    /// Show what is guarded, what was dropped, and whether the kernel agrees
    Status(StatusArgs),
    /// Show the bans in force, or export them
    Bans(BansArgs),
    /// Ban an address or a network, or one a line from stdin
    Ban(BanArgs),
    /// End bans: of an address, of a network and all in it, or all by one detector or feed
    Unban(UnbanArgs),
    /// Tell the whole story of an address: what it did, what was decided, and when that ends
    Why(WhyArgs),
    /// Never ban an address, a network or a name; without one, show what is trusted
    Trust(TrustArgs),
    /// Watch it live
    Top(TopArgs),
    /// Keep what `run --confirm` or `reload --confirm` put in force
    Confirm(DaemonArgs),
    /// Take everything off at once: daemon, gate, nftables table; needs no daemon
    Panic(PanicArgs),
    /// Say what is weak about the PBX's own configuration, and how to mend it
    Audit(AuditArgs),
    /// Show what a filter of fail2ban finds in a log
    TestFilter(TestFilterArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Write the man pages into a folder
    Man(ManArgs),
    /// What `--confirm` leaves to wait
    #[command(hide = true)]
    RollBack(RollBackArgs),
    /// Looks who is logged in, for the daemon
    #[command(hide = true)]
    Sessions(HelperArgs),
    /// Starts those that ask servers for lists
    #[command(hide = true)]
    Fetchers(HelperArgs),
    /// Asks one server for one list
    #[command(hide = true)]
    Fetch(HelperArgs),
    /// Runs a program with what the daemon has left
    #[command(hide = true)]
    Confined(ConfinedArgs),
}

/// How bans are shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum BansFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line, for programs
    Json,
    /// For `ipset restore`
    Ipset,
    /// For `nft -f`
    Nft,
    /// An address or network a line
    Plain,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct BansArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// How they are shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: BansFormat,
    /// Only by `detector`, `operator`, `feed` or `feed:NAME`
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
    /// Only for this reason, such as `password-guessing`
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Only in this network
    #[arg(long, value_name = "NET")]
    pub(crate) within: Option<Net>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct BanArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// An address, a network such as 203.0.113.0/24, or `-` for one a line from stdin
    #[arg(value_name = "ADDR|NET|-")]
    pub(crate) target: Target,
    /// For how long, such as 90s, 2h, 7d [default: until it is lifted]
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(crate) period: Option<Duration>,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    pub(crate) reason: String,
    /// From every port, not only from those of SIP
    #[arg(long)]
    pub(crate) all_ports: bool,
    /// For a program that bans: `feed:PROGRAM.WHAT`, such as `feed:fail2ban.asterisk` [default: `operator`]
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
}

/// What to ban.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    Net(Net),
    /// One a line from stdin.
    Stdin,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            Ok(Self::Stdin)
        } else {
            text.parse().map(Self::Net).map_err(|error: NetError| error.to_string())
        }
    }
}

#[derive(Clone, Debug, ClapArgs)]
#[group(id = "what", required = true, multiple = true, args = ["target", "reason", "by"])]
pub(crate) struct UnbanArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// An address, or a network and everything in it
    #[arg(value_name = "ADDR|NET")]
    pub(crate) target: Option<Net>,
    /// Only for this reason, such as `password-guessing`; without an address, all for it
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// Only by `detector`, `operator`, `feed` or `feed:NAME`; without an address, all by them
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
    /// Do not ban it again for so long, whatever it does
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) grace: Option<Duration>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// An address
    #[arg(value_name = "ADDR")]
    pub(crate) address: IpAddr,
    /// How the answer is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct TrustArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// An address, a network, or a DNS name whose addresses are followed
    #[arg(value_name = "ADDR|NET|NAME")]
    pub(crate) what: Option<String>,
    /// Trust it no more
    #[arg(long, requires = "what")]
    pub(crate) remove: bool,
    /// What it is, for whoever asks later
    #[arg(long, value_name = "TEXT", requires = "what", default_value = "")]
    pub(crate) note: String,
    /// How the list is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) every: u64,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct PanicArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// The pins to remove, where the run directory does not tell them
    #[arg(long, value_name = "DIR")]
    pub(crate) pin_dir: Option<PathBuf>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct RollBackArgs {
    #[arg(long)]
    pub(crate) after_ms: u64,
    #[arg(long)]
    pub(crate) token: String,
    #[arg(long)]
    pub(crate) run_dir: PathBuf,
    #[arg(long)]
    pub(crate) pin_dir: PathBuf,
    #[arg(long)]
    pub(crate) state_dir: PathBuf,
    #[arg(long = "interface")]
    pub(crate) interfaces: Vec<String>,
    /// There is a policy to go back to.
    #[arg(long)]
    pub(crate) earlier: bool,
}

/// Of processes that the daemon starts.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct HelperArgs {
    #[arg(long)]
    pub(crate) no_confine: bool,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ConfinedArgs {
    /// Folders that may be written to
    #[arg(long, value_name = "DIR")]
    pub(crate) writable: Vec<PathBuf>,
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
    /// Go back to the policy before after so long, unless `ringfence confirm` comes before, even if the daemon dies
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) confirm: Option<Duration>,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ManArgs {
    /// Where they go; the folder must be there
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
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
    /// A file that iptables-save or ip6tables-save wrote, or fail2ban's jail.local or jail.conf
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
    /// Where the ledger of bans and the events are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ringfence")]
    pub(crate) state_dir: PathBuf,
    /// Go back after so long, unless `ringfence confirm` comes before, even if the daemon dies: to the policy that was in force
    /// when this began, or to none
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) confirm: Option<Duration>,
    /// Let members of this group use the control socket
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Keep all that it was started with: every capability, system call and file (SECURITY.md). For finding out whether that is
    /// what breaks something; `status` says so
    #[arg(long)]
    pub(crate) no_confine: bool,
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
    /// Compare every ban in the kernel with the ledger, too, and repair what differs
    #[arg(long)]
    pub(crate) verify: bool,
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
