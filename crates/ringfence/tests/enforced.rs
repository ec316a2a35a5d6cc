//! What `ringfence run` enforces is what the rules mean: the real program in namespaces of its own, packets through it, and
//! the fate of each compared with what replay says of the same packets.
//!
//! Replay itself is compared with the kernel's iptables in `oracle`. Where `run` differs by design, [`enforced::policies`]
//! and [`enforced::packets`] say so. Root only; `ORACLE_SEED=…` makes other rule files and packets than the usual ones.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what it did, and fails loudly"
)]

mod oracle {
    #[expect(dead_code, reason = "made for another test; this one does not need all of it")]
    #[path = "../oracle/generate.rs"]
    pub(crate) mod generate;
    #[expect(dead_code, reason = "made for another test; this one does not need all of it")]
    #[path = "../oracle/namespace.rs"]
    pub(crate) mod namespace;
    #[expect(dead_code, reason = "made for another test; this one does not need all of it")]
    #[path = "../oracle/nflog.rs"]
    pub(crate) mod nflog;
    #[path = "../oracle/packets.rs"]
    pub(crate) mod packets;
    #[expect(dead_code, reason = "made for another test; this one does not need all of it")]
    #[path = "../oracle/random.rs"]
    pub(crate) mod random;
    #[path = "../oracle/traffic.rs"]
    pub(crate) mod traffic;
}

mod enforced {
    mod answers;
    mod daemon;
    mod model;
    mod packets;
    mod policies;
    mod scenes;
    mod sockets;
    mod trial;
    mod watch;
}
