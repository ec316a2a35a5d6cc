//! The gate: what to do with one frame.
//!
//! This crate is compiled twice: into the kernel program (`crates/gate-bpf`) and into the user-space tools. It is
//! `no_std`, allocates nothing, reads no clock and cannot panic. [`judge()`] is the whole decision; it sees the frame
//! through [`Frame`] and everything that was configured through [`Tables`].
//!
//! The gate only ever drops what the policy drops no matter what connection tracking says. Everything else goes on to
//! nftables, which has the stateful rest of the policy.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

pub mod address;
pub mod automaton;
pub mod bans;
pub mod decode;
pub mod filter;
pub mod flow;
pub mod frame;
pub mod judge;
pub mod layout;
pub mod limit;
#[cfg(any(feature = "std", test))]
pub mod memory;
#[cfg(feature = "aya")]
mod pod;
pub mod reason;
pub mod scan;
pub mod tables;

pub use address::{Address, Family};
pub use decode::{Fragment, Link, Packet, decode};
pub use frame::Frame;
pub use judge::{Judgement, judge};
pub use reason::{Reason, Verdict};
pub use scan::Found;
pub use tables::Tables;
