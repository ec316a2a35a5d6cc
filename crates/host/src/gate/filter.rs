//! Classic TC filters (`cls_bpf` below a clsact qdisc), for kernels before 6.6, which have no TC links.
//!
//! Nothing pins such a filter: it stays until somebody removes it, or its interface goes. Ours are told by their handle
//! and name together; which interfaces have some, and where the qdisc is ours too, is written down in directories beside
//! the pins ([`Pins::filter`]), before the kernel is touched.

use std::fs;
use std::io;
use std::path::Path;

use super::pins::{Pins, Written};
use crate::error::Error;
use crate::netlink::{attribute, dump, flag, put, request, word};

/// `RTM_*` in include/uapi/linux/rtnetlink.h.
const NEW_QDISC: u16 = 36;
const DELETE_QDISC: u16 = 37;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;
/// `TCA_KIND`, `TCA_OPTIONS`
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
/// `TCA_BPF_*` in include/uapi/linux/pkt_cls.h.
const FD: u16 = 6;
const NAME: u16 = 7;
const FLAGS: u16 = 8;
const ID: u16 = 11;
/// `TCA_BPF_FLAG_ACT_DIRECT`: the program's value is the verdict.
const DIRECT: u32 = 1;
/// `ETH_P_ALL`, in network order as the lower half of `tcm_info`.
const ALL: u32 = 3u16.to_be() as u32;
/// `TC_H_CLSACT` as a handle, and as the place where a clsact qdisc hangs.
const CLSACT: u32 = 0xffff_0000;
const CLSACT_PARENT: u32 = 0xffff_fff1;
/// Our handle, "RING": several filters may share a priority, but not a handle.
const HANDLE: u32 = 0x5249_4e47;
/// Every name of ours begins so.
const OURS: &[u8] = b"ringfence_";
/// First of all if we can; where another kind of filter holds a priority, the next one.
const PRIORITIES: std::ops::RangeInclusive<u32> = 1..=8;
/// `struct tcmsg`
const MESSAGE: usize = 20;

/// Which way packets go through a hook.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// What arrives, and is judged.
    In,
    /// What leaves, and is only watched.
    Out,
}

impl Side {
    const fn parent(self) -> u32 {
        match self {
            Self::In => 0xffff_fff2,
            Self::Out => 0xffff_fff3,
        }
    }
}

/// A filter of ours in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Filter {
    priority: u32,
    /// The program that it runs.
    pub(super) program: Option<u32>,
}

fn message(index: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for number in [index, handle, parent, info] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes
}

/// Puts the filter there, or a new program into the one that is there: packets meet the one or the other.
pub(super) fn put_on(pins: &Pins, index: u32, side: Side, name: &str, program: i32) -> io::Result<()> {
    let there = ours(index, side)?;
    // What a killed daemon left is taken over with its priority.
    if let Some(filter) = there {
        write_down(&pins.filter(Written::Filter(side), index))?;
        return set(index, side, name, program, filter.priority, 0);
    }
    add_clsact(pins, index)?;
    write_down(&pins.filter(Written::Filter(side), index))?;
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for priority in PRIORITIES {
        match set(index, side, name, program, priority, flag::CREATE | flag::EXCL) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    take_off(pins, index, side)?;
    Err(last)
}

fn set(index: u32, side: Side, name: &str, program: i32, priority: u32, flags: u16) -> io::Result<()> {
    let mut body = message(index, HANDLE, side.parent(), priority << 16 | ALL);
    put(&mut body, KIND, b"bpf\0");
    let mut options = Vec::new();
    put(&mut options, FD, &program.to_ne_bytes());
    put(&mut options, NAME, &[name.as_bytes(), b"\0"].concat());
    put(&mut options, FLAGS, &DIRECT.to_ne_bytes());
    put(&mut body, OPTIONS, &options);
    request(NEW_FILTER, flags, &body).map(drop)
}

/// Our filter on one side of an interface.
pub(super) fn ours(index: u32, side: Side) -> io::Result<Option<Filter>> {
    Ok(filters(index, side)?.into_iter().find_map(|body| {
        let attributes = body.get(MESSAGE..)?;
        let options = attribute(attributes, OPTIONS)?;
        let is_ours = attribute(attributes, KIND)? == b"bpf\0"
            && word(&body, 8)? == HANDLE
            && attribute(options, NAME)?.starts_with(OURS);
        let program = attribute(options, ID).and_then(|id| word(id, 0));
        is_ours.then_some(Filter { priority: word(&body, 16)? >> 16, program })
    }))
}

fn filters(index: u32, side: Side) -> io::Result<Vec<Vec<u8>>> {
    let all = match dump(GET_FILTER, &message(index, 0, side.parent(), 0)) {
        Err(error) if is_gone(&error) => Vec::new(),
        all => all?,
    };
    Ok(all.into_iter().filter(|(kind, _)| *kind == NEW_FILTER).map(|(_, body)| body).collect())
}

/// Removes our filter from one side; the qdisc, too, if we made it and nothing else hangs below it.
pub(super) fn take_off(pins: &Pins, index: u32, side: Side) -> io::Result<()> {
    // A daemon that was killed may have left one at another priority.
    for _ in PRIORITIES {
        let Some(filter) = ours(index, side)? else { break };
        let body = message(index, HANDLE, side.parent(), filter.priority << 16 | ALL);
        match request(DELETE_FILTER, 0, &body) {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => {}
        }
    }
    strike(&pins.filter(Written::Filter(side), index))?;
    let clsact = pins.filter(Written::Clsact, index);
    if clsact.exists() && filters(index, Side::In)?.is_empty() && filters(index, Side::Out)?.is_empty() {
        match request(DELETE_QDISC, 0, &message(index, CLSACT, CLSACT_PARENT, 0)) {
            Err(error) if !is_gone(&error) => return Err(error),
            _ => strike(&clsact)?,
        }
    } else if ours(index, Side::In)?.is_none() && ours(index, Side::Out)?.is_none() {
        // Somebody else's filters hold it now.
        strike(&clsact)?;
    }
    Ok(())
}

/// Removes everything that is written down.
pub(super) fn remove_all(pins: &Pins) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut removed = Vec::new();
    for (path, written, index) in pins.filters() {
        if let Written::Filter(side) = written {
            take_off(pins, index, side).map_err(Error::io("take off the filter of", &path))?;
            removed.push(path);
        }
    }
    // A qdisc that was made, or only announced, by a daemon that came no further.
    for (path, written, index) in pins.filters() {
        if written == Written::Clsact {
            take_off(pins, index, Side::In).map_err(Error::io("take off the qdisc of", &path))?;
        }
    }
    Ok(removed)
}

fn add_clsact(pins: &Pins, index: u32) -> io::Result<()> {
    let written = pins.filter(Written::Clsact, index);
    let before = written.exists();
    write_down(&written)?;
    let mut body = message(index, CLSACT, CLSACT_PARENT, 0);
    put(&mut body, KIND, b"clsact\0");
    match request(NEW_QDISC, flag::CREATE | flag::EXCL, &body) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Somebody else's, unless we made it before.
            if before { Ok(()) } else { strike(&written) }
        }
        Err(error) => {
            strike(&written)?;
            Err(error)
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let gone = [Errno::NODEV, Errno::NOENT, Errno::NXIO, Errno::INVAL].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|number| gone.contains(&number))
}

fn write_down(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn strike(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
