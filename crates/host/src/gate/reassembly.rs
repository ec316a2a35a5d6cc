//! The hook between reassembly and the sockets: the cgroup file system's root, which every socket belongs to.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType};
use rustix::fs::{Mode, OFlags, fstatfs, openat};

use super::{SOCKET, program};
use crate::error::Error;
use crate::machine::detached;

/// `CGROUP2_SUPER_MAGIC` in include/uapi/linux/magic.h.
const MAGIC: u64 = 0x6367_7270;

/// Attaches this generation's program and pins it in place of the one before: in between both search.
pub(super) fn attach(ebpf: &mut Ebpf, pin: &Path) -> Result<(), Error> {
    let root = root()?;
    let program: &mut CgroupSkb = program(ebpf, SOCKET)?;
    let id = program
        // "Single" stands for no flags; links are always one of several (`cgroup_bpf_link_attach` in kernel/bpf/cgroup.c).
        .attach(root, CgroupSkbAttachType::Ingress, CgroupAttachMode::Single)
        .map_err(Error::kernel("the search of reassembled datagrams"))?;
    let link = program.take_link(id).map_err(Error::kernel("the link of the search"))?;
    let link = FdLink::try_from(link).map_err(Error::kernel("the link of the search"))?;
    replace(link, pin)
}

/// Pins `link` under a second name and renames it: whenever we are killed, one link is pinned.
fn replace(link: FdLink, pin: &Path) -> Result<(), Error> {
    let second = second_name(pin);
    remove_file(&second)?;
    link.pin(&second).map_err(Error::kernel(format!("the pin {}", second.display())))?;
    fs::rename(&second, pin).map_err(Error::io("put the new link at", pin))
}

/// Removes the pin, and with it the hook.
pub(super) fn remove(pin: &Path) -> Result<(), Error> {
    remove_file(&second_name(pin))?;
    remove_file(pin)
}

/// What a daemon that was killed while it replaced the pin leaves.
fn second_name(pin: &Path) -> PathBuf {
    let mut name = pin.as_os_str().to_owned();
    name.push("-new");
    PathBuf::from(name)
}

fn remove_file(pin: &Path) -> Result<(), Error> {
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", pin)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether the pinned link runs this generation's program.
pub(super) fn is_in_force(ebpf: &Ebpf, pin: &Path) -> bool {
    let own = ebpf.program(SOCKET).and_then(|program| <&CgroupSkb>::try_from(program).ok()?.info().ok());
    let running = PinnedLink::from_pin(pin).ok().and_then(|link| FdLink::from(link).info().ok());
    matches!((own, running), (Some(own), Some(running)) if own.id() == running.program_id())
}

/// The root of the unified hierarchy. Where none is mounted (a fresh `/sys` after `ip netns exec`, say), it is mounted
/// for us alone.
fn root() -> Result<File, Error> {
    // A mount that is listed may be hidden under another one.
    let there = mounted().and_then(|path| File::open(path).ok());
    if let Some(root) =
        there.filter(|root| fstatfs(root).is_ok_and(|found| found.f_type.cast_unsigned() == MAGIC))
    {
        return Ok(root);
    }
    own_mount().map_err(Error::kernel("a mount of the cgroup file system"))
}

/// The kernel wants an open directory; what a mount returns only stands for a place (`O_PATH`).
fn own_mount() -> io::Result<File> {
    let mount = detached::mount("cgroup2")?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(openat(&mount, ".", flags, Mode::empty())?))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use gate::memory::GateTables;

    use super::*;

    #[test]
    fn the_cgroup_root_can_be_had_without_a_path() {
        if !lab::skip::ready("the_cgroup_root_can_be_had_without_a_path", &[]) {
            return;
        }
        let own = own_mount().unwrap().metadata().unwrap();
        assert!(own.is_dir());
        if let Some(path) = mounted() {
            let known = fs::metadata(path).unwrap();
            assert_eq!((own.dev(), own.ino()), (known.dev(), known.ino()), "another root");
        }
    }

    /// Removed with its pins, also when the test fails.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = remove(&self.0.join("cgroup-root"));
            let _ = fs::remove_dir(&self.0);
        }
    }

    #[test]
    fn a_new_link_takes_the_place_of_the_old_one_and_of_leftovers() {
        if !lab::skip::ready("a_new_link_takes_the_place_of_the_old_one_and_of_leftovers", &[]) {
            return;
        }
        let folder = Path::new("/sys/fs/bpf").join(format!("ringfence-test-{}", std::process::id()));
        crate::bpffs::prepare(&folder).unwrap();
        let _folder = Folder(folder.clone());
        let pin = folder.join("cgroup-root");
        let mut ebpf = super::super::load_object(&GateTables::default(), None).unwrap();
        super::super::load_programs(&mut ebpf).unwrap();
        let pinned = || PinnedLink::from_pin(&pin).ok().map(|link| FdLink::from(link).info().unwrap().id());
        let names = || fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name());

        attach(&mut ebpf, &pin).unwrap();
        let first = pinned().unwrap();
        // A daemon was killed before it renamed.
        let program: &mut CgroupSkb = program(&mut ebpf, SOCKET).unwrap();
        let id =
            program.attach(root().unwrap(), CgroupSkbAttachType::Ingress, CgroupAttachMode::Single).unwrap();
        let leftover = FdLink::try_from(program.take_link(id).unwrap()).unwrap();
        leftover.pin(second_name(&pin)).unwrap();
        assert_eq!(names().count(), 2);

        attach(&mut ebpf, &pin).unwrap();
        assert_ne!(pinned().unwrap(), first);
        assert_eq!(names().collect::<Vec<_>>(), ["cgroup-root"]);
        assert!(is_in_force(&ebpf, &pin));

        // Where the new one cannot be pinned, the old one stays.
        let second = pinned();
        fs::create_dir(second_name(&pin)).unwrap();
        attach(&mut ebpf, &pin).unwrap_err();
        assert_eq!(pinned(), second);
        fs::remove_dir(second_name(&pin)).unwrap();

        remove(&pin).unwrap();
        assert_eq!(names().count(), 0);
    }
}
