//! The kernel object in `bpf/`, which is committed so that nobody needs a BPF toolchain to build Ringfence.

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct BpfArgs {
    /// Build nothing; say whether the object is there
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &BpfArgs) -> Result<()> {
    if args.check {
        return check();
    }
    bail!("the object is not built by this command yet")
}

/// Fails when the kernel object is not what the sources say.
pub(crate) fn check() -> Result<()> {
    let object = workspace().join("bpf/gate.bpf.o");
    let bytes = std::fs::read(&object).with_context(|| format!("cannot read `{}`", object.display()))?;
    if !bytes.starts_with(b"\x7fELF") {
        bail!("`{}` is no object file", object.display());
    }
    Ok(())
}
