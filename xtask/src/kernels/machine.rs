//! An emulated machine: it boots a kernel, runs a job and powers itself off, and all that it says is kept.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A machine that does not exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// The first program, in the initial RAM disk.
    pub(crate) init: &'static str,
    pub(crate) memory_mib: u32,
}

impl Machine {
    /// Boots `image` and returns what came over the serial line, which is also in `log`. Emulated in software: a machine that is
    /// itself a virtual one has no KVM.
    pub(crate) fn boot(self, image: &Path, initrd: &Path, log: &Path, limit: Duration) -> Result<String> {
        let console = File::create(log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m"]);
        qemu.arg(self.memory_mib.to_string());
        qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]);
        qemu.arg("-kernel").arg(image).arg("-initrd").arg(initrd);
        // A panic ends the machine at once.
        qemu.args([
            "-append",
            &format!("console=ttyS0 panic=-1 oops=panic systemd.show_status=0 rdinit={}", self.init),
        ]);
        qemu.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        let mut child = qemu.spawn().context("cannot start qemu-system-x86_64")?;
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begin.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                bail!("it was not done within {} s; its console: {}", limit.as_secs(), log.display());
            }
            thread::sleep(Duration::from_millis(100));
        };
        if !status.success() {
            bail!("qemu ended with {status}; the console: {}", log.display());
        }
        let bytes = fs::read(log)?;
        // A serial line ends its lines with CR LF.
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    }
}
