//! What is pinned where.
//!
//! ```text
//! PINS/v2/links/xdp-eth0     the link that keeps the program attached (or generic-eth0, tc-eth0)
//! PINS/v2/links/cgroup-root  the link of the search in reassembled datagrams (cgroup-root-new while it is replaced)
//! PINS/v2/maps/CPU           maps that outlive a generation
//! PINS/v2/policy/RULES       maps of the generation in force, for whoever wants to look (bpftool)
//! ```
//!
//! The version is that of `gate::layout`: a daemon never adopts maps whose meaning it does not know.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use gate::layout::{VERSION, map};

use super::attach::Mode;
use crate::bpffs;
use crate::error::Error;

const LINKS: &str = "links";
/// Everything that we make, links first.
const FOLDERS: [&str; 3] = [LINKS, "maps", "policy"];

/// Maps of a generation that are pinned for reading.
const GENERATION: [&str; 3] = [map::PORTS, map::RULES, map::INTERFACES];

/// The pin directory of an instance.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Makes the directories on a bpf file system that is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Pins`] for pins of another version.
    pub(super) fn prepare(root: &Path) -> Result<Self, Error> {
        let pins = Self { root: root.to_owned() };
        for version in versions(root) {
            if version != pins.version() {
                return Err(Error::Pins {
                    path: version,
                    what: "another version of Ringfence left it; `ringfence stop --clean` removes it"
                        .to_owned(),
                });
            }
        }
        for folder in FOLDERS {
            let path = pins.version().join(folder);
            fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        }
        Ok(pins)
    }

    fn version(&self) -> PathBuf {
        self.root.join(format!("v{VERSION}"))
    }

    /// The pin of a map that outlives a generation.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.version().join("maps").join(name)
    }

    /// The pin of the link that guards an interface in some mode.
    pub(super) fn link(&self, interface: &str, mode: Mode) -> PathBuf {
        let kind = match mode {
            Mode::Driver => "xdp",
            Mode::Generic => "generic",
            Mode::Tc => "tc",
        };
        // bpffs has no names with a dot in them (`bpf_lookup` in kernel/bpf/inode.c), but VLAN devices do.
        self.version().join(LINKS).join(format!("{kind}-{}", interface.replace('.', "@")))
    }

    /// The pin of the hook that searches reassembled datagrams.
    pub(super) fn reassembly(&self) -> PathBuf {
        self.version().join(LINKS).join("cgroup-root")
    }

    /// Every pinned link: its path, interface and mode.
    pub(super) fn links(&self) -> Vec<(PathBuf, String, Mode)> {
        let Ok(entries) = fs::read_dir(self.version().join(LINKS)) else { return Vec::new() };
        let mut all: Vec<(PathBuf, String, Mode)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (kind, interface) = name.split_once('-')?;
                let mode = match kind {
                    "xdp" => Mode::Driver,
                    "generic" => Mode::Generic,
                    "tc" => Mode::Tc,
                    _ => return None,
                };
                Some((entry.path(), interface.replace('@', "."), mode))
            })
            .collect();
        all.sort();
        all
    }

    /// Replaces the pins of the last generation's maps by those of this one.
    pub(super) fn keep_generation(&self, ebpf: &Ebpf) -> Result<(), Error> {
        for name in GENERATION {
            let path = self.version().join("policy").join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
            if let Some(map) = ebpf.map(name) {
                map.pin(&path).map_err(Error::kernel(format!("the pin {}", path.display())))?;
            }
        }
        Ok(())
    }
}

/// Our directories of all versions. Whatever else is there is not ours.
fn versions(root: &Path) -> Vec<PathBuf> {
    let is_version = |name: &str| {
        name.strip_prefix('v')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_version))
        .map(|entry| entry.path())
        .collect()
}

/// Whether any link is pinned.
pub(super) fn any_link(root: &Path) -> bool {
    versions(root)
        .iter()
        .any(|version| fs::read_dir(version.join(LINKS)).is_ok_and(|mut links| links.next().is_some()))
}

/// Removes our pins, and nothing that is not on a bpf file system: links first, so that nothing is enforced by a program
/// whose tables are half gone. Returns the links.
pub(super) fn remove(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut removed = Vec::new();
    if !bpffs::is_bpffs(root) {
        return Ok(removed);
    }
    for version in versions(root) {
        for folder in FOLDERS {
            let folder_path = version.join(folder);
            for entry in fs::read_dir(&folder_path).into_iter().flatten().flatten() {
                fs::remove_file(entry.path()).map_err(Error::io("remove", entry.path()))?;
                if folder == LINKS {
                    removed.push(entry.path());
                }
            }
            match fs::remove_dir(&folder_path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &folder_path)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        fs::remove_dir(&version).map_err(Error::io("remove", &version))?;
    }
    removed.sort();
    Ok(removed)
}
