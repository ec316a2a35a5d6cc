//! The file system that Asterisk runs in: Debian unstable with the package `asterisk`, made once and kept.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::error::{LabError, file, system};
use crate::process::must;
use crate::tools;

/// Names another directory for the cache.
pub const CACHE: &str = "RINGFENCE_LAB_CACHE";
const DEFAULT_CACHE: &str = "/var/cache/ringfence-lab";
/// About 45 s on a good line.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// The directory to `chroot` into, made with `debootstrap` (500 MB) when it is not there. Two programs that want it at the
/// same time wait for each other, and a broken attempt leaves nothing that looks finished.
///
/// # Errors
/// When the cache cannot be written or `debootstrap` fails.
pub fn root() -> Result<PathBuf, LabError> {
    let cache = std::env::var_os(CACHE).map_or_else(|| PathBuf::from(DEFAULT_CACHE), PathBuf::from);
    let root = cache.join("asterisk-sid");
    fs::create_dir_all(&cache).map_err(file("create", &cache))?;
    let lock_path = cache.join(".lock");
    let lock = File::create(&lock_path).map_err(file("create", &lock_path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(system(format!("lock `{}`", lock_path.display())))?;
    if !is_whole(&root) {
        build(&cache, &root)?;
    }
    prepare(&root)?;
    Ok(root)
}

/// Whether the cache has what [`root`] returns, so that it would return at once.
#[must_use]
pub fn is_cached() -> bool {
    let cache = std::env::var_os(CACHE).map_or_else(|| PathBuf::from(DEFAULT_CACHE), PathBuf::from);
    is_whole(&cache.join("asterisk-sid"))
}

fn is_whole(root: &Path) -> bool {
    root.join("usr/sbin/asterisk").exists()
}

fn build(cache: &Path, root: &Path) -> Result<(), LabError> {
    tools::need(&["debootstrap"])?;
    writeln!(std::io::stderr(), "making `{}` with debootstrap, once: about a minute", root.display()).ok();
    let making = cache.join("asterisk-sid.making");
    remove(&making)?;
    // In a mount namespace of its own: what debootstrap mounts below the directory ends with it, also when it fails, so
    // removing the directory can never reach into a live /proc or /dev.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command.args(["debootstrap", "--variant=minbase", "--include=asterisk", "sid"]).arg(&making);
    must(command, PATIENCE)?;
    remove(root)?;
    fs::rename(&making, root).map_err(file("rename", &making))
}

/// The files that the lab mounts its own over must exist.
fn prepare(root: &Path) -> Result<(), LabError> {
    for dir in ["run/asterisk", "var/log/asterisk", "var/lib/asterisk", "var/spool/asterisk"] {
        let path = root.join(dir);
        fs::create_dir_all(&path).map_err(file("create", &path))?;
    }
    for name in ["etc/hosts", "etc/resolv.conf"] {
        let path = root.join(name);
        if !path.exists() {
            fs::write(&path, "").map_err(file("write", &path))?;
        }
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(file("remove", dir)(source)),
        Ok(()) | Err(_) => Ok(()),
    }
}
