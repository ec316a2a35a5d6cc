//! As much of netlink(7) as is needed: requests about queueing disciplines and filters, sockets and tracked connections, and
//! the news of links.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink as protocol, recv, send,
    socket_with,
};

/// Flags of a request (include/uapi/linux/netlink.h).
pub(crate) mod flag {
    pub(super) const REQUEST: u16 = 1;
    pub(super) const ACK: u16 = 4;
    pub(super) const DUMP: u16 = 0x300;
    /// Refuse what is there already.
    pub(crate) const EXCL: u16 = 0x200;
    /// Make what is not there.
    pub(crate) const CREATE: u16 = 0x400;
}

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes before the body of a message.
const HEADER: usize = 16;
/// The most that the kernel puts into one answer (`netlink_dump` in net/netlink/af_netlink.c).
const BUFFER: usize = 32 << 10;
/// `RTMGRP_LINK`
const LINKS: u32 = 1;

/// Which part of the kernel is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Route,
    /// sock_diag(7)
    Sockets,
    Netfilter,
}

/// A message's type and what follows its header.
pub(crate) type Message = (u16, Vec<u8>);

/// Sends one request and returns what came before its end.
///
/// # Errors
///
/// The kernel's own error number.
pub(crate) fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Message>> {
    let mut answers = Vec::new();
    exchange(Part::Route, (kind, flag::REQUEST | flag::ACK | flags), body, |kind, body| {
        answers.push((kind, body.to_vec()));
    })?;
    Ok(answers)
}

/// Sends one request to any part; there is no answer but that it was done.
///
/// # Errors
///
/// As [`request`].
pub(crate) fn command(part: Part, kind: u16, body: &[u8]) -> io::Result<()> {
    exchange(part, (kind, flag::REQUEST | flag::ACK), body, |_, _| ())
}

/// Asks for all of something.
///
/// # Errors
///
/// As [`request`].
pub(crate) fn dump(kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
    let mut answers = Vec::new();
    dump_each(Part::Route, kind, body, |kind, body| answers.push((kind, body.to_vec())))?;
    Ok(answers)
}

/// Asks any part for all of something; `each` gets one after the other.
///
/// # Errors
///
/// As [`request`].
pub(crate) fn dump_each(part: Part, kind: u16, body: &[u8], each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    exchange(part, (kind, flag::REQUEST | flag::DUMP), body, each)
}

fn exchange(
    part: Part,
    (kind, flags): (u16, u16),
    body: &[u8],
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<()> {
    let protocol = match part {
        // Protocol 0.
        Part::Route => None,
        Part::Sockets => Some(protocol::SOCK_DIAG),
        Part::Netfilter => Some(protocol::NETFILTER),
    };
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    let length = u32::try_from(HEADER + body.len()).map_err(|_too_long| Errno::MSGSIZE)?;
    let mut text = Vec::with_capacity(HEADER + body.len());
    text.extend(length.to_ne_bytes());
    text.extend(kind.to_ne_bytes());
    text.extend(flags.to_ne_bytes());
    text.extend(1u32.to_ne_bytes());
    text.extend(0u32.to_ne_bytes());
    text.extend(body);
    send(&socket, &text, SendFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let (read, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        let mut bytes = buffer.get(..read).unwrap_or_default();
        while let (Some(length), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
            let length = length as usize;
            let Some(body) = bytes.get(HEADER..length) else { break };
            match kind {
                DONE => return Ok(()),
                ERROR => {
                    let code = word(body, 0).unwrap_or(0).cast_signed();
                    return if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) };
                }
                _ => each(kind, body),
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Whether a program runs at XDP on an interface in the stack instead of its driver (`XDP_ATTACHED_SKB`).
pub(crate) fn has_generic_xdp(index: u32) -> bool {
    const GET_LINK: u16 = 18;
    const NEW_LINK: u16 = 16;
    /// `struct ifinfomsg`
    const MESSAGE: usize = 16;
    const XDP: u16 = 43;
    const ATTACHED: u16 = 2;
    const GENERIC: u8 = 2;
    let mut body = vec![0; MESSAGE];
    if let Some(place) = body.get_mut(4..8) {
        place.copy_from_slice(&index.to_ne_bytes());
    }
    let attached = |(kind, body): &Message| {
        (*kind == NEW_LINK).then_some(())?;
        attribute(attribute(body.get(MESSAGE..)?, XDP)?, ATTACHED)?.first().copied()
    };
    request(GET_LINK, 0, &body).is_ok_and(|answers| answers.iter().find_map(attached) == Some(GENERIC))
}

/// Appends an attribute, filled up to a multiple of four bytes.
pub(crate) fn put(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The value of the attribute `kind` (`NLA_F_NESTED` and byte order are flags in the kind).
pub(crate) fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    const KIND: u16 = 0x3fff;
    loop {
        let length = usize::from(half(bytes, 0)?);
        let value = bytes.get(4..length)?;
        if half(bytes, 2)? & KIND == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// Four bytes as a number of this machine.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two))
}

/// The kernel's news of links that come, change or go in this network namespace. Readable when there is some.
#[derive(Debug)]
pub struct LinkNews(OwnedFd);

impl LinkNews {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// When the kernel has no socket for us.
    pub fn listen() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, LINKS))?;
        Ok(Self(socket))
    }

    /// Takes all news that waits, and whether there was any. What it says is read from the kernel anew, so that nothing
    /// depends on news that did not fit into the socket.
    pub fn drain(&self) -> bool {
        let mut any = false;
        let mut buffer = [0; 4096];
        loop {
            match recv(&self.0, &mut buffer, RecvFlags::TRUNC) {
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

impl AsFd for LinkNews {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for LinkNews {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_again() {
        let mut bytes = Vec::new();
        put(&mut bytes, 1, b"bpf\0");
        put(&mut bytes, 0x8002, b"abcde");
        put(&mut bytes, 3, &7u32.to_ne_bytes());
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(attribute(&bytes, 1), Some(&b"bpf\0"[..]));
        assert_eq!(attribute(&bytes, 2), Some(&b"abcde"[..]));
        assert_eq!(attribute(&bytes, 3).and_then(|value| word(value, 0)), Some(7));
        assert_eq!(attribute(&bytes, 4), None);
        for cut in 0..bytes.len() {
            let _ = attribute(&bytes[..cut], 4);
        }
        assert_eq!(attribute(&[0, 0, 9, 0, 1, 2, 3, 4], 1), None, "a length of nothing is no endless loop");
    }

    #[test]
    fn the_kernel_says_no_with_its_own_number() {
        let error = request(37, 0, &[0; 20]).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
    }
}
