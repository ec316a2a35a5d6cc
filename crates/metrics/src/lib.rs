//! What Prometheus is told. Each metric is defined once, in [`registry`]: its name, its labels, what it means, and where in the
//! JSON of `status` it comes from. The text that is served, `docs/metrics.md` and the checks of the shipped alert rules and board
//! are made from that.
//!
//! It computes; who asks for the status and serves the text is the daemon.
#![forbid(unsafe_code)]

mod docs;
pub mod metric;
mod read;
pub mod registry;
mod text;

pub use docs::markdown;
pub use text::{Format, text};
