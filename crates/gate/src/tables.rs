//! What the verdict may ask: everything that was configured.

use crate::address::Address;
use crate::decode::Packet;
use crate::layout::{Ban, Config, Outputs, Rule};

/// The tables of one generation, over frames of type `F`. In the kernel they are maps, elsewhere memory.
pub trait Tables<F: ?Sized> {
    /// `None` before the first policy is in place; then everything passes.
    fn config(&self) -> Option<&Config>;

    /// Whether a trusted network contains `address`.
    fn trusts(&self, address: &Address) -> bool;

    /// Whether a blocked network contains `address`.
    fn blocks(&self, address: &Address) -> bool;

    /// A ban of the source of `packet` that is in force now.
    fn ban(&self, packet: &Packet) -> Option<Ban>;

    /// Which protocols are guarded at `port`: [`crate::layout::GUARD_UDP`], [`crate::layout::GUARD_TCP`].
    fn guards(&self, port: u16) -> u8;

    /// Which interface patterns the arrival interface matches.
    fn interface_patterns(&self) -> u64;

    /// The automaton's state after `byte`; `None` for a state that it does not have.
    fn next(&self, state: u32, byte: u8) -> Option<u32>;

    /// The signatures that end in an accepting state.
    fn outputs(&self, state: u32) -> Option<&Outputs>;

    /// The rule of that index, below [`Config::rules`].
    fn rule(&self, index: u32) -> Option<&Rule>;

    /// Whether the host would send `packet` on instead of taking it in.
    fn forwards(&self, packet: &Packet) -> bool;

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
