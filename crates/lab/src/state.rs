//! What a lab keeps in the file system, and how remains of dead labs are found and removed.
//!
//! `/run/ringfence-lab/<id>/` belongs to one lab. Its owner holds a lock on `owner` for as long as it lives, so a lab whose
//! lock can be had is a dead one, whatever ended its owner. A lab made to stay has the file `keep` instead.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::error::{LabError, file, system};
use crate::process::{must, run};
use crate::topology::Node;

const BASE: &str = "/run/ringfence-lab";
const NAMESPACES: &str = "/run/netns";
const QUICK: Duration = Duration::from_secs(10);

/// One lab as [`list`] sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabStatus {
    /// Its name, with the owner's process id unless it was made to stay.
    pub id: String,
    /// Whether it outlives the process that made it.
    pub kept: bool,
    /// Whether the owner of a lab that is not kept still lives.
    pub owned: bool,
    /// Processes inside its namespaces.
    pub processes: usize,
}

/// All labs on this machine, dead ones included.
///
/// # Errors
/// When `/run/ringfence-lab` cannot be read.
pub fn list() -> Result<Vec<LabStatus>, LabError> {
    let mut labs = Vec::new();
    for id in ids()? {
        let dir = dir(&id);
        let processes = Node::ALL.into_iter().map(|node| pids(&namespace(&id, node)).len()).sum();
        labs.push(LabStatus { kept: dir.join("keep").exists(), owned: !is_dead(&dir), processes, id });
    }
    Ok(labs)
}

pub(crate) fn dir(id: &str) -> PathBuf {
    Path::new(BASE).join(id)
}

pub(crate) fn namespace(id: &str, node: Node) -> String {
    format!("rf-{id}-{node}")
}

pub(crate) fn namespace_path(id: &str, node: Node) -> PathBuf {
    Path::new(NAMESPACES).join(namespace(id, node))
}

/// Names become parts of file names, interface commands and mount points.
pub(crate) fn check_name(name: &str) -> Result<(), LabError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 24 || !name.chars().all(fine) {
        return Err(LabError::BadName(name.to_owned()));
    }
    Ok(())
}

/// Held while labs are made or removed, so that nobody takes a lab in the making for a dead one.
pub(crate) fn lock_all() -> Result<File, LabError> {
    fs::create_dir_all(BASE).map_err(file("create", Path::new(BASE)))?;
    lock(&Path::new(BASE).join(".lock"), FlockOperation::LockExclusive)
}

/// Makes the directory of a new lab and takes its lock. Call with [`lock_all`] held.
pub(crate) fn claim(id: &str) -> Result<File, LabError> {
    let dir = dir(id);
    if dir.exists() {
        return Err(LabError::AlreadyUp(id.to_owned()));
    }
    fs::create_dir_all(dir.join("log")).map_err(file("create", &dir))?;
    lock(&dir.join("owner"), FlockOperation::NonBlockingLockExclusive)
}

/// Removes every lab whose owner is dead. Call with [`lock_all`] held.
pub(crate) fn sweep() -> Result<(), LabError> {
    for id in ids()? {
        let dir = dir(&id);
        if !dir.join("keep").exists() && is_dead(&dir) {
            remove(&id)?;
        }
    }
    Ok(())
}

/// Ends every process in the lab's namespaces and removes all that the lab made. What is gone already is no error.
pub(crate) fn remove(id: &str) -> Result<(), LabError> {
    for node in Node::ALL {
        end_processes(&namespace(id, node));
    }
    for node in Node::ALL {
        if namespace_path(id, node).exists() {
            must(ip(["netns", "del", &namespace(id, node)]), QUICK)?;
        }
    }
    let dir = dir(id);
    let pins = dir.join("bpf");
    if is_mounted(&pins) {
        let mut umount = Command::new("umount");
        umount.arg(&pins);
        must(umount, QUICK)?;
    }
    match fs::remove_dir_all(&dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(file("remove", &dir)(source)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// An `ip` command.
pub(crate) fn ip<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("ip");
    command.args(args);
    command
}

fn ids() -> Result<Vec<String>, LabError> {
    let base = Path::new(BASE);
    let entries = match fs::read_dir(base) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(file("read", base)(source)),
    };
    let mut ids: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    ids.sort();
    Ok(ids)
}

fn lock(path: &Path, how: FlockOperation) -> Result<File, LabError> {
    let lock = File::create(path).map_err(file("create", path))?;
    flock(&lock, how).map_err(system(format!("lock `{}`", path.display())))?;
    Ok(lock)
}

fn is_dead(dir: &Path) -> bool {
    match File::open(dir.join("owner")) {
        Ok(owner) => flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok(),
        // The directory is made before its lock, both with `lock_all` held: without a lock file nobody owns it.
        Err(_) => true,
    }
}

fn is_mounted(path: &Path) -> bool {
    let Some(wanted) = path.to_str() else { return false };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.split(' ').nth(1) == Some(wanted))
}

/// The processes in a namespace. Whatever runs there was started by the lab or by its user for it.
fn pids(namespace: &str) -> Vec<Pid> {
    if !Path::new(NAMESPACES).join(namespace).exists() {
        return Vec::new();
    }
    let listed = run(ip(["netns", "pids", namespace]), QUICK).map(|output| output.stdout).unwrap_or_default();
    listed.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)).collect()
}

fn end_processes(namespace: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = pids(namespace);
        if left.is_empty() || Instant::now() >= deadline {
            return;
        }
        for pid in left {
            kill_process(pid, Signal::KILL).ok();
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_meaning_to_a_shell_or_path_are_refused() {
        for bad in ["", "a/b", "..", "a b", "Ä", "a.b", "much-too-long-for-a-lab-name"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        check_name("guarded-2").unwrap();
    }
}
