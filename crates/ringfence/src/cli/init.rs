//! `ringfence init`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::DEFAULT_POLICY;

/// Write a policy for this very host
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = INIT_HELP)]
pub(crate) struct InitArgs {
    /// Where Asterisk's configuration is [default: /etc/asterisk, if it is there]
    #[arg(long, value_name = "DIR")]
    pub(crate) asterisk_dir: Option<PathBuf>,
    /// Print the policy, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where the policy goes
    #[arg(long, value_name = "FILE", default_value = DEFAULT_POLICY)]
    pub(crate) output: PathBuf,
    /// Replace the policy that is there
    #[arg(long)]
    pub(crate) force: bool,
}

const INIT_HELP: &str = "\
Open is what listens beyond loopback and is meant for others: SSH on its real port, web servers, the PBX's ports for SIP, IAX2 and \
media as its files say, and what nobody knows by name. Databases, the manager interface, provisioning and the like stay closed, and a \
comment says how to open them to some. Trusted are the trunks that the PBX's files name by address or name (registrations, identify \
sections, peers), and where the session of SSH comes from. docs/init.md says what is decided how.

Run it as root while the PBX runs: else it cannot see whose the sockets are.

A policy that is there is not replaced without --force, unless it is the one that the package brought, unchanged.

Exit status: 0 done, also on a host without a PBX (it is said, and SIP stays closed); 1 there is a policy already, or no \
configuration where --asterisk-dir says; 3 a file cannot be read or written.";
