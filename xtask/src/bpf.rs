//! The kernel object in `bpf/`, which is committed so that nobody needs a BPF toolchain to build Ringfence.
//!
//! `bpf/BUILDINFO` names the sources that the object came from by their hash. The check needs no toolchain; the build
//! takes Debian's, because rustup's toolchains bring no LLVM that a BPF linker could use.

/// How much stack it takes.
mod frames;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::install::{self, is_root};
use crate::step::run as command;
use crate::workspace;

/// What decides over the object's bytes.
const SOURCES: [&str; 5] = [
    "crates/gate/src",
    "crates/gate/Cargo.toml",
    "crates/gate-bpf/src",
    "crates/gate-bpf/Cargo.toml",
    "crates/gate-bpf/Cargo.lock",
];
/// The programs' names in Cargo, each an object in `bpf/`: the gate, and what it is measured with.
const PROGRAMS: [&str; 2] = ["gate", "bench"];
const BUILDINFO: &str = "bpf/BUILDINFO";

/// Debian's compiler and LLVM: their LLVM versions fit each other.
const PACKAGES: [&str; 8] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "llvm-22",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
];
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER_VERSION: &str = "0.13.0";

#[derive(Debug, Args)]
pub(crate) struct BpfArgs {
    /// Build nothing; say whether the object belongs to the sources
    #[arg(long)]
    check: bool,
    /// Build, compare with the committed object, and change nothing
    #[arg(long, conflicts_with = "check")]
    compare: bool,
}

pub(crate) fn run(args: &BpfArgs) -> Result<()> {
    if args.check {
        return check();
    }
    toolchain()?;
    let objects = build()?;
    if args.compare {
        for (path, built) in &objects {
            let committed =
                fs::read(workspace().join(path)).with_context(|| format!("cannot read `{path}`"))?;
            ensure!(committed == *built, "`{path}` is not what the sources give here; run `cargo xtask bpf`");
            println!("`{path}` is what the sources give");
        }
        return Ok(());
    }
    for (path, built) in &objects {
        fs::write(workspace().join(path), built).with_context(|| format!("cannot write `{path}`"))?;
    }
    let info = buildinfo(&objects)?;
    fs::write(workspace().join(BUILDINFO), &info).with_context(|| format!("cannot write `{BUILDINFO}`"))?;
    print!("{info}");
    Ok(())
}

/// Where the object of a program is committed.
fn object(program: &str) -> String {
    format!("bpf/{program}.bpf.o")
}

/// Fails when a kernel object is not what the sources say, or takes more stack than the oldest kernel has.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(workspace().join(BUILDINFO))
        .with_context(|| format!("cannot read `{BUILDINFO}`"))?;
    let info: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    for program in PROGRAMS {
        let path = object(program);
        let bytes = fs::read(workspace().join(&path)).with_context(|| format!("cannot read `{path}`"))?;
        ensure!(
            info.get(program) == Some(&hex(&Sha256::digest(&bytes)).as_str()),
            "`{path}` is not the one that `{BUILDINFO}` describes; run `cargo xtask bpf`"
        );
        let deepest = frames::check(&bytes).with_context(|| format!("`{path}`"))?;
        println!("`{path}`: {} bytes of stack at most: {deepest}", deepest.bytes());
    }
    ensure!(
        info.get("sources") == Some(&sources_hash()?.as_str()),
        "the sources of the kernel half have changed since the objects were built; run `cargo xtask bpf`"
    );
    Ok(())
}

/// Installs what the build needs, as far as it is missing.
fn toolchain() -> Result<()> {
    let missing: Vec<&str> = PACKAGES.into_iter().filter(|package| !is_installed(package)).collect();
    if !missing.is_empty() {
        ensure!(is_root(), "install these packages first: {}", missing.join(" "));
        install::apt_install(&missing)?;
    }
    if linker().is_file() {
        return Ok(());
    }
    let mut install = Command::new("/usr/bin/cargo");
    install
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--no-default-features"])
        .args(["--features", "llvm-22", "--root"])
        .arg(tools())
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTFLAGS", format!("-L{LLVM}/lib"))
        .env("LLVM_PREFIX", LLVM)
        .env_remove("RUSTUP_TOOLCHAIN");
    command(install)
}

/// Compiles the kernel half and strips everything but the code, its relocations and its type information. Returns the
/// objects with their places in the project.
fn build() -> Result<Vec<(String, Vec<u8>)>> {
    let folder = workspace().join("crates/gate-bpf");
    let target = crate::target_dir().join("bpf");
    let mut cargo = Command::new("/usr/bin/cargo");
    let flags = [
        "--cfg=bpf_target_arch=\"x86_64\"",
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        "-Ctarget-cpu=v3",
        // Addresses in packets have no alignment; one wide load is what both architectures of ours do anyway.
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
        // No path of this machine in the object.
        &format!("--remap-path-prefix={}=.", workspace().display()),
        &format!("--remap-path-prefix={}=cargo", cargo_home().display()),
    ]
    .join("\u{1f}");
    cargo
        .current_dir(&folder)
        .args(["build", "--locked", "-Z", "build-std=core", "--target", "bpfel-unknown-none", "--release"])
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("AYA_BPF_TARGET_ARCH", "x86_64")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker())
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTUP_TOOLCHAIN");
    command(cargo)?;
    let mut objects = Vec::new();
    for program in PROGRAMS {
        let stripped = target.join(format!("{program}.bpf.o"));
        let whole = target.join("bpfel-unknown-none/release").join(program);
        fs::copy(whole, &stripped).context("the build gave no object")?;
        let mut strip = Command::new(Path::new(LLVM).join("bin/llvm-strip"));
        strip.arg("-g").arg(&stripped);
        command(strip)?;
        objects.push((object(program), fs::read(&stripped).context("the stripped object cannot be read")?));
    }
    Ok(objects)
}

fn buildinfo(objects: &[(String, Vec<u8>)]) -> Result<String> {
    let mut text = String::from("# How the objects here were made; `cargo xtask bpf` writes this file.\n");
    let mut line = |key: &str, value: &str| {
        // Writing to a string cannot fail.
        writeln!(text, "{key}: {value}").ok();
    };
    line("sources", &sources_hash()?);
    for (program, (_, object)) in PROGRAMS.iter().zip(objects) {
        line(program, &hex(&Sha256::digest(object)));
    }
    line("rustc", &first_line(Command::new("/usr/bin/rustc").arg("--version"))?);
    line("linker", &format!("bpf-linker {LINKER_VERSION}, LLVM 22"));
    Ok(text)
}

/// One hash over names and contents, in the order of names.
fn sources_hash() -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&workspace().join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(workspace()).unwrap_or(&file);
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update([0]);
        let content = fs::read(&file).with_context(|| format!("cannot read `{}`", name.display()))?;
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read `{}`", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let status =
        Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    status.is_ok_and(|output| output.stdout == b"installed")
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output().context("the compiler does not answer")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) => Ok(line.to_owned()),
        None => bail!("the compiler does not tell its version"),
    }
}

/// Where the linker is installed: beside what cargo builds, so that nothing of the user's is changed.
fn tools() -> PathBuf {
    crate::target_dir().join("tools")
}

fn linker() -> PathBuf {
    tools().join("bin/bpf-linker")
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
