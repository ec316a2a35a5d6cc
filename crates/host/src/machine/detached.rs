//! File systems that are mounted for us alone: they have no path, so nobody else finds or replaces them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// What a process has kept that will not be able to mount.
static KEPT: Mutex<Vec<(&str, OwnedFd)>> = Mutex::new(Vec::new());

/// Mounts what is needed later, for a process that is about to give up `CAP_SYS_ADMIN`. Whoever has it not has nothing to keep.
pub fn keep() {
    for kind in ["sysfs", "cgroup2"] {
        if let Ok(mounted) = fresh(kind) {
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(known, _)| *known != kind);
            kept.push((kind, mounted));
        }
    }
}

/// Mounts a file system of `kind` nowhere, or gives what was kept of that kind. It is gone when the descriptor, and all that was
/// opened through it, is closed.
///
/// # Errors
///
/// Without `CAP_SYS_ADMIN`, or if the kernel has no such file system.
pub(crate) fn mount(kind: &str) -> io::Result<OwnedFd> {
    fresh(kind).or_else(|error| {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().find(|(known, _)| *known == kind);
        known.map_or(Err(error), |(_, mounted)| mounted.try_clone())
    })
}

fn fresh(kind: &str) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_RDONLY;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}
