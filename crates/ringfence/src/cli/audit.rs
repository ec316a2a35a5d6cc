//! `ringfence audit`

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Format;

/// Say what is weak about the PBX's own configuration, and how to mend it
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = AUDIT_HELP)]
pub(crate) struct AuditArgs {
    /// Where Asterisk's configuration is
    #[arg(long, value_name = "DIR", default_value = "/etc/asterisk")]
    pub(crate) asterisk_dir: PathBuf,
    /// The policy whose media ports are compared with rtp.conf [default: /etc/ringfence/policy.toml, if it is there]
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PathBuf>,
    /// A list of findings that are not told: `id [file[:section]] # reason` in each line
    #[arg(long, value_name = "FILE")]
    pub(crate) accepted: Option<PathBuf>,
    /// How the findings are shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

const AUDIT_HELP: &str = "\
Reads Asterisk's files and all that they include, FreePBX's too. Nothing is changed, nothing is run (not even `#exec`), and no \
secret is printed. docs/audit.md has every finding.

Where the directory is the one in force on this host (/etc/asterisk, or the one that its own asterisk.conf names), the sockets that \
listen are looked at, too, and the policy's ports for media. A copy is judged by its files alone.

With --format json, each finding is an object: `id`, `severity` (high, medium or low), `file` (relative to the directory), `line`, \
`message` and `fix`. Of a socket, `file` is protocol and port (tcp/3306) and `line` is 0.

Exit status: 0 nothing needs attention; 1 something does; 3 a file cannot be read.";
