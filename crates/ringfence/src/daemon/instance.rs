//! The run directory: one daemon per directory, and what a later command must know of it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use crate::exit::Exit;

const LOCK: &str = "lock";
const RECORD: &str = "instance.json";

/// What is known of the daemon that runs, or last ran, in a run directory. Written before the kernel is touched, so that
/// whatever a killed daemon left can be found and taken off.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Instance {
    /// Absolute.
    pub(crate) pin_dir: PathBuf,
    /// Whether the bpf file system on it was mounted for us.
    pub(crate) mounted: bool,
    /// Inode number of the network namespace.
    pub(crate) namespace: u64,
}

/// Held as long as the daemon lives; the kernel gives it back however the daemon ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Makes a directory that is root's alone, or checks that nobody else may write into the one that is there: what it holds
/// tells a root process what to remove.
pub(crate) fn private_dir(path: &Path) -> Result<(), Exit> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Exit::io("create", path))?;
    let metadata = fs::metadata(path).map_err(Exit::io("read", path))?;
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Err(Exit::System(format!(
            "{} can be written by others than root; `chown root` and `chmod 700` it, or name another directory",
            path.display()
        )));
    }
    Ok(())
}

/// Lets a group reach the socket in a directory, and nothing else in it.
pub(crate) fn open_to(path: &Path, group: u32) -> Result<(), Exit> {
    std::os::unix::fs::chown(path, None, Some(group)).map_err(Exit::io("protect", path))?;
    fs::set_permissions(path, Permissions::from_mode(0o710)).map_err(Exit::io("protect", path))
}

/// Takes a folder for as long as the lock lives.
fn lock(folder: &Path, what: &str, option: &str) -> Result<Lock, Exit> {
    let file = File::open(folder).map_err(Exit::io("open", folder))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Exit::No(format!(
            "another daemon uses the {what} {}; name another `{option}`, or end that daemon with `ringfence stop` and its \
             `--run-dir`",
            folder.display()
        ))),
        Err(error) => Err(Exit::io("lock", folder)(error.into())),
    }
}

impl Instance {
    /// Takes the run directory.
    pub(crate) fn lock(run_dir: &Path) -> Result<Lock, Exit> {
        private_dir(run_dir)?;
        let path = run_dir.join(LOCK);
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&path)
                .map_err(Exit::io("open", &path))?;
            file.set_permissions(Permissions::from_mode(0o600)).map_err(Exit::io("protect", &path))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Exit::No(format!(
                        "a daemon is running already with the run directory {}; `ringfence stop` ends it",
                        run_dir.display()
                    )));
                }
                Err(error) => return Err(Exit::io("lock", &path)(error.into())),
            }
            // Somebody who just cleaned up may have removed the file that we locked; then it is no lock any more.
            let same = |there: fs::Metadata| file.metadata().is_ok_and(|ours| ours.ino() == there.ino());
            if fs::metadata(&path).is_ok_and(same) {
                return Ok(Lock(file));
            }
        }
    }

    /// Takes the state directory: two daemons would each lift in the kernel what the other one bans.
    pub(crate) fn lock_state(state_dir: &Path) -> Result<Lock, Exit> {
        lock(state_dir, "state directory", "--state-dir")
    }

    /// Takes the folder of the pins, once it is there: two daemons would each switch the other one's gate.
    pub(crate) fn lock_pins(pin_dir: &Path) -> Result<Lock, Exit> {
        lock(pin_dir, "pins in", "--pin-dir")
    }

    /// Writes down what a later `stop --clean` needs; all of it or nothing.
    pub(crate) fn write(&self, run_dir: &Path) -> Result<(), Exit> {
        let path = run_dir.join(RECORD);
        let fresh = run_dir.join("instance.json.new");
        let text = json!({
            "pin_dir": self.pin_dir,
            "mounted": self.mounted,
            "namespace": self.namespace,
            "pid": std::process::id(),
        });
        fs::write(&fresh, text.to_string()).map_err(Exit::io("write", &fresh))?;
        fs::rename(&fresh, &path).map_err(Exit::io("write", &path))
    }

    /// What the last daemon wrote down, if root wrote it and it can be read.
    pub(crate) fn read(run_dir: &Path) -> Option<Self> {
        let path = run_dir.join(RECORD);
        if fs::metadata(&path).ok()?.uid() != 0 {
            return None;
        }
        let value: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        Some(Self {
            pin_dir: value.get("pin_dir")?.as_str()?.into(),
            mounted: value.get("mounted")?.as_bool()?,
            namespace: value.get("namespace")?.as_u64()?,
        })
    }

    /// The process that wrote the record, if root wrote it.
    pub(crate) fn pid(run_dir: &Path) -> Option<i32> {
        Self::read(run_dir)?;
        let value: Value = serde_json::from_str(&fs::read_to_string(run_dir.join(RECORD)).ok()?).ok()?;
        i32::try_from(value.get("pid")?.as_i64()?).ok()
    }

    /// Removes our files from the run directory, and the directory if nothing else is in it.
    pub(crate) fn forget(run_dir: &Path) -> Result<(), Exit> {
        for name in [RECORD, super::control::SOCKET, LOCK].into_iter().chain(super::confirm::FILES) {
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
