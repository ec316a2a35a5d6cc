//! From a checked policy to what each place enforces: tables for the gate, a ruleset for nftables.

pub mod automaton;
pub mod gate;
pub mod nft;
