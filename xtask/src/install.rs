//! Installing what the checks and the lab need, through the machine's own package manager and cargo.

use std::process::Command;

use anyhow::Result;

use crate::step::{cargo, run};

/// Installs the missing Debian packages when run as root, and returns a note on which are missing otherwise. Asks the package
/// servers for nothing when all are there.
pub(crate) fn packages() -> Result<Option<String>> {
    let mut packages: Vec<&str> = lab::tools::missing().iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(None);
    }
    let list = packages.join(" ");
    if !is_root() {
        return Ok(Some(format!("these packages are missing: {list}")));
    }
    if lab::tools::find("apt-get").is_none() {
        return Ok(Some(format!("there is no apt-get; install these yourself: {list}")));
    }
    apt_install(&packages)?;
    let left = lab::tools::missing();
    anyhow::ensure!(left.is_empty(), "still missing after the installation: {left:?}");
    Ok(None)
}

/// Installs Debian packages, as root.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    // A list of packages as old as the machine's image names files that are no longer on the servers.
    run(apt(&["update", "-qq"]))?;
    let mut install = apt(&["install", "-qq", "-y", "--no-install-recommends"]);
    install.args(packages);
    run(install)
}

/// Makes sure of the cargo commands that the checks use.
pub(crate) fn cargo_commands() -> Result<()> {
    for component in ["rustfmt", "clippy"] {
        let command = if component == "rustfmt" { "fmt" } else { "clippy" };
        if !is_there(command) && lab::tools::find("rustup").is_some() {
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", component]);
            run(rustup)?;
        }
    }
    if !is_there("deny") {
        run(cargo(["install", "--locked", "--quiet", "cargo-deny"]))?;
    }
    Ok(())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn is_there(cargo_command: &str) -> bool {
    cargo([cargo_command, "--version"]).output().is_ok_and(|output| output.status.success())
}

fn apt(args: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
    command
}
