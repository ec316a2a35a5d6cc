//! What is pinned where.
//!
//! ```text
//! PINS/v4/links/xdp-eth0     the link that keeps the program attached (or generic-eth0, tc-eth0; out-eth0 at egress)
//! PINS/v4/links/cgroup-root  the link of the search in reassembled datagrams (cgroup-root-new while it is replaced)
//! PINS/v4/filters/in-3       a directory: a classic TC filter of ours is at interface 3 (or out-3; clsact-3: its qdisc is ours)
//! PINS/v4/maps/CPU           maps that outlive a generation
//! PINS/v4/policy/RULES       maps of the generation in force, for whoever wants to look (bpftool)
//! ```
//!
//! The version is that of `gate::layout`: a daemon never adopts maps whose meaning it does not know. Links mean the same in all
//! versions since 3, so an upgrade leaves no moment without a program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use gate::layout::{VERSION, map};

use super::attach::{Mode, Place};
use super::filter::{self, Side};
use crate::bpffs;
use crate::error::Error;

/// Since this version links and filters are pinned as they are now.
const SINCE: u32 = 3;
const LINKS: &str = "links";
const FILTERS: &str = "filters";
/// Everything that we make, what attaches first.
const FOLDERS: [&str; 4] = [LINKS, FILTERS, "maps", "policy"];

/// Maps of a generation that are pinned for reading.
const GENERATION: [&str; 3] = [map::PORTS, map::RULES, map::INTERFACES];

/// What is written down of classic TC filters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Written {
    /// A filter of ours.
    Filter(Side),
    /// The qdisc below which filters hang is ours.
    Clsact,
}

impl Written {
    const ALL: [(&'static str, Self); 3] =
        [("in", Self::Filter(Side::In)), ("out", Self::Filter(Side::Out)), ("clsact", Self::Clsact)];
}

/// The pin directory of an instance.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Makes the directories on a bpf file system that is there. What an older version attached becomes this one's: its programs go
    /// on, with their own maps, until they are replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Pins`] for pins of a version that is newer, or too old.
    pub(super) fn prepare(root: &Path) -> Result<Self, Error> {
        let pins = Self { root: root.to_owned() };
        let mut older = Vec::new();
        for version in versions(root) {
            let number = version.file_name().and_then(|name| name.to_str()?.strip_prefix('v')?.parse().ok());
            if number.is_some_and(|number: u32| (SINCE..VERSION).contains(&number)) {
                older.push(version);
            } else if version != pins.version() {
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
        older.iter().try_for_each(|version| pins.take_over(version))?;
        Ok(pins)
    }

    /// Moves the pins of what an older version attached, and removes those of its maps.
    fn take_over(&self, older: &Path) -> Result<(), Error> {
        for folder in FOLDERS {
            let from = older.join(folder);
            let attaches = folder == LINKS || folder == FILTERS;
            for (path, name) in entries(&from) {
                if attaches {
                    let to = self.version().join(folder).join(name);
                    fs::rename(&path, &to).map_err(Error::io("move", &path))?;
                } else {
                    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                }
            }
            match fs::remove_dir(&from) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", &from)(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        fs::remove_dir(older).map_err(Error::io("remove", older))
    }

    /// The directory as it is, or is not.
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn version(&self) -> PathBuf {
        self.root.join(format!("v{VERSION}"))
    }

    /// The pin of a map that outlives a generation.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.version().join("maps").join(name)
    }

    /// The pin of the link that guards an interface. A classic filter has none.
    pub(super) fn link(&self, interface: &str, place: Place) -> PathBuf {
        let kind = KINDS.iter().find(|(_, known)| *known == place).map_or("filter", |(kind, _)| *kind);
        // bpffs has no names with a dot in them (`bpf_lookup` in kernel/bpf/inode.c), but VLAN devices do.
        self.version().join(LINKS).join(format!("{kind}-{}", interface.replace('.', "@")))
    }

    /// Where a classic filter or its qdisc is written down. By number, as nothing renames it with its interface.
    pub(super) fn filter(&self, written: Written, index: u32) -> PathBuf {
        let kind = Written::ALL.iter().find(|(_, known)| *known == written).map_or("", |(kind, _)| *kind);
        self.version().join(FILTERS).join(format!("{kind}-{index}"))
    }

    /// All that is written down of classic filters.
    pub(super) fn filters(&self) -> Vec<(PathBuf, Written, u32)> {
        entries(&self.version().join(FILTERS))
            .into_iter()
            .filter_map(|(path, name)| {
                let (kind, index) = name.split_once('-')?;
                let written = Written::ALL.iter().find(|(known, _)| *known == kind)?.1;
                Some((path, written, index.parse().ok()?))
            })
            .collect()
    }

    /// The pin of the hook that searches reassembled datagrams.
    pub(super) fn reassembly(&self) -> PathBuf {
        self.version().join(LINKS).join("cgroup-root")
    }

    /// Every pinned link before an interface.
    pub(super) fn links(&self) -> Vec<(PathBuf, String, Place)> {
        entries(&self.version().join(LINKS))
            .into_iter()
            .filter_map(|(path, name)| {
                let (kind, interface) = name.split_once('-')?;
                let place = KINDS.iter().find(|(known, _)| *known == kind)?.1;
                Some((path, interface.replace('@', "."), place))
            })
            .collect()
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

/// The first part of a pin's name.
const KINDS: [(&str, Place); 4] = [
    ("xdp", Place { side: Side::In, mode: Mode::Driver }),
    ("generic", Place { side: Side::In, mode: Mode::Generic }),
    ("tc", Place { side: Side::In, mode: Mode::Tc }),
    ("out", Place { side: Side::Out, mode: Mode::Tc }),
];

/// A directory's entries, sorted.
fn entries(folder: &Path) -> Vec<(PathBuf, String)> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<(PathBuf, String)> =
        all.filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?))).collect();
    all.sort();
    all
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

/// Whether anything is attached, as far as is pinned or written down.
pub(super) fn any_link(root: &Path) -> bool {
    let attached =
        |version: &PathBuf| [LINKS, FILTERS].iter().any(|folder| !entries(&version.join(folder)).is_empty());
    versions(root).iter().any(attached)
}

/// Removes our pins, and nothing that is not on a bpf file system: links first, so that nothing is enforced by a program
/// whose tables are half gone. Returns the links.
pub(super) fn remove(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut removed = Vec::new();
    if !bpffs::is_bpffs(root) {
        return Ok(removed);
    }
    for version in versions(root) {
        // Versions that knew no such filters have none written down.
        if version.ends_with(format!("v{VERSION}")) {
            removed.extend(filter::remove_all(&Pins { root: root.to_owned() })?);
        }
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
