//! Processes with a time limit, and background processes that end with their handle.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{LabError, file};

/// Output beyond this many bytes per stream is read and thrown away.
const OUTPUT_LIMIT: u64 = 16 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(5);

/// What a finished process left.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output, at most 16 MiB of it.
    pub stdout: String,
    /// Its standard error, at most 16 MiB of it.
    pub stderr: String,
}

impl Output {
    /// Standard output and standard error, one after the other.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end, whatever its exit status, in a process group of its own that is killed when it is not done
/// within `limit`.
///
/// # Errors
/// When it cannot be started or is too slow.
pub fn run(mut command: Command, limit: Duration) -> Result<Output, LabError> {
    let line = command_line(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|source| LabError::Start { command: line.clone(), source })?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let ended = wait_until(&mut child, Instant::now() + limit);
    // Also after a normal end: a grandchild that kept the pipes open would make the readers wait for ever.
    kill_group(&child);
    let Some(status) = ended else {
        child.wait().ok();
        return Err(LabError::TooSlow { command: line, limit });
    };
    let text = |reader: thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
    };
    Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
}

/// As [`run`], and a non-zero exit status is an error too.
pub(crate) fn must(command: Command, limit: Duration) -> Result<Output, LabError> {
    let line = command_line(&command);
    let output = run(command, limit)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    Err(LabError::Failed { command: line, status: output.status, stderr: said.trim().to_owned() })
}

/// A background process. It is killed, with all its children, when the handle is dropped.
#[derive(Debug)]
pub struct Process {
    child: Option<Child>,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `command` with its output going to `<log>.out` and `<log>.err`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, LabError> {
        let out = log.with_extension("out");
        let err = log.with_extension("err");
        command
            .stdin(Stdio::null())
            .stdout(File::create(&out).map_err(file("create", &out))?)
            .stderr(File::create(&err).map_err(file("create", &err))?)
            .process_group(0);
        let line = command_line(&command);
        let child = command.spawn().map_err(|source| LabError::Start { command: line, source })?;
        Ok(Self { child: Some(child), out, err })
    }

    /// The process id, which is the process group's id too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.out)
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.err)
    }

    /// How it ended, or `None` while it runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Waits at most `limit` for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        wait_until(child, Instant::now() + limit)
    }

    /// Waits at most `limit` for a line on standard error that begins with `prefix`, and returns that line. `None` when the
    /// time is over or the process ended without it.
    pub fn wait_for_line(&mut self, prefix: &str, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            // The end is looked at before the output, so that the last words of a dying process are not missed.
            let over = self.status().is_some() || Instant::now() >= deadline;
            let text = self.stderr();
            // A line counts once it is whole.
            let mut whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = whole.find(|line| line.starts_with(prefix)) {
                return Some(line.trim_end().to_owned());
            }
            if over {
                return None;
            }
            thread::sleep(POLL);
        }
    }

    /// Sends a signal to the process group; a group that is gone already is no error.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(pid_of) {
            kill_process_group(pid, signal).ok();
        }
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            child.wait().ok();
        }
    }

    /// Lets it run on after this handle, and after this program.
    pub fn leave(mut self) -> u32 {
        let id = self.id();
        self.child = None;
        id
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command as a person would type it.
pub(crate) fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let arg = arg.to_string_lossy();
        let plain =
            !arg.is_empty() && !arg.contains(|c: char| c.is_whitespace() || "'\"$&|;<>()".contains(c));
        let written = if plain { write!(line, " {arg}") } else { write!(line, " {arg:?}") };
        // Writing to a string cannot fail.
        written.ok();
    }
    line
}

fn wait_until(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL);
    }
}

fn kill_group(child: &Child) {
    if let Some(pid) = pid_of(child) {
        kill_process_group(pid, Signal::KILL).ok();
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

fn collect<R: Read + Send + 'static>(stream: Option<R>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            stream.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut kept).ok();
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        }
        kept
    })
}

pub(crate) fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status_are_kept() {
        let output = run(sh("echo out; echo err >&2; exit 3"), Duration::from_secs(5)).unwrap();
        assert_eq!(output.stdout, "out\n");
        assert_eq!(output.stderr, "err\n");
        assert_eq!(output.status.code(), Some(3));
        let error = must(sh("echo why >&2; exit 3"), Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }

    #[test]
    fn a_slow_process_is_ended_with_its_children() {
        let begin = Instant::now();
        let error = run(sh("sleep 30 & sleep 30"), Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, LabError::TooSlow { .. }), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_grandchild_holding_the_pipe_does_not_hang_the_caller() {
        let begin = Instant::now();
        let output = run(sh("sleep 30 & echo done"), Duration::from_secs(20)).unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_background_process_ends_with_its_handle() {
        let dir = std::env::temp_dir().join(format!("ringfence-lab-process-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut process = Process::start(sh("echo ready now >&2; sleep 60"), &dir.join("sh")).unwrap();
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        assert_eq!(process.wait_for_line("ready", Duration::from_secs(5)).as_deref(), Some("ready now"));
        assert_eq!(process.wait_for_line("never", Duration::from_millis(50)), None);
        drop(process);
        assert!(rustix::process::test_kill_process(pid).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
