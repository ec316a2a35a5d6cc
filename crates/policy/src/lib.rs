//! What may pass: two policy languages, one checked model.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod iptables;
pub mod plan;
pub mod ruleset;
