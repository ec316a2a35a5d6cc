//! What may pass: two policy languages, one checked model, one plan for every place that enforces it.
//!
//! ```text
//! text ── iptables ──┐
//!                    ├─► Policy (rule sets) ──► Plan: gate tables, nft ruleset
//! text ── toml ──────┘
//! ```
#![forbid(unsafe_code)]

pub mod convert;
pub mod detection;
pub mod diagnostic;
pub mod feed;
pub mod iptables;
pub mod jail;
pub mod plan;
mod policy;
pub mod ruleset;
pub mod sensor;
pub mod signature;
pub mod toml;
pub mod watch;

pub use policy::{Language, Policy, is_dns_name};
