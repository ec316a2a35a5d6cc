//! Everything that touches the machine. The rest of Ringfence computes; this crate loads, attaches, writes and reads.
#![forbid(unsafe_code)]

/// The bpf file system, on which pins outlive the daemon.
pub mod bpffs;
/// Files of certificates.
mod certificate;
/// What a process gives up for the rest of its life.
pub mod confine;
/// What can go wrong on a machine, with the operation that failed.
pub mod error;
/// Events as JSON lines in a file of bounded size.
pub mod event_log;
/// Reading what others publish: lists by HTTP, and files.
pub mod fetch;
/// Processes without privilege that ask servers.
pub mod fetchers;
/// Log files that grow.
pub mod follow;
/// The kernel half: loading, attaching, reading back.
pub mod gate;
/// Processes of ours that do one thing each.
mod helper;
/// Copies of SIP messages: received from others, and sent to others.
pub mod hep;
/// systemd's journal.
pub mod journal;
/// Who we are and what the machine has: privileges, kernel, interfaces.
pub mod machine;
/// Connections to PBXs that tell who tries to get in.
pub mod manager;
/// Talking to the kernel about links, and hearing of them.
mod netlink;
/// The nftables table.
pub mod nft;
/// Telling systemd.
pub mod notify;
/// Passwords, and the files that they are in.
pub mod secret;
/// What a banned source still has open.
pub mod sever;
/// Lines for the system's log.
pub mod syslog;

pub use error::Error;
pub use netlink::LinkNews;
