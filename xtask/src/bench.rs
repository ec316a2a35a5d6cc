//! `cargo xtask bench`.

use anyhow::{Result, bail};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {}

pub(crate) fn run(_args: &BenchArgs) -> Result<()> {
    bail!("there is nothing to measure in this tree yet")
}
