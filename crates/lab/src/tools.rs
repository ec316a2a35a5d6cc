//! The programs that the lab and the tests use, and the Debian packages that have them: the one list, for the lab's own
//! messages and for `cargo xtask`, which installs what is missing.

use std::path::{Path, PathBuf};

use crate::error::LabError;

/// A program, and where to get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The command's name; for a Python module its directory under `/usr/lib/python3/dist-packages`.
    pub program: &'static str,
    /// The Debian package.
    pub package: &'static str,
}

/// All of them, by package.
pub const TOOLS: &[Tool] = &[
    Tool { program: "bpftool", package: "bpftool" },
    Tool { program: "conntrack", package: "conntrack" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "debootstrap", package: "debootstrap" },
    Tool { program: "ethtool", package: "ethtool" },
    Tool { program: "fail2ban-server", package: "fail2ban" },
    Tool { program: "hping3", package: "hping3" },
    Tool { program: "faketime", package: "faketime" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "ipset", package: "ipset" },
    Tool { program: "iptables-legacy-restore", package: "iptables" },
    Tool { program: "iptables-nft-restore", package: "iptables" },
    Tool { program: "ping", package: "iputils-ping" },
    Tool { program: "mount", package: "mount" },
    Tool { program: "nft", package: "nftables" },
    Tool { program: "nmap", package: "nmap" },
    Tool { program: "ps", package: "procps" },
    Tool { program: "prometheus", package: "prometheus" },
    Tool { program: "promtool", package: "prometheus" },
    Tool { program: "scapy", package: "python3-scapy" },
    Tool { program: "sipp", package: "sip-tester" },
    Tool { program: "sipsak", package: "sipsak" },
    Tool { program: "sngrep", package: "sngrep" },
    Tool { program: "sqlite3", package: "sqlite3" },
    Tool { program: "openssl", package: "openssl" },
    Tool { program: "ssh", package: "openssh-client" },
    Tool { program: "sshd", package: "openssh-server" },
    Tool { program: "svmap", package: "sipvicious" },
    Tool { program: "journalctl", package: "systemd" },
    Tool { program: "systemd-journal-remote", package: "systemd-journal-remote" },
    Tool { program: "tcpdump", package: "tcpdump" },
    Tool { program: "tmux", package: "tmux" },
    Tool { program: "tshark", package: "tshark" },
    Tool { program: "nsenter", package: "util-linux" },
];

/// The tools that are not installed.
#[must_use]
pub fn missing() -> Vec<Tool> {
    TOOLS.iter().copied().filter(|tool| !is_installed(tool.program)).collect()
}

/// Says which of `programs` is missing.
///
/// # Errors
/// When one is.
pub fn need(programs: &[&str]) -> Result<(), LabError> {
    let lacking = missing().into_iter().find(|tool| programs.contains(&tool.program));
    lacking.map_or(Ok(()), |tool| Err(LabError::MissingTool { program: tool.program, package: tool.package }))
}

/// Where a command is, looked for in `PATH` and in the system directories, which are not in every user's `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(
            ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/lib/systemd", "/lib/systemd"]
                .map(PathBuf::from),
        )
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

fn is_installed(program: &str) -> bool {
    find(program).is_some() || Path::new("/usr/lib/python3/dist-packages").join(program).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn only_listed_tools_can_be_lacking() {
        need(&["no-such-program-anywhere"]).unwrap();
    }
}
