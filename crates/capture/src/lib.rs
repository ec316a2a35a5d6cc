//! Reads packet captures: pcap and pcapng, plain or gzip, and finds the IP datagram in each frame.
//!
//! Captures are made by machines that crash, disks that fill up and people who cut files: what can be read is read, and what
//! could not is told as a [`Problem`]. Nothing here panics on any input.
#![forbid(unsafe_code)]

mod batch;
mod bytes;
pub mod link;
mod pcap;
mod pcapng;
mod reader;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use reader::{Direction, Error, Frame, Problem, Reader};
