//! The hook between reassembly and the sockets: the cgroup file system's root, which every socket belongs to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType};
use rustix::fs::fstatfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{SOCKET, program};
use crate::error::Error;

/// `CGROUP2_SUPER_MAGIC` in include/uapi/linux/magic.h.
const MAGIC: u64 = 0x6367_7270;

/// Attaches this generation's program and pins it, then lets the one before go: in between both search.
pub(super) fn attach(ebpf: &mut Ebpf, pin: &Path) -> Result<(), Error> {
    let before = PinnedLink::from_pin(pin).ok().map(FdLink::from);
    let root = root()?;
    let program: &mut CgroupSkb = program(ebpf, SOCKET)?;
    let id = program
        // "Single" stands for no flags; links are always one of several (`cgroup_bpf_link_attach` in kernel/bpf/cgroup.c).
        .attach(root, CgroupSkbAttachType::Ingress, CgroupAttachMode::Single)
        .map_err(Error::kernel("the search of reassembled datagrams"))?;
    let link = program.take_link(id).map_err(Error::kernel("the link of the search"))?;
    let link = FdLink::try_from(link).map_err(Error::kernel("the link of the search"))?;
    remove(pin)?;
    link.pin(pin).map_err(Error::kernel(format!("the pin {}", pin.display())))?;
    drop(before);
    Ok(())
}

/// Removes the pin, and with it the hook.
pub(super) fn remove(pin: &Path) -> Result<(), Error> {
    if pin.exists() {
        fs::remove_file(pin).map_err(Error::io("remove", pin))?;
    }
    Ok(())
}

/// Whether the pinned link runs this generation's program.
pub(super) fn is_in_force(ebpf: &Ebpf, pin: &Path) -> bool {
    let own = ebpf.program(SOCKET).and_then(|program| <&CgroupSkb>::try_from(program).ok()?.info().ok());
    let running = PinnedLink::from_pin(pin).ok().and_then(|link| FdLink::from(link).info().ok());
    matches!((own, running), (Some(own), Some(running)) if own.id() == running.program_id())
}

/// The root of the unified hierarchy. Where none is mounted (a fresh `/sys` after `ip netns exec`, say), it is mounted
/// for as long as it takes to open it.
fn root() -> Result<File, Error> {
    // A mount that is listed may be hidden under another one.
    let there = mounted().and_then(|path| File::open(path).ok());
    if let Some(root) =
        there.filter(|root| fstatfs(root).is_ok_and(|found| found.f_type.cast_unsigned() == MAGIC))
    {
        return Ok(root);
    }
    let path = std::env::temp_dir().join(format!("ringfence-cgroup-{}", std::process::id()));
    fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let file = mount("none", &path, "cgroup2", flags, None)
        .map_err(|error| Error::io("mount the cgroup file system on", &path)(error.into()))
        .and_then(|()| File::open(&path).map_err(Error::io("open", &path)));
    // Nothing is lost if these fail but an empty folder.
    let _ = unmount(&path, UnmountFlags::DETACH);
    let _ = fs::remove_dir(&path);
    file
}

/// Where the root of the unified hierarchy is mounted (proc(5), `/proc/pid/mountinfo`: the fourth field is the root
/// within the file system, the fifth the mount point, the type stands behind a lone dash).
fn mounted() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").ok()?;
    text.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let whole = fields.next()? == "/";
        let point = fields.next()?;
        (whole && right.split(' ').next()? == "cgroup2").then(|| PathBuf::from(point))
    })
}
