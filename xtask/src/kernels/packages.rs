//! Debian's kernel packages, from the mirror that the machine's own apt uses, without changing anything of the machine's: lists,
//! cache and sources are folders of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::step::run;

/// The suites that have the kernels that are tested.
const SUITES: [&str; 2] = ["bookworm", "trixie"];
const META: &str = "linux-image-cloud-amd64";

/// An unpacked kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Such as `6.1.0-50-cloud-amd64`.
    pub(crate) version: String,
    /// What would be installed at `/`.
    root: PathBuf,
}

impl Kernel {
    pub(crate) fn image(&self) -> PathBuf {
        self.root.join("boot").join(format!("vmlinuz-{}", self.version))
    }

    /// `/lib/modules/<version>` of the package: below `/usr` since Debian 13.
    pub(crate) fn modules(&self) -> PathBuf {
        let old = self.root.join("lib/modules").join(&self.version);
        if old.is_dir() { old } else { self.root.join("usr/lib/modules").join(&self.version) }
    }
}

/// The kernel of a series such as `6.1`, downloaded once and kept below `cache`.
pub(crate) fn kernel(series: &str, cache: &Path) -> Result<Kernel> {
    let root = cache.join(format!("linux-{series}"));
    if let Some(version) = unpacked(&root) {
        return Ok(Kernel { version, root });
    }
    let apt = Apt::prepare(&cache.join("apt"))?;
    let package = apt.image(series)?;
    let debs = cache.join(format!("debs-{series}"));
    remove(&debs)?;
    fs::create_dir_all(&debs).context("cannot make the folder for packages")?;
    let mut download = apt.command("apt-get");
    download.current_dir(&debs).args(["download", "-qq", &package]);
    run(download)?;
    let deb = fs::read_dir(&debs)?.flatten().next().context("apt-get downloaded nothing")?.path();
    let making = cache.join(format!("linux-{series}.making"));
    remove(&making)?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(deb).arg(&making);
    run(unpack)?;
    remove(&debs)?;
    remove(&root)?;
    fs::rename(&making, &root).context("cannot keep the kernel")?;
    let version = unpacked(&root).with_context(|| format!("there is no kernel in `{package}`"))?;
    Ok(Kernel { version, root })
}

/// The version of the kernel in an unpacked package.
fn unpacked(root: &Path) -> Option<String> {
    let files = fs::read_dir(root.join("boot")).ok()?;
    files.flatten().find_map(|file| file.file_name().to_str()?.strip_prefix("vmlinuz-").map(str::to_owned))
}

/// A private configuration of apt.
struct Apt {
    dir: PathBuf,
}

impl Apt {
    fn prepare(dir: &Path) -> Result<Self> {
        for folder in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(folder)).context("cannot make a folder for apt")?;
        }
        let mirror = mirror()?;
        let line = |suite: &&str| {
            format!("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main\n")
        };
        fs::write(dir.join("sources.list"), SUITES.iter().map(line).collect::<String>())?;
        let apt = Self { dir: dir.to_owned() };
        let mut update = apt.command("apt-get");
        update.args(["update", "-qq"]);
        run(update)?;
        Ok(apt)
    }

    /// The package behind the series' metapackage: that depends on the newest one.
    fn image(&self, series: &str) -> Result<String> {
        let output =
            self.command("apt-cache").args(["show", META]).output().context("cannot start apt-cache")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let wanted = format!("linux-image-{series}.");
        text.lines()
            .filter_map(|line| line.strip_prefix("Depends: "))
            .filter_map(|depends| depends.split_whitespace().next())
            .find(|package| package.starts_with(&wanted))
            .map(str::to_owned)
            .with_context(|| format!("the mirror has no `{META}` of Linux {series}"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut set = |name: &str, value: &str| {
            command.args(["-o", &format!("{name}={value}")]);
        };
        let dir = self.dir.display();
        set("Dir::State::lists", &format!("{dir}/lists"));
        set("Dir::Cache", &dir.to_string());
        set("Dir::Etc::SourceList", &format!("{dir}/sources.list"));
        set("Dir::Etc::SourceParts", "/dev/null");
        // Only the lists of packages, which are a third of what a machine's own configuration may ask for.
        set("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", "false");
        set("Acquire::Languages", "none");
        // Apt's own user may not read a work tree in somebody's home.
        set("APT::Sandbox::User", "root");
        command
    }
}

/// Where the machine gets Debian's main archive from.
fn mirror() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]);
    let output = command.output().context("cannot start apt-get")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mirror = text.lines().find_map(|line| line.strip_prefix("Debian "));
    ensure!(
        mirror.is_some(),
        "the machine's apt has no lists of Debian's main archive; run `apt-get update`"
    );
    Ok(mirror.unwrap_or_default().to_owned())
}

pub(super) fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", dir.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
