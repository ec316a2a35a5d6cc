//! What may be done with files, and to processes of others, as far as this kernel's Landlock goes.
//!
//! Of the daemon, reading is left alone: a policy names logs, keys and lists wherever they are, and may name others tomorrow.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use super::Role;
use super::in_force::Landlock;

/// What is known of here; of that, what the kernel has.
const NEWEST: ABI = ABI::V6;
/// Where a system has its programs and their libraries. A program is not named by itself: an upgrade puts another file in its
/// place, and whoever can run a loader can run any program that he can read.
const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/nix/store"];
/// What is thrown away.
const SINK: &str = "/dev/null";
/// What looking a name up takes.
const NAMES: [&str; 14] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/protocols",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/nscd",
    "/sys/devices/system/cpu",
];

/// Builds the wall around the calling thread.
pub(super) fn restrict(role: Role, writable: &[PathBuf]) -> Result<Landlock, String> {
    let done = match role {
        Role::Daemon | Role::Ledger | Role::Sever => daemon(writable),
        // Whoever is in a domain may not look into processes outside it, which is what this one is there for.
        Role::Sessions => return Ok(Landlock::Unused),
        Role::Fetchers => fetchers(),
        Role::Fetch => fetch(),
    };
    let status = done.map_err(|error| format!("landlock: {error}"))?;
    let version = match status.landlock {
        LandlockStatus::NotEnabled => return Err("landlock: it is not switched on (`lsm=`)".to_owned()),
        LandlockStatus::NotImplemented => return Err("landlock: this kernel has none".to_owned()),
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("landlock: it is not in force".to_owned());
    }
    Ok(Landlock::InForce(version as i32))
}

fn changes() -> BitFlags<AccessFs> {
    AccessFs::from_write(NEWEST)
}

fn ruleset(handled: BitFlags<AccessFs>) -> Result<Ruleset, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)?
        // A process of root could otherwise end every other one.
        .scope(Scope::Signal)
}

fn daemon(writable: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = ruleset(changes() | AccessFs::Execute)?.create()?;
    for folder in writable {
        // Nothing that it can write can it run.
        rules = allow(rules, folder, changes() & !AccessFs::IoctlDev)?;
    }
    rules = allow(rules, Path::new(SINK), AccessFs::WriteFile | AccessFs::Truncate)?;
    // Whoever starts us says where programs are.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    for folder in PROGRAMS.iter().map(PathBuf::from).chain(named) {
        rules = allow(rules, &folder, AccessFs::Execute.into())?;
    }
    if let Ok(own) = std::env::current_exe() {
        rules = allow(rules, &own, AccessFs::Execute.into())?;
    }
    rules.restrict_self()
}

/// Starts this program, and nothing else.
fn fetchers() -> Result<RestrictionStatus, RulesetError> {
    let mut rules = ruleset(changes() | AccessFs::Execute)?.create()?;
    rules = allow(rules, Path::new(SINK), AccessFs::WriteFile | AccessFs::Truncate)?;
    // Its loader is among the libraries.
    for folder in ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store"] {
        rules = allow(rules, Path::new(folder), AccessFs::Execute.into())?;
    }
    if let Ok(own) = std::env::current_exe() {
        rules = allow(rules, &own, AccessFs::Execute.into())?;
    }
    rules.restrict_self()
}

/// Reads what it takes to look a name up.
fn fetch() -> Result<RestrictionStatus, RulesetError> {
    let mut rules = ruleset(AccessFs::from_all(NEWEST))?
        .scope(Scope::AbstractUnixSocket)?
        // It connects wherever a list leads, and waits for nobody.
        .handle_access(AccessNet::BindTcp)?
        .create()?;
    for path in NAMES {
        let access = AccessFs::ReadFile | AccessFs::ReadDir;
        rules = allow(rules, Path::new(path), access)?;
    }
    rules.restrict_self()
}

/// Allows `access` under a path, if that is there.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(there) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(there, access))
}
