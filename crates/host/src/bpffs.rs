//! The bpf file system. Links and maps that are pinned there go on when the daemon is gone.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{StatFs, statfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::error::Error;

/// `BPF_FS_MAGIC` in include/uapi/linux/magic.h.
const MAGIC: u64 = 0xcafe_4a11;

/// Makes `pins` a directory on a bpf file system. `/sys/fs/bpf` is mounted where systemd has not done it; elsewhere a
/// file system of our own is mounted on `pins` itself.
///
/// # Errors
///
/// [`Error::Io`] with the operation that failed.
pub fn prepare(pins: &Path) -> Result<(), Error> {
    let standard = Path::new("/sys/fs/bpf");
    if pins.starts_with(standard) && !is_bpffs(standard) {
        mount_on(standard)?;
    }
    if !existing_ancestor(pins).is_some_and(|ancestor| is_bpffs(&ancestor)) {
        fs::create_dir_all(pins).map_err(Error::io("create", pins))?;
        mount_on(pins)?;
    }
    fs::create_dir_all(pins).map_err(Error::io("create", pins))
}

/// Removes `pins` with all that is in it, and the file system if it was mounted for it alone.
///
/// # Errors
///
/// [`Error::Io`] with the operation that failed.
pub fn remove(pins: &Path) -> Result<(), Error> {
    if !pins.exists() {
        return Ok(());
    }
    let own_mount = pins.parent().is_some_and(|parent| !is_bpffs(parent)) && is_bpffs(pins);
    if own_mount {
        for entry in fs::read_dir(pins).map_err(Error::io("read", pins))?.flatten() {
            remove_tree(&entry.path())?;
        }
        unmount(pins, UnmountFlags::DETACH).map_err(|error| Error::io("unmount", pins)(error.into()))?;
        return fs::remove_dir(pins).map_err(Error::io("remove", pins));
    }
    remove_tree(pins)
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    let result = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    result.map_err(Error::io("remove", path))
}

fn mount_on(path: &Path) -> Result<(), Error> {
    mount("bpf", path, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, Some(c"mode=700"))
        .map_err(|error| Error::io("mount a bpf file system on", path)(error.into()))
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found: StatFs| found.f_type.cast_unsigned() == MAGIC)
}

fn existing_ancestor(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|ancestor| ancestor.exists()).map(Path::to_path_buf)
}
