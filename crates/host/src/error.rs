//! Errors of the machine.

use std::io;
use std::path::PathBuf;

/// What the machine refused, and what helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not enough privilege.
    #[error("this needs root (CAP_NET_ADMIN and CAP_BPF); run it with sudo")]
    NotRoot,
    /// Too old a kernel.
    #[error("kernel {found} is too old: Ringfence needs Linux 6.1 or newer")]
    OldKernel { found: String },
    /// Its frames begin with something else than an Ethernet or IP header.
    #[error(
        "`{name}` cannot be guarded: the gate cannot read its frames (ARPHRD type {kind}; it reads Ethernet, loopback, \
         tun, WireGuard and PPP); name another interface, or leave `--interface` out"
    )]
    Unreadable { name: String, kind: u32 },
    /// Another program is where ours would be.
    #[error("`{interface}` cannot be guarded: {what}")]
    Attach { interface: String, what: String },
    /// The kernel refused the program or a map.
    #[error("the kernel refused {what}: {reason}")]
    Kernel { what: String, reason: String },
    /// Our pins are of another version.
    #[error("cannot use {}: {what}", path.display())]
    Pins { path: PathBuf, what: String },
    /// The `nft` command is missing.
    #[error("the `nft` command was not found; install the package `nftables`")]
    NoNft,
    /// `nft` refused the ruleset.
    #[error("nftables refused the ruleset: {reason}")]
    Nft { reason: String },
    /// A file or socket operation failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    /// For `map_err`: the operation on `path` failed.
    pub fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// For `map_err`: the kernel refused `what`. The sources' messages are joined, as the kernel's own word is last.
    pub fn kernel<E: std::error::Error>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Kernel { what, reason: chain(&error) }
    }
}

/// An error and its sources in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}
