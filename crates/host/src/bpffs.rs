//! The bpf file system. Links and maps that are pinned there go on when the daemon is gone.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{StatFs, statfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::error::Error;

/// `BPF_FS_MAGIC` in include/uapi/linux/magic.h.
const MAGIC: u64 = 0xcafe_4a11;
/// Where systemd mounts it for everybody.
const STANDARD: &str = "/sys/fs/bpf";

/// Makes `pins` (an absolute path) a directory on a bpf file system. `/sys/fs/bpf` is mounted where systemd has not done
/// it; elsewhere a file system of our own is mounted on `pins` itself. Returns whether that was done just now.
///
/// # Errors
///
/// [`Error::Io`] with the operation that failed.
pub fn prepare(pins: &Path) -> Result<bool, Error> {
    let standard = Path::new(STANDARD);
    if pins.starts_with(standard) && !is_bpffs(standard) {
        mount_on(standard)?;
    }
    let on_bpffs = existing_ancestor(pins).is_some_and(|ancestor| is_bpffs(&ancestor));
    fs::create_dir_all(pins).map_err(Error::io("create", pins))?;
    if !on_bpffs {
        mount_on(pins)?;
    }
    Ok(!on_bpffs)
}

/// Whether `path` is on a bpf file system. Nothing is ever deleted elsewhere.
pub fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found: StatFs| found.f_type.cast_unsigned() == MAGIC)
}

/// Gives the directory back: takes off the file system that [`prepare`] mounted for it, or removes it if it is empty.
///
/// # Errors
///
/// [`Error::Io`] with the operation that failed.
pub fn give_back(pins: &Path, mounted: bool) -> Result<(), Error> {
    if mounted && pins != Path::new(STANDARD) && is_bpffs(pins) {
        unmount(pins, UnmountFlags::DETACH).map_err(|error| Error::io("unmount", pins)(error.into()))?;
    }
    // Somebody else's pins keep it.
    let _ = fs::remove_dir(pins);
    Ok(())
}

fn mount_on(path: &Path) -> Result<(), Error> {
    mount("bpf", path, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, Some(c"mode=700"))
        .map_err(|error| Error::io("mount a bpf file system on", path)(error.into()))
}

fn existing_ancestor(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|ancestor| ancestor.exists()).map(Path::to_path_buf)
}
