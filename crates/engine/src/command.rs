//! What the engine wants done.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::detectors::Kind;

/// Whom a command is about: an IPv4 address, or an IPv6 /64, which is what one customer has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Source(IpAddr);

impl Source {
    /// The source that an address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        })
    }

    /// The address, or the first address of the /64.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// 32, or 64 for IPv6.
    #[must_use]
    pub fn prefix(self) -> u8 {
        if self.0.is_ipv4() { 32 } else { 64 }
    }

    /// A number for tables: no IPv6 prefix begins with the 31 zeros that stand before an IPv4 address here.
    pub(crate) fn number(self) -> u64 {
        match self.0 {
            IpAddr::V4(address) => 1 << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => u64::try_from(u128::from(address) >> 64).unwrap_or(0),
        }
    }

    /// The /24 or /48 around it, as a number.
    pub(crate) fn network(self) -> u64 {
        match self.0 {
            IpAddr::V4(_) => self.number() >> 8,
            IpAddr::V6(_) => self.number() >> 16 << 16,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// How far a source is believed (docs/detectors.md).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// Its address may be forged.
    Unproven,
    /// It received what only the owner of its address can receive.
    Proven,
    /// It authenticated not long ago.
    Credited,
    /// The policy trusts its network.
    Trusted,
}

impl Class {
    /// Its name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Proven => "proven",
            Self::Credited => "credited",
            Self::Trusted => "trusted",
        }
    }
}

/// What a ban covers.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// The ports whose packets are inspected.
    #[default]
    SipPorts,
    /// Every port.
    AllPorts,
}

/// One thing to do, or to tell. Times are since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Tell an administrator; nobody is to be banned.
    Alert { time: Duration, source: Source, detector: Kind, detail: String },
    /// Let nothing of this source through to the ports of `scope`; `level` counts its bans, this one included. `jail` names the
    /// jail whose measure is full, if it was one.
    Ban {
        time: Duration,
        source: Source,
        reason: Kind,
        until: Duration,
        proven: bool,
        level: u32,
        scope: Scope,
        jail: Option<Arc<str>>,
    },
    /// What a detector saw, in one sentence.
    Evidence { time: Duration, source: Source, detector: Kind, frame: u64, detail: String },
    /// Let only a trickle of this source through: it may be someone else whose address is forged. One that is known keeps the
    /// rate at which a flood begins, so that nobody can silence it by flooding in its name.
    Limit { time: Duration, source: Source, reason: Kind, until: Duration, is_known: bool },
    /// The source is of this class from now on.
    Trust { time: Duration, source: Source, class: Class },
    /// The source authenticated: its limit ends.
    Unlimit { time: Duration, source: Source },
}
