//! Block lists that a policy asks for.

use std::path::PathBuf;
use std::time::Duration;

use feeds::Format;

/// A list, where it comes from, and what is done with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feed {
    /// Letters, digits, `-` and `_`. Other programs that ban by a feed's name have a dot in it.
    pub name: String,
    pub source: FeedSource,
    /// Authorities of which one has to have signed the server's certificate; `None`: those that browsers believe.
    pub ca_file: Option<PathBuf>,
    /// How often it is asked for.
    pub every: Duration,
    /// How long an entry stays banned after it was last seen in the list.
    pub time: Duration,
    /// Entries that are taken.
    pub most: usize,
    /// Whether bans cover every port, not only the guarded ones.
    pub all_ports: bool,
    /// What bans are for, where that is not the name.
    pub reason: Option<String>,
    /// `None`: told by the content.
    pub format: Option<Format>,
}

/// Where a list comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FeedSource {
    /// An absolute path.
    File(PathBuf),
    /// `http:` or `https:`. It may have a key in it, so it is shown to nobody.
    Url(String),
}
