//! Ringfence itself in the PBX's namespace: the program under test, driven by nothing but its command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{LabError, file};
use crate::network::Lab;
use crate::process::{Output, Process, run};
use crate::system_log::SystemLog;
use crate::topology::Node;

const READY: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives the daemon a `/dev` with the lab's own `log` in it, in a mount namespace that ends with it: a machine without a
/// system log has no `/dev/log`, and one with it should not find the lab's attackers there. Its arguments: a directory for
/// the new `/dev`, the socket, and the command.
const WITH_LOG: &str = r#"
dev="$1" socket="$2"
shift 2
mount -t tmpfs tmpfs "$dev"
for name in null zero full random urandom tty; do
    touch "$dev/$name"
    mount --bind "/dev/$name" "$dev/$name"
done
mkdir -m 1777 "$dev/shm"
touch "$dev/log"
mount --bind "$socket" "$dev/log"
mount --rbind "$dev" /dev
exec "$@"
"#;

/// A `ringfence` whose state, control socket and pins are all in the lab's own directory.
#[derive(Debug)]
pub struct Guard<'lab> {
    lab: &'lab Lab,
    binary: PathBuf,
    process: Process,
    log: SystemLog,
    ready: String,
}

impl<'lab> Guard<'lab> {
    /// Starts `ringfence run` with a policy and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends or is silent for 30 s; the error holds what it said.
    pub fn start(lab: &'lab Lab, binary: &Path, policy: &Path) -> Result<Self, LabError> {
        Self::start_with(lab, binary, policy, &[])
    }

    /// As [`Guard::start`], with more options for `run`, such as `--observe`.
    ///
    /// # Errors
    /// As [`Guard::start`].
    pub fn start_with(lab: &'lab Lab, binary: &Path, policy: &Path, more: &[&str]) -> Result<Self, LabError> {
        Self::launch(lab, binary, policy, &[&["--interface", Node::INTERFACE], more].concat(), &[])
    }

    /// As [`Guard::start`], before these interfaces or, without any, before all; with more in its environment.
    ///
    /// # Errors
    /// As [`Guard::start`].
    pub fn start_before(
        lab: &'lab Lab,
        binary: &Path,
        policy: &Path,
        interfaces: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, LabError> {
        let options: Vec<&str> = interfaces.iter().flat_map(|name| ["--interface", name]).collect();
        Self::launch(lab, binary, policy, &options, environment)
    }

    fn launch(
        lab: &'lab Lab,
        binary: &Path,
        policy: &Path,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, LabError> {
        let base = lab.dir().join("ringfence");
        std::fs::create_dir_all(&base).map_err(file("create", &base))?;
        let serial = lab.next();
        let log = SystemLog::listen(&base.join(format!("log-{serial}")))?;
        let dev = base.join(format!("dev-{serial}"));
        std::fs::create_dir_all(&dev).map_err(file("create", &dev))?;
        let mut command = lab.command(Node::Pbx, "unshare");
        command.args(["--mount", "--propagation", "slave", "--", "sh", "-ec", WITH_LOG, "sh"]);
        command.arg(&dev).arg(log.path()).arg(binary).arg("run").arg("--policy").arg(policy);
        command.args(directories(lab)).args(options).envs(environment.iter().copied());
        let mut process = lab.spawn("ringfence", command)?;
        let Some(ready) = process.wait_for_line("ready", READY) else {
            return Err(LabError::NotReady { limit: READY, said: process.stderr() });
        };
        Ok(Self { lab, binary: binary.to_owned(), process, log, ready })
    }

    /// The `ready` line.
    #[must_use]
    pub fn ready(&self) -> &str {
        &self.ready
    }

    /// The daemon's process.
    #[must_use]
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What the daemon has written to the system's log so far, each line with its priority in front: `<30>ringfence: …`.
    #[must_use]
    pub fn system_log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The daemon's `--state-dir`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.lab.dir().join("ringfence/state")
    }

    /// Runs `ringfence <args>` against this daemon, in the same namespace.
    ///
    /// # Errors
    /// When it cannot be started or takes longer than 30 s.
    pub fn command(&self, args: &[&str]) -> Result<Output, LabError> {
        ringfence(self.lab, &self.binary, args)
    }
}

/// Runs `ringfence <args>` in the PBX's namespace with the `--run-dir` that [`Guard::start`] gives to the daemon.
///
/// # Errors
/// When it cannot be started or takes longer than 30 s.
pub fn ringfence(lab: &Lab, binary: &Path, args: &[&str]) -> Result<Output, LabError> {
    let program = binary.display().to_string();
    let mut command = lab.command(Node::Pbx, &program);
    command.args(args).args(run_dir(lab));
    run(command, PATIENCE)
}

/// What is left in the PBX's namespace of any packet filter: one line for each nft table, BPF program on an interface, traffic
/// control hook and pin. Empty when the machine is as it was.
///
/// # Errors
/// When the tools that look cannot be run.
pub fn remains(lab: &Lab) -> Result<Vec<String>, LabError> {
    let mut found = Vec::new();
    let tables = lab.must(Node::Pbx, ["nft", "list", "tables"])?.stdout;
    found.extend(tables.lines().map(|table| format!("nft: {table}")));
    let links = lab.must(Node::Pbx, ["ip", "-d", "link", "show"])?.stdout;
    found.extend(
        links.lines().filter(|line| line.contains("xdp")).map(|line| format!("link: {}", line.trim())),
    );
    let hooks = lab.must(Node::Pbx, ["tc", "qdisc", "show"])?.stdout;
    let clsact = hooks.lines().filter(|line| line.contains("clsact") || line.contains("ingress"));
    found.extend(clsact.map(|line| format!("tc: {line}")));
    let attached = lab.must(Node::Pbx, ["bpftool", "net", "list", "dev", Node::INTERFACE])?.stdout;
    // A heading for each kind of hook, and below it what is attached.
    let programs = attached.lines().filter(|line| line.contains(Node::INTERFACE));
    found.extend(programs.map(|line| format!("bpf: {line}")));
    pins(&lab.bpffs(), &mut found)?;
    Ok(found)
}

fn pins(dir: &Path, found: &mut Vec<String>) -> Result<(), LabError> {
    for entry in std::fs::read_dir(dir).map_err(file("read", dir))? {
        let path = entry.map_err(file("read", dir))?.path();
        // The kernel puts these two into every new bpffs.
        if path.ends_with("maps.debug") || path.ends_with("progs.debug") {
            continue;
        }
        found.push(format!("pin: {}", path.display()));
        if path.is_dir() {
            pins(&path, found)?;
        }
    }
    Ok(())
}

/// The options that keep this instance apart from any other on the machine.
fn directories(lab: &Lab) -> Vec<String> {
    let base = lab.dir().join("ringfence");
    let dirs = [("--state-dir", base.join("state")), ("--pin-dir", lab.bpffs().join("ringfence"))];
    let mut options = run_dir(lab).to_vec();
    options.extend(dirs.into_iter().flat_map(|(option, dir)| [option.to_owned(), dir.display().to_string()]));
    options
}

/// What each command that talks to the daemon takes.
fn run_dir(lab: &Lab) -> [String; 2] {
    ["--run-dir".to_owned(), lab.dir().join("ringfence/run").display().to_string()]
}
