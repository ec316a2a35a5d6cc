//! What the verdict may ask: everything that was configured.

use crate::address::{Address, Family};
use crate::automaton::Automaton;
use crate::bans::{Bucket, Term};
use crate::decode::Packet;
use crate::flow::{Flow, FlowKey};
use crate::layout::{Ban, Config, FILTER_SIZE, Live, Outputs, Rule};
use crate::limit::Buckets;

/// The tables of one generation, over frames of type `F`. In the kernel they are maps, elsewhere memory.
pub trait Tables<F: ?Sized> {
    /// What the policy's planner decided.
    fn config(&self) -> &Config;

    /// What changes while the policy is in force.
    fn live(&self) -> Live;

    /// Whether a trusted network contains `address`.
    fn trusts(&self, address: &Address) -> bool;

    /// Whether a blocked network contains `address`.
    fn blocks(&self, address: &Address) -> bool;

    /// A bucket of banned addresses.
    fn bucket(&self, family: Family, number: u32) -> Option<&Bucket>;

    /// What the smallest network around `address` says that was banned or trusted meanwhile; it may be over.
    fn network(&self, address: &Address) -> Option<Term>;

    /// What `body` makes of a special ban of the source of `packet`, which may be over.
    fn with_special<R>(&self, packet: &Packet, body: impl FnOnce(&mut Ban) -> R) -> Option<R>;

    /// Whether the source of `packet` has shown that its address is its own.
    fn is_proven(&self, packet: &Packet) -> bool;

    /// What `body` makes of the buckets of the limits.
    fn with_buckets<R>(&self, body: impl FnOnce(&mut Buckets) -> R) -> Option<R>;

    /// Nanoseconds of `CLOCK_MONOTONIC`.
    fn now(&self) -> u64;

    /// Whether `port` is guarded over the protocol: 0 for UDP, 1 for TCP.
    fn guards(&self, protocol: usize, port: u16) -> bool;

    /// The table of the first look; `None` leaves everything to the automaton.
    fn filter(&self) -> Option<&[u8; FILTER_SIZE]>;

    /// Which interface patterns the arrival interface matches.
    fn interface_patterns(&self) -> u64;

    /// The automaton of all signatures.
    fn automaton(&self) -> Option<&Automaton>;

    /// The signatures that end in the state of that row.
    fn outputs(&self, row: u32) -> Option<&Outputs>;

    /// The rule of that index, below [`Config::rules`].
    fn rule(&self, index: u32) -> Option<&Rule>;

    /// Whether the host would send `packet` on instead of taking it in.
    fn forwards(&self, packet: &Packet) -> bool;

    /// Whether this host has the connection of `packet`, established or about to be: a SYN then begins no new one.
    fn is_connected(&self, packet: &Packet) -> bool;

    /// What `body` makes of a followed connection; `None` if it is not followed.
    fn with_flow<R>(&self, key: &FlowKey, body: impl FnOnce(&mut Flow) -> R) -> Option<R>;

    /// Follows a connection from now on, with [`Flow::FRESH`].
    fn begin(&self, key: &FlowKey);

    /// Follows a connection no more.
    fn forget(&self, key: &FlowKey);

    /// Calls `body` with 0, 1, … `count - 1` until it says `false`. The kernel's verifier reads the body once, however
    /// large `count` is (`bpf_loop`).
    #[inline(always)]
    fn repeat<B: FnMut(u32) -> bool>(&self, count: u32, mut body: B) {
        for index in 0..count {
            if !body(index) {
                break;
            }
        }
    }
}
