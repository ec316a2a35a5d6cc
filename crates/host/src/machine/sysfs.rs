//! What sysfs tells about the interfaces of our network namespace.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, Mode, OFlags, openat};

use super::detached;

/// `IFF_UP` in include/uapi/linux/if.h.
const UP: u32 = 1;

/// A sysfs, by the descriptor of its root.
#[derive(Debug)]
pub(super) struct Sysfs {
    root: OwnedFd,
}

/// What is known of a device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Device {
    /// The kernel's `ARPHRD_*` number.
    pub(super) kind: u32,
    /// Whether it was switched on.
    pub(super) up: bool,
    /// Whether what it receives belongs to a master: a bridge, bond, team or virtual switch.
    pub(super) port: bool,
    /// Whether it is a bond.
    pub(super) bond: bool,
    /// The devices through which everything comes that it receives; empty for one that receives by itself.
    pub(super) below: Vec<String>,
}

impl Sysfs {
    /// A sysfs shows the network namespace of whoever mounted it, and `nsenter --net` leaves the old one in place: so
    /// one is mounted anew. Where that is not permitted, `/sys` has to do.
    ///
    /// # Errors
    ///
    /// If there is no `/sys` either.
    pub(super) fn open() -> io::Result<Self> {
        let root = detached::mount("sysfs").or_else(|_| File::open("/sys").map(OwnedFd::from))?;
        Ok(Self { root })
    }

    /// The device called `name`, unless it is not the one with `index`: then this is the `/sys` of another namespace.
    pub(super) fn device(&self, name: &str, index: u32) -> Option<Device> {
        let read = |file: &str| self.read(&format!("class/net/{name}/{file}"));
        let number = |file: &str| read(file)?.trim().parse::<u32>().ok();
        if number("ifindex") != Some(index) {
            return None;
        }
        let flags = read("flags")
            .and_then(|text| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok())
            .unwrap_or(UP);
        let devtype = |file: &str| {
            let text = read(file)?;
            Some(text.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).unwrap_or_default().to_owned())
        };
        // A team has no DEVTYPE. A VRF is a master, too, but leaves its devices what they receive until it is routed.
        let port = devtype("master/uevent").is_some_and(|devtype| devtype != "vrf");
        let own = devtype("uevent").unwrap_or_default();
        // Their frames pass the hooks of the device below first, readable as they are (`__netif_receive_skb_core` in
        // net/core/dev.c). MACsec and tunnels are not among these: what they unpack nobody could read before.
        // macvlan has no DEVTYPE, but says on which device it sits.
        let stacked = match own.as_str() {
            "vlan" | "macvlan" | "ipvlan" => true,
            "" => number("iflink").is_some_and(|below| below != index),
            _ => false,
        };
        let below = if stacked { self.below(name) } else { Vec::new() };
        Some(Device { kind: number("type")?, up: flags & UP != 0, port, bond: own == "bond", below })
    }

    /// Devices of the same network namespace that `name` is stacked on.
    fn below(&self, name: &str) -> Vec<String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = openat(&self.root, format!("class/net/{name}/"), flags, Mode::empty()) else {
            return Vec::new();
        };
        let Ok(entries) = Dir::read_from(folder) else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str().ok()?.strip_prefix("lower_")?.to_owned()))
            .collect()
    }

    fn read(&self, path: &str) -> Option<String> {
        let file = openat(&self.root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = String::new();
        // A page is the most that a file of sysfs holds.
        File::from(file).take(4096).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn add(root: &Path, name: &str, index: u32, kind: u32, devtype: &str, master: Option<&str>) {
        let at = root.join("class/net").join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("ifindex"), format!("{index}\n")).unwrap();
        fs::write(at.join("type"), format!("{kind}\n")).unwrap();
        fs::write(at.join("flags"), "0x1003\n").unwrap();
        let devtype = if devtype.is_empty() { String::new() } else { format!("DEVTYPE={devtype}\n") };
        fs::write(at.join("uevent"), format!("{devtype}INTERFACE={name}\nIFINDEX={index}\n")).unwrap();
        if let Some(master) = master {
            std::os::unix::fs::symlink(format!("../{master}"), at.join("master")).unwrap();
        }
    }

    #[test]
    fn ports_are_told_by_the_kind_of_their_master() {
        let root = std::env::temp_dir().join(format!("ringfence-sysfs-{}", std::process::id()));
        add(&root, "br0", 2, 1, "bridge", None);
        add(&root, "bond0", 3, 1, "bond", Some("br0"));
        add(&root, "vrf0", 4, 1, "vrf", None);
        add(&root, "a", 5, 1, "", Some("bond0"));
        add(&root, "b", 6, 1, "", Some("vrf0"));
        add(&root, "gre1", 7, 778, "gre", None);
        add(&root, "team0", 8, 1, "", None);
        add(&root, "c", 9, 1, "", Some("team0"));
        add(&root, "a.10", 10, 1, "vlan", None);
        fs::write(root.join("class/net/a.10/lower_a"), "").unwrap();
        fs::write(root.join("class/net/gre1/flags"), "0x1090\n").unwrap();
        let sysfs = Sysfs { root: File::open(&root).unwrap().into() };
        let port = |name: &str, index: u32| sysfs.device(name, index).unwrap().port;
        assert!(!port("br0", 2));
        assert!(port("bond0", 3), "a bond may itself be the port of a bridge");
        assert!(!port("vrf0", 4));
        assert!(port("a", 5));
        assert!(!port("b", 6), "frames stay with a device that is in a VRF");
        assert!(port("c", 9), "a team has no DEVTYPE");
        assert!(sysfs.device("bond0", 3).unwrap().bond);
        assert_eq!(sysfs.device("a.10", 10).unwrap().below, ["a"]);
        assert_eq!(sysfs.device("a", 5).unwrap().below, [""; 0]);
        let gre = Device { kind: 778, up: false, port: false, bond: false, below: Vec::new() };
        assert_eq!(sysfs.device("gre1", 7), Some(gre));
        assert_eq!(sysfs.device("br0", 9), None, "another namespace's br0");
        assert_eq!(sysfs.device("eth9", 9), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
