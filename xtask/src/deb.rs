//! `cargo xtask deb`: a package for Debian 12 and later.

/// Started by systemd in an emulated machine.
mod boot;
/// Installed, upgraded and purged in a Debian of its own.
mod trial;

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};

use crate::step::{cargo, run as step};
use crate::{target_dir, workspace};

#[derive(Debug, Args)]
pub(crate) struct DebArgs {
    #[arg(long, value_enum, default_value_t = Architecture::Amd64)]
    architecture: Architecture,
    /// The package's version, where it is not the program's
    #[arg(long)]
    version: Option<String>,
    /// Install, upgrade, remove and purge it in a fresh Debian 12 (as root, with debootstrap), and look at what is left
    #[arg(long)]
    try_it: bool,
    /// Boot a Debian 12 with systemd in an emulated machine, and install, start, try, upgrade and purge it there (as root)
    #[arg(long)]
    boot_it: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    const fn rust(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    const fn is_native(self) -> bool {
        match self {
            Self::Amd64 => cfg!(target_arch = "x86_64"),
            Self::Arm64 => cfg!(target_arch = "aarch64"),
        }
    }
}

/// What a user may change, and an upgrade keeps.
const CONFFILES: [&str; 2] = ["/etc/ringfence/policy.toml", "/etc/fail2ban/action.d/ringfence.conf"];

pub(crate) fn run(args: &DebArgs) -> Result<()> {
    let program = build(args.architecture)?;
    let version = args.version.clone().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let package = pack(&program, args.architecture, &version)?;
    println!("{}", package.display());
    if args.try_it || args.boot_it {
        ensure!(
            args.architecture.is_native(),
            "only a package of this machine's architecture can be tried here"
        );
        let newer = pack(&program, args.architecture, &format!("{version}+1"))?;
        if args.try_it {
            trial::run(&package, &newer)?;
        }
        if args.boot_it {
            boot::run(&package, &newer)?;
        }
    }
    Ok(())
}

fn build(architecture: Architecture) -> Result<PathBuf> {
    let build = || cargo(["build", "--release", "--package", "ringfence"]);
    if architecture.is_native() {
        step(build())?;
        return Ok(target_dir().join("release/ringfence"));
    }
    let mut command = build();
    command.args(["--target", architecture.rust()]);
    // Debian's package gcc-aarch64-linux-gnu.
    command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    step(command)?;
    Ok(target_dir().join(architecture.rust()).join("release/ringfence"))
}

/// Lays the files out and packs them.
fn pack(program: &Path, architecture: Architecture, version: &str) -> Result<PathBuf> {
    let name = format!("ringfence_{version}_{}", architecture.debian());
    let root = target_dir().join("deb").join(&name);
    if root.exists() {
        fs::remove_dir_all(&root).context("cannot remove what an earlier build left")?;
    }
    let sources = workspace();
    put(&root, "usr/bin/ringfence", program, 0o755)?;
    let files = [
        ("usr/lib/systemd/system/ringfence.service", "packaging/systemd/ringfence.service"),
        ("etc/ringfence/policy.toml", "packaging/policy.toml"),
        ("etc/fail2ban/action.d/ringfence.conf", "packaging/fail2ban/action.d/ringfence.conf"),
        ("usr/share/ringfence/prometheus/ringfence.rules.yml", "packaging/prometheus/ringfence.rules.yml"),
        ("usr/share/ringfence/grafana/ringfence.json", "packaging/grafana/ringfence.json"),
        ("usr/share/doc/ringfence/README.md", "README.md"),
        ("usr/share/doc/ringfence/CHANGELOG.md", "CHANGELOG.md"),
        ("usr/share/doc/ringfence/SECURITY.md", "SECURITY.md"),
        ("usr/share/doc/ringfence/copyright", "LICENSE-MIT"),
    ];
    for (to, from) in files {
        // A policy may have a secret in it.
        let mode = if to.ends_with("policy.toml") { 0o640 } else { 0o644 };
        put(&root, to, &sources.join(from), mode)?;
    }
    for folder in ["docs", "docs/guide"] {
        for entry in fs::read_dir(sources.join(folder))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(name) = name.filter(|name| name.ends_with(".md")) {
                put(&root, &format!("usr/share/doc/ringfence/{folder}/{name}"), &path, 0o644)?;
            }
        }
    }
    generate(&root)?;
    control(&root, architecture, version)?;
    let package = target_dir().join("deb").join(format!("{name}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.args(["--build", "--root-owner-group", "-Zxz"]).arg(&root).arg(&package);
    command.stdout(Stdio::null());
    step(command)?;
    Ok(package)
}

/// Man pages and completions, written by the program of this machine.
fn generate(root: &Path) -> Result<()> {
    let native = target_dir().join("release/ringfence");
    if !native.exists() {
        step(cargo(["build", "--release", "--package", "ringfence"]))?;
    }
    let pages = root.join("usr/share/man/man1");
    fs::create_dir_all(&pages)?;
    step({
        let mut command = Command::new(&native);
        command.arg("man").arg(&pages).stdout(Stdio::null());
        command
    })?;
    for entry in fs::read_dir(&pages)? {
        step({
            let mut command = Command::new("gzip");
            command.args(["-9", "-n"]).arg(entry?.path());
            command
        })?;
    }
    for (shell, to) in [
        ("bash", "usr/share/bash-completion/completions/ringfence"),
        ("fish", "usr/share/fish/vendor_completions.d/ringfence.fish"),
        ("zsh", "usr/share/zsh/vendor-completions/_ringfence"),
    ] {
        let output = Command::new(&native).args(["completions", shell]).output()?;
        ensure!(output.status.success(), "no completions for {shell}");
        write(&root.join(to), &output.stdout, 0o644)?;
    }
    Ok(())
}

fn control(root: &Path, architecture: Architecture, version: &str) -> Result<()> {
    let size = size(root)? / 1024;
    let text = format!(
        "Package: ringfence\nVersion: {version}\nArchitecture: {}\nMaintainer: Ringfence developers <ringfence@example.org>\n\
         Installed-Size: {size}\nDepends: libc6 (>= 2.36), nftables\nRecommends: systemd\nSuggests: fail2ban\n\
         Section: net\nPriority: optional\nDescription: firewall and intrusion prevention for SIP\n \
         Judges every packet in the kernel before Asterisk, FreePBX, Kamailio or\n FreeSWITCH sees it, detects attackers from SIP \
         itself, from logs and from\n the PBX's own events, bans them fairly, and says why.\n",
        architecture.debian()
    );
    write(&root.join("DEBIAN/control"), text.as_bytes(), 0o644)?;
    let conffiles: String = CONFFILES.iter().map(|path| format!("{path}\n")).collect();
    write(&root.join("DEBIAN/conffiles"), conffiles.as_bytes(), 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        let from = workspace().join("packaging/debian").join(script);
        put(root, &format!("DEBIAN/{script}"), &from, 0o755)?;
    }
    Ok(())
}

/// Bytes of all files.
fn size(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

fn put(root: &Path, to: &str, from: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(&root.join(to), &bytes, mode)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
