//! What is in force, read back from the kernel where it tells.

use std::fs;

use rustix::thread::CapabilitySet;

/// The wall around files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Landlock {
    /// The version of the kernel's interface that is used.
    InForce(i32),
    /// This one needs what it would forbid.
    Unused,
}

/// What holds for every thread of a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InForce {
    /// What at least one thread may have, now or after starting a program.
    pub capabilities: CapabilitySet,
    /// No program that is started gets more.
    pub no_new_privileges: bool,
    /// System calls are filtered.
    pub calls: bool,
    pub user: u32,
}

impl InForce {
    /// Of this process, or of the one with this number (proc_pid_status(5)). `None` if it has ended.
    pub fn read(pid: Option<u32>) -> Option<Self> {
        let folder = pid.map_or_else(|| "/proc/self/task".to_owned(), |pid| format!("/proc/{pid}/task"));
        let threads = fs::read_dir(folder).ok()?.flatten();
        let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
        texts.filter_map(|text| Self::of_thread(&text)).reduce(|all, one| Self {
            capabilities: all.capabilities | one.capabilities,
            no_new_privileges: all.no_new_privileges && one.no_new_privileges,
            calls: all.calls && one.calls,
            user: all.user.min(one.user),
        })
    }

    fn of_thread(text: &str) -> Option<Self> {
        /// `SECCOMP_MODE_FILTER`
        const FILTER: &str = "2";
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let set =
            |name: &str| u64::from_str_radix(field(name)?, 16).ok().map(CapabilitySet::from_bits_retain);
        // What stands in the bounding set alone is out of reach once there are no new privileges.
        let no_new_privileges = field("NoNewPrivs")? == "1";
        let reach = if no_new_privileges { CapabilitySet::empty() } else { set("CapBnd")? };
        Some(Self {
            capabilities: set("CapPrm")? | set("CapEff")? | set("CapInh")? | set("CapAmb")? | reach,
            no_new_privileges,
            calls: field("Seccomp").is_some_and(|mode| mode == FILTER),
            user: field("Uid")?.split_whitespace().next()?.parse().ok()?,
        })
    }

    /// The names of the capabilities, as the kernel writes them.
    pub fn names(&self) -> Vec<String> {
        let known = self.capabilities.iter_names().map(|(name, _)| format!("CAP_{name}"));
        let all = CapabilitySet::all() & self.capabilities;
        let named: CapabilitySet = self.capabilities.iter_names().map(|(_, one)| one).collect();
        let unknown = (all - named).bits();
        known.chain((unknown != 0).then(|| format!("{unknown:#x}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_read() {
        let text = "Name:\tringfence\nUid:\t0\t0\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t000000c000001004\n\
            CapEff:\t000000c000001004\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let thread = InForce::of_thread(text).unwrap();
        assert_eq!(thread.names(), ["CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert!(thread.no_new_privileges && thread.calls && thread.user == 0);
        let open = InForce::of_thread(&text.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0")).unwrap();
        assert!(open.names().len() > 30, "what may come back counts");
        assert_eq!(InForce::of_thread("Name:\tx\n"), None);
    }
}
