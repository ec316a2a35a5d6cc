//! The run directory: one daemon per directory, and what a later command must know of it.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::exit::Exit;

/// What is known of the daemon that runs, or last ran, in a run directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Instance {
    pub(crate) pin_dir: PathBuf,
}

/// Held as long as the daemon lives; the kernel gives it back however the daemon ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Instance {
    /// Takes the run directory.
    pub(crate) fn lock(run_dir: &Path) -> Result<Lock, Exit> {
        fs::create_dir_all(run_dir).map_err(Exit::io("create", run_dir))?;
        let path = run_dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Exit::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Exit::No(format!(
                "a daemon is running already with the run directory {}; `ringfence stop` ends it",
                run_dir.display()
            ))),
            Err(error) => Err(Exit::io("lock", &path)(error.into())),
        }
    }

    /// Writes down what a later `stop --clean` needs.
    pub(crate) fn write(&self, run_dir: &Path) -> Result<(), Exit> {
        let path = run_dir.join("instance.json");
        let text = json!({ "pin_dir": self.pin_dir, "pid": std::process::id() }).to_string();
        fs::write(&path, text).map_err(Exit::io("write", &path))
    }

    /// What the last daemon wrote down, if it can be read.
    pub(crate) fn read(run_dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(run_dir.join("instance.json")).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        Some(Self { pin_dir: value.get("pin_dir")?.as_str()?.into() })
    }

    /// Removes our files from the run directory, and the directory if nothing else is in it.
    pub(crate) fn forget(run_dir: &Path) -> Result<(), Exit> {
        for name in ["instance.json", "lock", super::control::SOCKET] {
            let path = run_dir.join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(Exit::io("remove", &path))?;
            }
        }
        // Somebody else's files keep it.
        let _ = fs::remove_dir(run_dir);
        Ok(())
    }

    /// Waits until no daemon holds the run directory.
    pub(crate) fn wait_for_end(run_dir: &Path, patience: Duration) -> Result<(), Exit> {
        let start = Instant::now();
        while Self::lock(run_dir).is_err() {
            if start.elapsed() > patience {
                return Err(Exit::System(format!(
                    "the daemon has not ended within {} s",
                    patience.as_secs()
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
