//! A real Asterisk 22 in the PBX's namespace.
//!
//! It runs in a `chroot` that all labs share. Its configuration, logs, database and sockets are the lab's own: they are bind
//! mounts over the shared directories, in a mount namespace that ends with the process. That namespace is a slave of the
//! machine's: what is mounted in it stays in it, and what the machine unmounts (the namespaces and pins of another lab that
//! goes down) goes there too, or it would be kept alive.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

mod config;
mod root;
mod witness;

pub use config::{ACCOUNTS, Account, AsteriskOptions, OTHER_PHONE, PHONE, WEAK, write as write_config};
pub use root::{CACHE, is_cached, root};
pub use witness::{BLIND, HEP_PASSWORD, HEP_PORT, MANAGER, MANAGER_PORT, MANAGER_TLS_PORT, SIPS_PORT};

use crate::error::{LabError, file};
use crate::network::Lab;
use crate::process::{Process, must, read_lossy};
use crate::topology::Node;

const BOOT: Duration = Duration::from_secs(30);
const QUICK: Duration = Duration::from_secs(10);

/// What runs between `nsenter` and Asterisk. Its arguments: the root, and the lab's directory.
const ENTER: &str = r#"
hostname pbx
mount --bind "$2/etc"   "$1/etc/asterisk"
mount --bind "$2/log"   "$1/var/log/asterisk"
mount --bind "$2/run"   "$1/run/asterisk"
mount --bind "$2/lib"   "$1/var/lib/asterisk"
mount --bind "$2/spool" "$1/var/spool/asterisk"
mount --bind "$2/hosts" "$1/etc/hosts"
mount --bind "$2/resolv.conf" "$1/etc/resolv.conf"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
exec chroot "$1" /usr/sbin/asterisk -f -n
"#;

/// Asterisk's log files in the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Security events only (`SecurityEvent="…"`).
    Security,
    /// Notices, warnings and errors.
    Messages,
    /// Everything, with every SIP message in full.
    Full,
}

/// A running Asterisk. Dropping it ends it.
#[derive(Debug)]
pub struct Asterisk {
    dir: PathBuf,
    process: Option<Process>,
    pid: u32,
}

impl Asterisk {
    pub(crate) fn start(lab: &Lab, options: &AsteriskOptions, testifies: bool) -> Result<Self, LabError> {
        let root = root()?;
        let dir = lab.dir().join("asterisk");
        for part in ["etc", "log", "run", "lib", "spool"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(file("create", &path))?;
        }
        config::write(&dir.join("etc"), options)?;
        if testifies {
            witness::write(&dir.join("etc"))?;
        }
        // Without its own name it would ask the DNS for it on every call, and wait for an answer that never comes.
        let hosts = format!("127.0.0.1 localhost\n{} pbx\n", Node::Pbx.v4());
        for (name, text) in [("hosts", hosts.as_str()), ("resolv.conf", "")] {
            let path = dir.join(name);
            fs::write(&path, text).map_err(file("write", &path))?;
        }
        let mut command = lab.command(Node::Pbx, "unshare");
        command.args(["--mount", "--uts", "--propagation", "slave", "--", "sh", "-ec", ENTER, "sh"]);
        command.arg(&root).arg(&dir);
        let process = lab.spawn("asterisk", command)?;
        let mut asterisk = Self { dir, pid: process.id(), process: Some(process) };
        asterisk.wait_until_booted()?;
        Ok(asterisk)
    }

    /// The Asterisk of a lab that was made to stay. Dropping the value leaves it running.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(lab: &Lab) -> Result<Self, LabError> {
        let dir = lab.dir().join("asterisk");
        let path = dir.join("run/asterisk.pid");
        let text = fs::read_to_string(&path).map_err(file("read", &path))?;
        match text.trim().parse() {
            Ok(pid) => Ok(Self { dir, process: None, pid }),
            Err(_) => Err(LabError::Unexpected { tool: "asterisk", text }),
        }
    }

    /// Lets it run on after this handle, for a lab that stays.
    pub fn leave(mut self) {
        if let Some(process) = self.process.take() {
            process.leave();
        }
    }

    /// Runs a command of Asterisk's own command line, such as `core show channels`, and returns what it printed.
    ///
    /// # Errors
    /// When Asterisk is gone or does not answer.
    pub fn cli(&self, line: &str) -> Result<String, LabError> {
        let pid = self.pid.to_string();
        let mut command = Command::new("nsenter");
        command.current_dir("/").args(["--target", &pid, "--mount", "--uts", "--net", "--root", "--wd=/"]);
        command.args(["--", "/usr/sbin/asterisk", "-rx", line]);
        must(command, QUICK).map(|output| output.stdout)
    }

    /// What a log holds so far.
    #[must_use]
    pub fn log(&self, log: Log) -> String {
        read_lossy(&self.log_path(log))
    }

    /// Where a log is, on the host.
    #[must_use]
    pub fn log_path(&self, log: Log) -> PathBuf {
        self.dir.join("log").join(match log {
            Log::Security => "security",
            Log::Messages => "messages",
            Log::Full => "full",
        })
    }

    /// The certificate of an Asterisk that testifies, in PEM, on the host.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("etc").join(witness::CERTIFICATE)
    }

    /// How many SIP messages from an address it has seen so far, by its own log.
    #[must_use]
    pub fn seen_from(&self, address: IpAddr) -> usize {
        received_from(&self.log(Log::Full), address)
    }

    /// Waits until the log has all that Asterisk has received up to now: its logger lags behind by a queue of its own.
    ///
    /// # Errors
    /// When Asterisk does not answer or does not log.
    pub fn settle(&self) -> Result<(), LabError> {
        let mark = format!("lab-mark-{}", self.log(Log::Full).len());
        // Asterisk logs that a variable was set, after all that it logged before.
        self.cli(&format!("dialplan set global LAB_MARK {mark}"))?;
        let deadline = Instant::now() + QUICK;
        while !self.log(Log::Full).contains(&mark) {
            if Instant::now() >= deadline {
                return Err(LabError::NotBooted { limit: QUICK, log: self.last_lines() });
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn wait_until_booted(&mut self) -> Result<(), LabError> {
        let deadline = Instant::now() + BOOT;
        let socket = self.dir.join("run/asterisk.ctl");
        loop {
            let up = socket.exists()
                && self.cli("core waitfullybooted").is_ok_and(|said| said.contains("fully booted"));
            if up {
                return Ok(());
            }
            let ended = self.process.as_mut().is_some_and(|process| process.status().is_some());
            if ended || Instant::now() >= deadline {
                return Err(LabError::NotBooted { limit: BOOT, log: self.last_lines() });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn last_lines(&self) -> String {
        let said = self.process.as_ref().map(Process::stderr).unwrap_or_default();
        let log = self.log(Log::Messages);
        let lines: Vec<&str> = said.lines().chain(log.lines()).collect();
        let from = lines.len().saturating_sub(20);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

/// Counts the lines with which Asterisk's SIP logger begins a received message, such as
/// `<--- Received SIP request (384 bytes) from UDP:203.0.113.66:5060 --->`.
fn received_from(log: &str, address: IpAddr) -> usize {
    let host = match address {
        IpAddr::V4(address) => format!(":{address}:"),
        IpAddr::V6(address) => format!(":[{address}]:"),
    };
    log.lines()
        .filter(|line| line.contains("<--- Received SIP "))
        .filter(|line| line.split(" from ").nth(1).is_some_and(|from| from.contains(&host)))
        .count()
}

/// The path of the root's own `asterisk`, to ask its version.
///
/// # Errors
/// When it cannot be run.
pub fn version(root: &Path) -> Result<String, LabError> {
    let mut command = Command::new("chroot");
    command.arg(root).args(["/usr/sbin/asterisk", "-V"]);
    must(command, QUICK).map(|output| output.stdout.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_messages_are_counted_by_their_source() {
        let log = "\
[x] VERBOSE[1] res_pjsip_logger.c: <--- Received SIP request (384 bytes) from UDP:203.0.113.66:5060 --->
OPTIONS sip:100@198.51.100.10 SIP/2.0
Via: SIP/2.0/UDP 203.0.113.6:5060
[x] VERBOSE[1] res_pjsip_logger.c: <--- Transmitting SIP response (503 bytes) to UDP:203.0.113.66:5060 --->
[x] VERBOSE[1] res_pjsip_logger.c: <--- Received SIP request (9 bytes) from TCP:203.0.113.6:41234 --->
";
        assert_eq!(received_from(log, "203.0.113.66".parse().unwrap()), 1);
        assert_eq!(received_from(log, "203.0.113.6".parse().unwrap()), 1);
        assert_eq!(received_from(log, "198.51.100.10".parse().unwrap()), 0);
    }
}
