//! The namespaces of one lab and what runs in them.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::asterisk::{Asterisk, AsteriskOptions};
use crate::error::{LabError, file, system};
use crate::process::{Output, Process, must, run};
use crate::state;
use crate::tools;
use crate::topology::{Node, host_batch, router_batch, settings};

/// How long a command in the lab may take when nothing else is said.
const PATIENCE: Duration = Duration::from_secs(60);
const QUICK: Duration = Duration::from_secs(10);

/// A lab that is up. Dropping it removes it, unless it was made to stay.
#[derive(Debug)]
pub struct Lab {
    id: String,
    /// Held as long as the lab lives; `None` for a lab that stays, or that another process made.
    owner: Option<File>,
    serial: AtomicU32,
}

impl Lab {
    /// Makes a lab that lives as long as the returned value. Its namespaces are called `rf-<name>-<process id>-<node>`, so
    /// the same name may be used by two programs at once, but only once in each. Remains of dead labs are removed first.
    ///
    /// # Errors
    /// Without root, when a tool is missing, or when the kernel refuses a namespace or link.
    pub fn up(name: &str) -> Result<Self, LabError> {
        Self::build(name, &format!("{name}-{}", std::process::id()), false)
    }

    /// Makes a lab of exactly this name that stays until [`Lab::down`].
    ///
    /// # Errors
    /// As [`Lab::up`], and when there is one of this name.
    pub fn up_to_stay(name: &str) -> Result<Self, LabError> {
        Self::build(name, name, true)
    }

    /// The lab of this name that was made to stay.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(name: &str) -> Result<Self, LabError> {
        state::check_name(name)?;
        if !state::dir(name).join("keep").exists() {
            return Err(LabError::NotUp(name.to_owned()));
        }
        Ok(Self { id: name.to_owned(), owner: None, serial: AtomicU32::new(std::process::id()) })
    }

    /// Removes the lab of this name, whole or broken, and all dead ones.
    ///
    /// # Errors
    /// Without root, or when something cannot be removed.
    pub fn down(name: &str) -> Result<(), LabError> {
        state::check_name(name)?;
        need_root()?;
        let _making = state::lock_all()?;
        state::sweep()?;
        state::remove(name)
    }

    fn build(name: &str, id: &str, stay: bool) -> Result<Self, LabError> {
        state::check_name(name)?;
        need_root()?;
        tools::need(&["ip", "ethtool", "nft"])?;
        let making = state::lock_all()?;
        state::sweep()?;
        let owner = state::claim(id)?;
        let mut lab = Self { id: id.to_owned(), owner: Some(owner), serial: AtomicU32::new(0) };
        let laid = lab.lay();
        // Before `lab` may be dropped, which removes what was made so far and takes the same lock for that.
        drop(making);
        laid?;
        if stay {
            let keep = lab.dir().join("keep");
            fs::write(&keep, "").map_err(file("write", &keep))?;
            lab.owner = None;
        }
        Ok(lab)
    }

    /// The lab's name, as `/run/ringfence-lab/<id>` and the namespaces have it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The lab's own directory, removed with it.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        state::dir(&self.id)
    }

    /// A bpffs of the lab's own, unmounted with it, so that pins never outlive the lab.
    #[must_use]
    pub fn bpffs(&self) -> PathBuf {
        self.dir().join("bpf")
    }

    /// The name of a node's namespace, as `ip netns` has it.
    #[must_use]
    pub fn namespace(&self, node: Node) -> String {
        state::namespace(&self.id, node)
    }

    /// A command that runs in a node's namespace. It is `nsenter` and not `ip netns exec`, which would give each command a
    /// `/sys` of its own, without the bpffs that pins live in.
    #[must_use]
    pub fn command(&self, node: Node, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", state::namespace_path(&self.id, node).display()));
        command.arg("--").arg(program);
        command
    }

    /// Runs a command in a node's namespace to its end, whatever its exit status, for at most a minute.
    ///
    /// # Errors
    /// When it cannot be started or takes longer.
    pub fn exec<const N: usize>(&self, node: Node, argv: [&str; N]) -> Result<Output, LabError> {
        run(self.command_of(node, &argv), PATIENCE)
    }

    /// As [`Lab::exec`], and a non-zero exit status is an error.
    ///
    /// # Errors
    /// When it cannot be started, fails, or takes longer than a minute.
    pub fn must<const N: usize>(&self, node: Node, argv: [&str; N]) -> Result<Output, LabError> {
        must(self.command_of(node, &argv), PATIENCE)
    }

    /// Starts a background process from a command made by [`Lab::command`]; its output is kept in the lab's directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process, LabError> {
        Process::start(command, &self.dir().join("log").join(format!("{name}-{}", self.next())))
    }

    /// Runs `work` on a thread inside a node's namespace: sockets that it opens belong there, also when it is done.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn inside<T: Send>(&self, node: Node, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let path = state::namespace_path(&self.id, node);
        let namespace = File::open(&path).map_err(file("open", &path))?;
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&namespace),
                    Some(LinkNameSpaceType::Network),
                )
                .map_err(system(format!("enter `{}`", path.display())))?;
                Ok(work())
            });
            match worker.join() {
                Ok(result) => result,
                // A failed assertion in `work` is the caller's failed assertion.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts Asterisk 22 in the PBX's namespace and waits until it answers.
    ///
    /// # Errors
    /// When its files cannot be had (see [`asterisk::root`](crate::asterisk::root)) or it does not come up.
    pub fn asterisk(&self, options: &AsteriskOptions) -> Result<Asterisk, LabError> {
        Asterisk::start(self, options, false)
    }

    /// As [`Lab::asterisk`], with SIP over TLS, and with what tells of it: the manager, and copies by HEP. The names, ports and
    /// secrets are constants of [`asterisk`](crate::asterisk). The next one in the same lab has the same certificate.
    ///
    /// # Errors
    /// As [`Lab::asterisk`], and when `openssl` is missing.
    pub fn asterisk_that_testifies(&self, options: &AsteriskOptions) -> Result<Asterisk, LabError> {
        Asterisk::start(self, options, true)
    }

    /// A number that no other call on this lab gets.
    pub(crate) fn next(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// A fresh directory for one run of a tool, which may litter there.
    pub(crate) fn scratch(&self, tool: &str) -> Result<PathBuf, LabError> {
        let dir = self.dir().join("scratch").join(format!("{tool}-{}", self.next()));
        fs::create_dir_all(&dir).map_err(file("create", &dir))?;
        Ok(dir)
    }

    fn command_of(&self, node: Node, argv: &[&str]) -> Command {
        let (program, args) = argv.split_first().unwrap_or((&"true", &[]));
        let mut command = self.command(node, program);
        command.args(args);
        command
    }

    fn lay(&self) -> Result<(), LabError> {
        for node in Node::ALL {
            must(state::ip(["netns", "add", &self.namespace(node)]), QUICK)?;
            self.inside(node, || set(node))??;
        }
        let router = router_batch(|node| self.namespace(node));
        self.batch(Node::Net, &router)?;
        for host in Node::HOSTS {
            self.batch(host, &host_batch(host))?;
            // Frames as on a real wire: whole checksums, no segments larger than the link.
            self.offloads_off(host, Node::INTERFACE)?;
            self.offloads_off(Node::Net, host.name())?;
        }
        let bpffs = self.bpffs();
        fs::create_dir_all(&bpffs).map_err(file("create", &bpffs))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "bpf", "bpf"]).arg(&bpffs);
        must(mount, QUICK).map(|_| ())
    }

    fn batch(&self, node: Node, commands: &str) -> Result<(), LabError> {
        let path = self.dir().join(format!("{node}.ip"));
        fs::write(&path, commands).map_err(file("write", &path))?;
        let mut command = state::ip(["-n", &self.namespace(node), "-batch"]);
        command.arg(&path);
        must(command, QUICK).map(|_| ())
    }

    fn offloads_off(&self, node: Node, interface: &str) -> Result<(), LabError> {
        self.must(node, ["ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off"])
            .map(|_| ())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.owner.is_none() {
            return;
        }
        let removed = state::lock_all().and_then(|_making| state::remove(&self.id));
        if let Err(error) = removed {
            // The next `up` tries again; a panic here would hide the test's own.
            writeln!(std::io::stderr(), "the lab `{}` is not wholly removed: {error}", self.id).ok();
        }
    }
}

/// Runs an interactive command in a node's namespace, with this program's own terminal. Returns its exit status.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn attach(mut command: Command) -> Result<std::process::ExitStatus, LabError> {
    let line = crate::process::command_line(&command);
    command.stdin(Stdio::inherit());
    command.status().map_err(|source| LabError::Start { command: line, source })
}

impl Lab {
    /// Runs a command in a node's namespace with this program's own input and output, as long as it takes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn attach(&self, node: Node, argv: &[String]) -> Result<std::process::ExitStatus, LabError> {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        attach(self.command_of(node, &argv))
    }
}

fn need_root() -> Result<(), LabError> {
    if geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

fn set(node: Node) -> Result<(), LabError> {
    for (name, value) in settings(node) {
        let path = Path::new("/proc/sys/net").join(name);
        // A kernel without IPv6 has no such setting, and no need of it.
        if path.exists() {
            fs::write(&path, value).map_err(file("write", &path))?;
        }
    }
    Ok(())
}
