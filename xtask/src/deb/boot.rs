//! The package on a Debian 12 with systemd, in an emulated machine before a real Asterisk: installed, started, tried with calls and
//! scanners, upgraded under traffic, purged.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::install::is_root;
use crate::kernels::{Machine, image, kernel};
use crate::step::run as step;
use crate::target_dir;

const TRIAL: &str = include_str!("boot/trial.sh");
const ASK: &str = include_str!("boot/ask.py");
const FLOOD: &str = include_str!("boot/flood.py");
/// Debian 12's.
const KERNEL: &str = "6.1";
const PACKAGES: &str = "nftables,systemd-sysv,dbus,iproute2,kmod,procps,python3-minimal,sip-tester";
/// Of the PBX's Debian, what it does not need to run.
const UNUSED: [&str; 9] = [
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/info",
    "usr/share/icons",
    "usr/share/zoneinfo",
    "usr/include",
    "var/cache",
    "var/lib/apt",
];
/// Runs the trial when the machine is up, on the serial line.
const UNIT: &str = "[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/bin/bash /boot-trial/trial.sh\n\
    StandardOutput=tty\nStandardError=tty\nTTYPath=/dev/ttyS0\n";
/// Three minutes on a machine that does nothing else.
const LIMIT: Duration = Duration::from_secs(1200);

pub(super) fn run(package: &Path, newer: &Path) -> Result<()> {
    ensure!(is_root(), "a Debian of its own needs root");
    crate::kernels::tools()?;
    let dir = target_dir().join("deb/boot");
    fs::create_dir_all(&dir).context("cannot make the folder for the machine")?;
    let kernel = kernel(KERNEL, &target_dir().join("kernels"))?;
    let root = fresh(&dir)?;
    let trial = root.join("boot-trial");
    fs::create_dir_all(&trial)?;
    fs::copy(package, trial.join("ringfence.deb")).context("cannot copy the package")?;
    fs::copy(newer, trial.join("ringfence-newer.deb")).context("cannot copy the newer package")?;
    for (name, text) in [("trial.sh", TRIAL), ("ask.py", ASK), ("flood.py", FLOOD)] {
        fs::write(trial.join(name), text)?;
    }
    pbx(&root)?;
    let call = trial.join("call");
    fs::create_dir_all(&call)?;
    lab::phone::write_call(&call, &lab::asterisk::PHONE)?;
    let units = root.join("etc/systemd/system");
    fs::write(units.join("boot-trial.service"), UNIT)?;
    fs::create_dir_all(units.join("multi-user.target.wants"))?;
    symlink("../boot-trial.service", units.join("multi-user.target.wants/boot-trial.service"))?;
    image::modules(&kernel, &root)?;
    let initrd = image::pack(&root, &dir.join("initrd"))?;
    fs::remove_dir_all(&root).context("cannot remove the machine's files")?;
    println!("boots a Debian 12 with Linux {KERNEL}");
    let machine = Machine { init: "/sbin/init", memory_mib: 3000 };
    let said = machine.boot(&kernel.image(), &initrd, &dir.join("console.log"), LIMIT)?;
    let report: Vec<&str> = said.lines().skip_while(|line| !line.starts_with("systemd ")).collect();
    println!("{}", report.join("\n"));
    ensure!(report.contains(&"@end"), "it did not come to its end");
    let failed = report.iter().filter(|line| line.starts_with("FAIL")).count();
    ensure!(failed == 0, "{failed} of its checks failed");
    Ok(())
}

/// The lab's Asterisk in a folder of the machine, for `chroot`.
fn pbx(root: &Path) -> Result<()> {
    let from = lab::asterisk::root()?;
    let to = root.join("srv/pbx");
    fs::create_dir_all(root.join("srv")).context("cannot make the PBX's folder")?;
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto"]).arg(&from).arg(&to);
    step(command)?;
    for part in UNUSED {
        // Whatever is left of it takes memory, and nothing else.
        let _ = fs::remove_dir_all(to.join(part));
    }
    lab::asterisk::write_config(&to.join("etc/asterisk"), &lab::asterisk::AsteriskOptions::default())?;
    fs::write(to.join("etc/hosts"), "127.0.0.1 localhost pbx\n").context("cannot write the PBX's hosts")
}

/// A Debian with systemd, made once, and copied.
fn fresh(dir: &Path) -> Result<PathBuf> {
    let base = dir.join("bookworm");
    if !base.join("usr/bin/sipp").exists() {
        if base.exists() {
            fs::remove_dir_all(&base).context("cannot remove a Debian that is not whole")?;
        }
        println!("makes a Debian 12 with systemd in {}", base.display());
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]).arg(&base);
        step(command)?;
        for part in
            ["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists"]
        {
            // Whatever is left of it takes memory, and nothing else.
            let _ = fs::remove_dir_all(base.join(part));
        }
    }
    let root = dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).context("cannot remove an earlier machine")?;
    }
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto"]).arg(&base).arg(&root);
    step(command)?;
    Ok(root)
}
