//! What a command asks of the daemon: one JSON object a connection, read strictly.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One request.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// What stands, after reading the kernel back; with `verify` every ban as well.
    Status {
        #[serde(default)]
        verify: bool,
    },
    /// Read the policy again.
    Reload {
        /// Go back to the one before after so long, unless somebody confirms.
        #[serde(default)]
        confirm: Option<Duration>,
    },
    /// Nobody has confirmed: go back to the policy before.
    RollBack {
        /// Which trial is over.
        token: String,
    },
    /// End; with `clean` whoever asked takes the gate off.
    Stop {
        #[serde(default)]
        clean: bool,
    },
    /// Ban addresses and networks.
    Ban(Ban),
    /// End bans.
    Unban(Unban),
    /// A page of the bans in force.
    Bans(Bans),
    /// The story of an address.
    Why { address: IpAddr },
    /// Trust an address, a network or a name; nothing to show what is trusted.
    Trust {
        #[serde(default)]
        what: Option<String>,
        #[serde(default)]
        note: String,
    },
    /// Trust it no more.
    Untrust { what: String },
    /// Keep what `run --confirm` or `reload --confirm` put in force.
    Confirm {},
    /// What `top` shows.
    Top {},
}

/// See [`Request::Ban`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    /// Addresses and networks as text, so that each wrong one is told by itself.
    pub(crate) targets: Vec<String>,
    /// None for ever.
    pub(crate) period: Option<Duration>,
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) all_ports: bool,
    /// None for the operator.
    #[serde(default)]
    pub(crate) by: Option<String>,
}

/// See [`Request::Unban`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unban {
    pub(crate) target: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) by: Option<String>,
    /// Not to be banned again for so long.
    pub(crate) grace: Option<Duration>,
}

/// See [`Request::Bans`].
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bans {
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) within: Option<String>,
    /// Where the page before ended.
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}
