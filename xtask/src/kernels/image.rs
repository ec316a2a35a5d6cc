//! The initial RAM disk of an emulated machine: busybox, what the tests run and read, and the kernel's modules.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::packages::{Kernel, remove};
use crate::step::run;
use crate::workspace;

const INIT: &str = include_str!("init.sh");

/// Programs of the machine that the lab uses.
const PROGRAMS: [&str; 8] = ["ip", "nft", "ethtool", "nsenter", "unshare", "mount", "umount", "depmod"];
/// What busybox is good enough for.
const APPLETS: [&str; 10] =
    ["sh", "mkdir", "touch", "cat", "uname", "sleep", "modprobe", "poweroff", "timeout", "env"];
/// Folders and files of modules that netfilter and the lab may want; `modprobe` finds the right ones.
const MODULES: [&str; 9] = [
    "kernel/net/netfilter",
    "kernel/net/ipv4/netfilter",
    "kernel/net/ipv6/netfilter",
    "kernel/net/802",
    "kernel/net/sched",
    "kernel/drivers/net/veth",
    "kernel/lib",
    "kernel/crypto",
    "kernel/arch/x86/crypto",
];
/// Files of the project that the tests read.
const FILES: [&str; 3] = ["crates/host/tests/gate", "packaging/policy.toml", "samples/asterisk.rules"];

/// Makes the RAM disk in `dir`; `job` is the shell script that the machine runs. All of `binaries` are found where they are here.
pub(super) fn make(kernel: &Kernel, binaries: &[&Path], job: &str, dir: &Path) -> Result<PathBuf> {
    let root = dir.join("root");
    remove(&root)?;
    for folder in
        ["dev", "proc", "sys", "tmp", "run", "var/lib", "lib/modules", "lib64", "usr/bin", "usr/sbin"]
    {
        fs::create_dir_all(root.join(folder))?;
    }
    symlink("usr/sbin", root.join("sbin"))?;
    symlink("usr/bin", root.join("bin"))?;
    write(&root.join("init"), INIT)?;
    write(&root.join("job"), job)?;
    let busybox = lab::tools::find("busybox").context("there is no busybox")?;
    copy(&busybox, &root.join("usr/bin/busybox"))?;
    for applet in APPLETS {
        symlink("/usr/bin/busybox", root.join("usr/bin").join(applet))?;
    }
    // The kernel calls this very path.
    symlink("/usr/bin/busybox", root.join("usr/sbin/modprobe"))?;
    let mut with_libraries: Vec<PathBuf> = binaries.iter().map(|path| path.to_path_buf()).collect();
    for program in PROGRAMS {
        let here = lab::tools::find(program).with_context(|| format!("there is no `{program}`"))?;
        copy(&here, &root.join("usr/sbin").join(program))?;
        with_libraries.push(here);
    }
    for binary in binaries {
        copy(binary, &inside(&root, binary))?;
    }
    for library in libraries(&with_libraries)? {
        copy(&library, &inside(&root, &library))?;
    }
    for file in FILES {
        copy_all(&workspace().join(file), &inside(&root, &workspace().join(file)))?;
    }
    // Tests say `..` of their own package's folder, so it must be there.
    fs::create_dir_all(inside(&root, &workspace().join("crates/ringfence")))?;
    modules(kernel, &root)?;
    pack(&root, &dir.join("initrd"))
}

/// Copies the modules of a kernel that the tests want.
pub(crate) fn modules(kernel: &Kernel, root: &Path) -> Result<()> {
    let (from, to) = (kernel.modules(), root.join("lib/modules").join(&kernel.version));
    for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        copy(&from.join(name), &to.join(name))?;
    }
    for part in MODULES {
        // A module of the name, or a folder of them.
        for path in [from.join(part), from.join(format!("{part}.ko")), from.join(format!("{part}.ko.xz"))] {
            if path.exists() {
                copy_all(&path, &to.join(path.strip_prefix(&from)?))?;
            }
        }
    }
    // Busybox loads them as they are.
    let mut packed = Vec::new();
    find(&to, "xz", &mut packed)?;
    if !packed.is_empty() {
        let mut xz = Command::new("xz");
        xz.arg("-d").args(packed);
        ensure!(xz.status().context("cannot start `xz`")?.success(), "`xz` cannot unpack the modules");
    }
    let mut depmod = Command::new("depmod");
    depmod.arg("-b").arg(root).arg(&kernel.version);
    run(depmod)
}

fn find(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, extension, found)?;
        } else if path.extension().is_some_and(|here| here == extension) {
            found.push(path);
        }
    }
    Ok(())
}

/// What the programs load, by the absolute paths in `ldd`'s answers; a static program has none.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for program in programs {
        let output = Command::new("ldd").arg(program).output().context("cannot start `ldd`")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        all.extend(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    Ok(all)
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Packs a folder as an initial RAM disk.
pub(crate) fn pack(root: &Path, initrd: &Path) -> Result<PathBuf> {
    let mut list = Command::new("find").arg(".").current_dir(root).stdout(Stdio::piped()).spawn()?;
    let names = list.stdout.take().context("`find` has no output")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--quiet", "--owner=0:0"]).current_dir(root);
    cpio.stdin(names).stdout(File::create(initrd)?);
    let packed = cpio.status().context("cannot start `cpio`")?.success();
    ensure!(list.wait()?.success() && packed, "`cpio` failed");
    Ok(initrd.to_owned())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return copy(from, to);
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))?;
    Ok(())
}
