//! `cargo xtask kernels`: the committed kernel object on every kernel that is promised, in emulated machines.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

pub(crate) use self::machine::Machine;
pub(crate) use self::packages::{Kernel, kernel};
use crate::install::{self, is_root};
use crate::step::{cargo, run as command};
use crate::{target_dir, workspace};

pub(crate) mod image;
mod machine;
mod packages;
mod result;

use self::result::Outcome;

/// Debian 12's and Debian 13's.
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// Mutated frames that an emulated machine compares; the running kernel gets as many, the usual test a million.
const FRAMES: &str = "20000";
/// Programs, and the packages that have them.
const TOOLS: [(&str, &str); 7] = [
    // SQLite is C; the loader for arm64 is compiled with it.
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("ethtool", "ethtool"),
];
const ARM: &str = "aarch64-unknown-linux-gnu";

#[derive(Debug, Args)]
pub(crate) struct KernelsArgs {
    /// Only this series, such as `6.1`; may be given several times
    #[arg(long, value_name = "SERIES")]
    only: Vec<String>,
    /// Install nothing
    #[arg(long)]
    no_install: bool,
    /// Do not check that the loader compiles for arm64
    #[arg(long)]
    no_arm: bool,
    /// Seconds that a machine may take
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
}

pub(crate) fn run(args: &KernelsArgs) -> Result<()> {
    ensure!(is_root(), "the running kernel's row needs root");
    if !args.no_install {
        tools()?;
    }
    let dir = target_dir().join("kernels");
    std::fs::create_dir_all(&dir).context("cannot make the folder for kernels")?;
    command(cargo(["build", "--release", "--package", "ringfence"]))?;
    let tests = Tests::build()?;
    let mut outcomes = vec![here(&tests, &dir)];
    for series in SERIES {
        if args.only.is_empty() || args.only.iter().any(|only| only == series) {
            outcomes.push(there(series, &tests, &dir, Duration::from_secs(args.limit)));
        }
    }
    let arm = if args.no_arm { None } else { Some(arm64()) };
    print!("\n{}", result::table(&outcomes));
    match &arm {
        None => println!("\nthe loader for arm64: not checked"),
        Some(Ok(())) => println!("\nthe loader for arm64: compiles"),
        Some(Err(error)) => println!("\nthe loader for arm64: {error:#}"),
    }
    ensure!(outcomes.iter().all(Outcome::is_fine), "not every kernel is fine");
    arm.unwrap_or(Ok(()))
}

/// Installs what emulated machines need.
pub(crate) fn tools() -> Result<()> {
    let lacking = TOOLS.iter().filter(|(program, _)| lab::tools::find(program).is_none());
    let packages: Vec<&str> = lacking.map(|(_, package)| *package).collect();
    if packages.is_empty() { Ok(()) } else { install::apt_install(&packages) }
}

/// The compiled tests, and the program that users get.
struct Tests {
    gate: PathBuf,
    kernel: PathBuf,
    ringfence: PathBuf,
}

impl Tests {
    fn build() -> Result<Self> {
        Ok(Self {
            gate: executable("host", "gate")?,
            kernel: executable("ringfence", "kernel")?,
            ringfence: target_dir().join("release/ringfence"),
        })
    }

    /// What a machine does, and how it says so: first the programs' instructions, then every frame, then traffic.
    fn job(&self) -> String {
        let (gate, kernel) = (self.gate.display(), self.kernel.display());
        format!(
            "export GATE_FRAMES={FRAMES} {}=1 RINGFENCE_BIN={}\n\
             echo \"@kernel $(uname -r)\"\n\
             {gate} --nocapture --test-threads=1 --exact every_program_is_verified; echo \"@loads $?\"\n\
             {gate} --nocapture --test-threads=1; echo \"@gate $?\"\n\
             {kernel} --nocapture --test-threads=1; echo \"@run $?\"\n",
            lab::skip::NO_SKIP,
            self.ringfence.display()
        )
    }
}

/// Builds a test of a package and returns where cargo put it, which it says on standard error.
fn executable(package: &str, test: &str) -> Result<PathBuf> {
    let output = cargo(["test", "--no-run", "--package", package, "--test", test]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the test `{test}` does not compile:\n{said}");
    let path = said
        .lines()
        .filter(|line| line.trim_start().starts_with("Executable"))
        .find_map(|line| line.rsplit_once('(')?.1.strip_suffix(')'));
    Ok(workspace().join(path.with_context(|| format!("cargo does not say where the test `{test}` is"))?))
}

/// The job on the running kernel.
fn here(tests: &Tests, dir: &Path) -> Outcome {
    println!("\n== the running kernel");
    let log = dir.join("running.log");
    let begin = Instant::now();
    let done = Command::new("sh").args(["-c", &format!("exec 2>&1\n{}", tests.job())]).output();
    let said = done.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let said = said.map_err(anyhow::Error::from).and_then(|text| {
        std::fs::write(&log, &text)?;
        Ok(text)
    });
    Outcome::new("running".to_owned(), said, log, begin.elapsed())
}

/// The job on a machine of its own.
fn there(series: &str, tests: &Tests, dir: &Path, limit: Duration) -> Outcome {
    println!("\n== Linux {series}");
    let begin = Instant::now();
    match packages::kernel(series, dir) {
        Ok(kernel) => {
            let log = dir.join(format!("{}.log", kernel.version));
            let said = emulate(series, &kernel, tests, dir, &log, limit);
            Outcome::new(kernel.version, said, log, begin.elapsed())
        }
        Err(error) => Outcome::new(series.to_owned(), Err(error), dir.to_owned(), begin.elapsed()),
    }
}

fn emulate(
    series: &str,
    kernel: &Kernel,
    tests: &Tests,
    dir: &Path,
    log: &Path,
    limit: Duration,
) -> Result<String> {
    let binaries: [&Path; 3] = [&tests.gate, &tests.kernel, &tests.ringfence];
    let folder = dir.join(format!("machine-{series}"));
    let initrd = image::make(kernel, &binaries, &tests.job(), &folder)?;
    Machine { init: "/init", memory_mib: 1024 }.boot(&kernel.image(), &initrd, log, limit)
}

/// The object is the same on both architectures; what can break is the loader.
fn arm64() -> Result<()> {
    println!("\n== arm64");
    if lab::tools::find("rustup").is_some() {
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", ARM]);
        command(rustup)?;
    }
    command(cargo(["check", "--quiet", "--target", ARM, "--package", "ringfence"]))
}
