//! The kernel is the oracle: the same packets through Linux' netfilter and through ours, packet by packet.
//!
//! Needs root; makes network namespaces of its own and removes them, also when a test fails.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what it did, and fails loudly"
)]

mod oracle {
    mod conntrack;
    mod generate;
    mod namespace;
    mod nflog;
    mod packets;
    mod random;
    mod rules;
    mod traffic;
    mod ways;
}
