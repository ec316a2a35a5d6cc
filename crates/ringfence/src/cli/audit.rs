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

With --format json, each finding is an object: `id`, `severity` (high, medium or low), `file` (relative to the directory), `line`, \
`message` and `fix`.

Exit status: 0 nothing needs attention; 1 something does; 3 a file cannot be read.";
