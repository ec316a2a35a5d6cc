//! What a policy says about how Ringfence itself is watched: metrics for Prometheus, and the file of events.

use std::net::SocketAddr;

use crate::ruleset::Network;

/// The port where metrics are served unless another is written.
pub const METRICS_PORT: u16 = 9560;

/// Where metrics are served, and to whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metrics {
    pub listen: SocketAddr,
    /// Whoever else connects gets nothing.
    pub allow: Vec<Network>,
}

/// How large `events.jsonl` may become.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventFiles {
    /// Bytes of each file.
    pub max_bytes: u64,
    /// Files that are kept beside the one that is written.
    pub keep: u32,
}

impl EventFiles {
    /// Some hundred thousand events each, and together what a small disk has to spare.
    pub const SHIPPED: Self = Self { max_bytes: 64 << 20, keep: 4 };
}
