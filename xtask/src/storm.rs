//! `cargo xtask storm`: random and mutated messages (`crates/engine/tests/storm.rs`), as many as one likes.

use anyhow::Result;
use clap::Args;

use crate::step::{self, cargo};

#[derive(Debug, Args)]
pub(crate) struct StormArgs {
    /// How many
    #[arg(long, default_value_t = 10_000_000)]
    messages: u64,
    /// Which ones; the same number gives the same messages
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: &StormArgs) -> Result<()> {
    let mut test =
        cargo(["test", "--quiet", "--release", "-p", "engine", "--test", "storm", "--", "--nocapture"]);
    test.env("RINGFENCE_MESSAGES", args.messages.to_string()).env("RINGFENCE_SEED", args.seed.to_string());
    step::run(test)
}
