//! Conditions that remember packets: rates and lists of addresses.

use std::net::IpAddr;

/// A rate as iptables writes it: `amount` per `unit`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    pub amount: u32,
    pub unit: RateUnit,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RateUnit {
    Second,
    Minute,
    Hour,
    Day,
}

/// `-m limit`: a token bucket; default 3/hour, burst 5.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    pub rate: Rate,
    pub burst: u32,
}

/// How much SIP is taken in from sources that have not shown that their address is their own; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unproven {
    /// Of one IPv4 address, or one IPv6 /64.
    pub source: Option<Limit>,
    /// Of one IPv4 /24, or one IPv6 /48.
    pub network: Option<Limit>,
    /// Of all of them together.
    pub all: Option<Limit>,
}

/// `-m hashlimit`: a token bucket per key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashLimit {
    pub negated: bool,
    /// `--hashlimit-name`: rules of one name share one table.
    pub name: String,
    /// `true` for `--hashlimit-above` (matches over the rate), `false` for `--hashlimit-upto`.
    pub above: bool,
    pub rate: HashRate,
    /// Packets (default 5); for a byte rate bytes, 0 when the option is absent.
    pub burst: u64,
    /// `--hashlimit-mode`; all false is one global bucket.
    pub by_source: bool,
    pub by_source_port: bool,
    pub by_destination: bool,
    pub by_destination_port: bool,
    /// Prefix lengths for grouping; the full length by default.
    pub source_mask: u8,
    pub destination_mask: u8,
    /// `--hashlimit-htable-size`, 0 lets the kernel choose.
    pub buckets: u32,
    /// `--hashlimit-htable-max`, 0 lets the kernel choose.
    pub max: u32,
    /// Milliseconds. The default is the unit of the rate (a second, a minute, …); for a byte rate 15 s, with a burst 60 s.
    pub expire: u32,
    /// Milliseconds; default 1,000.
    pub gc_interval: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HashRate {
    Packets(Rate),
    /// `b`, `kb`, `mb` per second, in bytes a second.
    Bytes(u64),
}

/// `-m recent`: a list of addresses with the times at which they were seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recent {
    pub negated: bool,
    /// `--name`, `DEFAULT` when absent.
    pub name: String,
    pub action: RecentAction,
    /// `--seconds`; 0 is any time.
    pub seconds: u32,
    /// `--hitcount`; 0 is one.
    pub hitcount: u32,
    /// `--reap`
    pub reap: bool,
    /// `--rttl`
    pub rttl: bool,
    /// `true` for `--rdest`.
    pub by_destination: bool,
    /// `--mask`
    pub mask: IpAddr,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecentAction {
    Check,
    Remove,
    Set,
    Update,
}
