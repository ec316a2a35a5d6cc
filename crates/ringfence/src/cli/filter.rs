use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Format;

/// Show what a filter of fail2ban finds in a log
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = TEST_FILTER_HELP)]
pub(crate) struct TestFilterArgs {
    /// A log file, plain or gzip, or `-` for stdin
    #[arg(value_name = "LOG")]
    pub(crate) log: PathBuf,
    /// A filter by name or path, with options in brackets: `sshd`, `'sshd[mode=aggressive]'`, `./my.conf`
    #[arg(value_name = "FILTER")]
    pub(crate) filter: String,
    /// Where filters are looked up by name; may be given several times [default: /etc/ringfence/filter.d, /etc/fail2ban/filter.d]
    #[arg(long, value_name = "DIR")]
    pub(crate) filter_dir: Vec<PathBuf>,
    /// How the answer is shown
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

const TEST_FILTER_HELP: &str = "\
With --format json, every line of the log gives one object: `line` (from 1) and `match`; where that is true also `host`, `time`, \
`regex` (which failregex, from 1), `user` where one is found, and `other` where the filter could have found somebody else \
(docs/filters.md); `gave_up` and `cut` where an expression took too long or a line was too long. The last object is the summary.

Dates without a zone are in the zone of $TZ or /etc/localtime.";
