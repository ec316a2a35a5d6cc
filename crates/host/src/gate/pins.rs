//! What is pinned where.
//!
//! ```text
//! PINS/v1/links/xdp-eth0     the link that keeps the program attached (or generic-eth0, tc-eth0)
//! PINS/v1/links/cgroup-root  the link of the search in reassembled datagrams
//! PINS/v1/maps/COUNTS        maps that outlive a generation
//! PINS/v1/policy/CONFIG      maps of the generation in force, for whoever wants to look (bpftool)
//! ```
//!
//! The version is that of `gate::layout`: a daemon never adopts maps whose meaning it does not know.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::programs::links::PinnedLink;
use gate::layout::{VERSION, map};

use super::attach::Mode;
use crate::bpffs;
use crate::error::Error;

/// Maps of a generation that are pinned for reading.
const GENERATION: [&str; 3] = [map::CONFIG, map::RULES, map::INTERFACES];

/// The pin directory of an instance.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Makes the directories, mounting a bpf file system where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Pins`] for pins of another version.
    pub(super) fn prepare(root: &Path) -> Result<Self, Error> {
        bpffs::prepare(root)?;
        let pins = Self { root: root.to_owned() };
        for entry in fs::read_dir(root).map_err(Error::io("read", root))?.flatten() {
            if entry.path() != pins.version() {
                return Err(Error::Pins {
                    path: entry.path(),
                    what: "another version of Ringfence left it; `ringfence stop --clean` removes it"
                        .to_owned(),
                });
            }
        }
        for folder in ["links", "maps", "policy"] {
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
        self.version().join("links").join(format!("{kind}-{}", interface.replace('.', "@")))
    }

    /// The pin of the hook that searches reassembled datagrams.
    pub(super) fn reassembly(&self) -> PathBuf {
        self.version().join("links").join("cgroup-root")
    }

    /// Every pinned link: its path, interface and mode.
    pub(super) fn links(&self) -> Vec<(PathBuf, String, Mode)> {
        let Ok(entries) = fs::read_dir(self.version().join("links")) else { return Vec::new() };
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

/// Whether any link is pinned.
pub(super) fn any_link(root: &Path) -> bool {
    fs::read_dir(root).into_iter().flatten().flatten().any(|version| {
        fs::read_dir(version.path().join("links")).is_ok_and(|mut links| links.next().is_some())
    })
}

/// Removes links first, so that nothing is enforced by a program whose tables are half gone. Returns the links.
pub(super) fn remove(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut removed = Vec::new();
    for version in fs::read_dir(root).into_iter().flatten().flatten() {
        for link in fs::read_dir(version.path().join("links")).into_iter().flatten().flatten() {
            // A link keeps its program attached while any handle is open; ours is closed at the end of this block.
            if link.file_name() != OsStr::new(".") {
                drop(PinnedLink::from_pin(link.path()).ok().and_then(|pinned| pinned.unpin().ok()));
                if link.path().exists() {
                    fs::remove_file(link.path()).map_err(Error::io("remove", link.path()))?;
                }
                removed.push(link.path());
            }
        }
    }
    bpffs::remove(root)?;
    removed.sort();
    Ok(removed)
}
