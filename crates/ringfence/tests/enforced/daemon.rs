//! The real program, with directories of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::oracle::namespace::{Network, run, wait_until};

/// The program under test: `RINGFENCE_BIN` where the task runner built one, else the one that cargo built with this test.
fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// A directory with a bpf file system in it, which several daemons may share.
#[derive(Debug)]
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let place = Self { directory };
        std::fs::create_dir(place.bpffs()).expect("directory");
        // Mounted here, so that every command in the namespace sees the same one.
        run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(place.bpffs()));
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn bpffs(&self) -> PathBuf {
        self.path().join("bpf")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.bpffs()).status().ok();
    }
}

/// A running `ringfence run` in the host's namespace.
#[derive(Debug)]
pub(crate) struct Daemon<'a> {
    network: &'a Network,
    base: PathBuf,
    pins: PathBuf,
    child: Child,
}

impl<'a> Daemon<'a> {
    /// Starts the program; the policy is what [`Self::policy`] holds then. An error is what it said.
    pub(crate) fn start(
        network: &'a Network,
        place: &Place,
        name: &str,
        interface: &str,
        policy: &str,
    ) -> Result<Self, String> {
        let base = place.path().join(name);
        std::fs::create_dir_all(&base).expect("directory");
        let pins = place.bpffs().join(name);
        std::fs::write(base.join("policy"), policy).expect("policy");
        let mut command = network.host_command(&binary().display().to_string());
        command.args(["run", "--interface", interface, "--policy"]).arg(base.join("policy"));
        command.arg("--state-dir").arg(base.join("state"));
        command.arg("--run-dir").arg(base.join("run"));
        command.arg("--pin-dir").arg(&pins);
        let child = command
            .stdout(Stdio::null())
            .stderr(File::create(base.join("said")).expect("file"))
            .spawn()
            .expect("starts");
        let mut daemon = Self { network, base, pins, child };
        wait_until("ready line", Duration::from_secs(30), || {
            daemon.said().contains("ready:") || daemon.has_ended()
        });
        if daemon.has_ended() { Err(daemon.said()) } else { Ok(daemon) }
    }

    fn has_ended(&mut self) -> bool {
        !self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// What it wrote on stderr.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.base.join("said")).unwrap_or_default()
    }

    /// The `ready` line.
    pub(crate) fn ready(&self) -> String {
        let said = self.said();
        said.lines().find(|line| line.starts_with("ready:")).expect("it is ready").to_owned()
    }

    /// A command to the daemon.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.network.host_command(&binary().display().to_string());
        command.args(arguments).arg("--run-dir").arg(self.base.join("run"));
        command.output().expect("runs")
    }

    /// Puts another policy in force. An error is what the program said.
    pub(crate) fn reload(&self, policy: &str) -> Result<(), String> {
        std::fs::write(self.base.join("policy"), policy).expect("policy");
        let output = self.command(&["reload"]);
        if output.status.success() {
            return Ok(());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Err(format!("{}{}", text(&output.stdout), text(&output.stderr)))
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--format", "json"]);
        serde_json::from_slice(&output.stdout).expect("status is JSON")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            kill_process(Pid::from_child(&self.child), Signal::KILL).ok();
            self.child.wait().ok();
        }
        let mut command = self.network.host_command(&binary().display().to_string());
        command.args(["stop", "--clean", "--run-dir"]).arg(self.base.join("run"));
        command.arg("--pin-dir").arg(&self.pins).output().ok();
    }
}
