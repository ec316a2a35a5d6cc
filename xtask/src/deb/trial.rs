//! The package in a Debian 12 of its own: what it brings works, an upgrade keeps what the administrator changed, and after a
//! purge nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::install::is_root;
use crate::step::run as step;
use crate::target_dir;

pub(super) fn run(package: &Path, newer: &Path) -> Result<()> {
    ensure!(is_root(), "a Debian of its own needs root");
    let root = fresh()?;
    let before = files(&root)?;
    for from in [package, newer] {
        fs::copy(from, root.join(file_name(from)?)).context("cannot copy the package")?;
    }
    let install = |package: &Path| -> Result<()> {
        say(&root, &format!("dpkg --install /{}", file_name(package)?)).map(drop)
    };
    install(package)?;
    let version = say(&root, "ringfence --version")?;
    println!("installed: {}", version.trim());
    say(&root, "ringfence check /etc/ringfence/policy.toml")?;
    say(&root, "zcat /usr/share/man/man1/ringfence.1.gz | grep -q ringfence")?;
    say(
        &root,
        "echo '# mine' >> /etc/ringfence/policy.toml && mkdir -p /var/lib/ringfence && echo x > /var/lib/ringfence/ledger.db",
    )?;
    install(newer)?;
    ensure!(
        say(&root, "tail -n 1 /etc/ringfence/policy.toml")?.trim() == "# mine",
        "the upgrade changed the administrator's policy"
    );
    println!("upgraded: the policy is as the administrator left it");
    say(&root, "dpkg --remove ringfence")?;
    ensure!(!root.join("usr/bin/ringfence").exists(), "the program is still there");
    ensure!(root.join("var/lib/ringfence/ledger.db").exists(), "removing took the ledger");
    println!("removed: the policy and the ledger are still there");
    say(&root, "dpkg --purge ringfence && rm /ringfence_*.deb")?;
    let left: Vec<String> = files(&root)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "a purge leaves {left:?}");
    println!("purged: nothing is left");
    fs::remove_dir_all(&root).context("cannot remove the trial's Debian")
}

/// A Debian 12 with what the package depends on.
fn fresh() -> Result<PathBuf> {
    let base = target_dir().join("deb/bookworm");
    if !base.join("etc/debian_version").exists() {
        println!("makes a Debian 12 in {}", base.display());
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", "--include=nftables", "bookworm"]).arg(&base);
        step(command)?;
    }
    let trial = target_dir().join("deb/trial");
    if trial.exists() {
        fs::remove_dir_all(&trial).context("cannot remove an earlier trial")?;
    }
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto"]).arg(&base).arg(&trial);
    step(command)?;
    Ok(trial)
}

/// A shell's command within it.
fn say(root: &Path, script: &str) -> Result<String> {
    let output =
        Command::new("chroot").arg(root).args(["/bin/sh", "-ec", script]).env("LC_ALL", "C").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{script}` failed: {text}{error}");
    Ok(text)
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).context("a package without a name")
}

/// Every file and folder but what dpkg itself writes down.
fn files(root: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(root)?.display().to_string();
            let is_dpkgs = name.starts_with("var/lib/dpkg/")
                || name.starts_with("var/log/")
                || name.starts_with("var/cache/");
            if is_dpkgs || name == "proc" || name == "sys" || name == "dev" {
                continue;
            }
            if entry.metadata()?.is_dir() {
                waiting.push(path);
            }
            found.insert(name);
        }
    }
    Ok(found)
}
