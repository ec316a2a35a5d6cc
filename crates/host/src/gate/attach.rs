//! Before which interfaces the gate stands, and how.

use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::Ebpf;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};

use super::filter::{self, Side};
use super::pins::{Pins, Written};
use super::readback::{Guarded, interface_of};
use super::{out_name, program, tc_name, xdp_name};
use crate::error::{Error, chain};
use crate::machine::Interface;

/// How the gate is attached to an interface, best first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// XDP in the driver, before the kernel has made a packet of the frame.
    Driver,
    /// XDP in the stack, for drivers that cannot.
    Generic,
    /// TC ingress, where XDP is taken by another program or does not work.
    Tc,
    /// The same as a classic filter, for kernels before 6.6.
    Filter,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
            Self::Tc => "tc",
            Self::Filter => "tc filter",
        })
    }
}

/// A place for a program at an interface.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) side: Side,
    pub(super) mode: Mode,
}

/// What is to be attached, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Whether what leaves is watched.
    pub(super) answers: bool,
    /// Whether TC links may be used where the kernel has them.
    pub(super) tc_links: bool,
}

/// Attaches to all of `interfaces` or, if one fails, to none that was not guarded before.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    pins: &Pins,
    interfaces: &[Interface],
    wish: Wish,
) -> Result<Vec<Guarded>, Error> {
    follow_names(pins, interfaces);
    let mut guarded: Vec<Guarded> = Vec::new();
    for (interface, side) in sides(interfaces, wish.answers) {
        match one(ebpf, pins, interface, side, wish) {
            Ok(done) => guarded.push(done),
            Err(error) => {
                for fresh in guarded.iter().filter(|guarded| !guarded.adopted) {
                    take_off(pins, fresh);
                }
                return Err(error);
            }
        }
    }
    tidy(pins, &guarded, &[]);
    Ok(guarded)
}

/// Attaches wherever it can, and says where it could not.
pub(super) fn follow(
    ebpf: &mut Ebpf,
    pins: &Pins,
    interfaces: &[Interface],
    wish: Wish,
) -> (Vec<Guarded>, Vec<Error>) {
    follow_names(pins, interfaces);
    let (mut guarded, mut errors, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (interface, side) in sides(interfaces, wish.answers) {
        match one(ebpf, pins, interface, side, wish) {
            Ok(done) => guarded.push(done),
            Err(error) => {
                errors.push(error);
                failed.push(interface);
            }
        }
    }
    tidy(pins, &guarded, &failed);
    (guarded, errors)
}

/// What arrives first: it is what counts.
fn sides(interfaces: &[Interface], answers: bool) -> Vec<(&Interface, Side)> {
    let arriving = interfaces.iter().map(|interface| (interface, Side::In));
    let leaving = interfaces.iter().filter(|_| answers).map(|interface| (interface, Side::Out));
    arriving.chain(leaving).collect()
}

fn take_off(pins: &Pins, guarded: &Guarded) {
    if guarded.mode == Mode::Filter {
        let _ = filter::take_off(pins, guarded.index, guarded.side);
    } else {
        drop(PinnedLink::from_pin(&guarded.pin).ok().and_then(|link| link.unpin().ok()));
    }
}

/// Takes off what is no longer wanted; what is at `spared` interfaces may still be a former generation's.
fn tidy(pins: &Pins, guarded: &[Guarded], spared: &[&Interface]) {
    for (path, name, place) in pins.links() {
        let wanted = guarded.iter().any(|one| one.interface == name && one.place() == place);
        if !wanted && spared.iter().all(|interface| interface.name != name) {
            drop(PinnedLink::from_pin(&path).ok().and_then(|link| link.unpin().ok()));
        }
    }
    for (_, written, index) in pins.filters() {
        let Written::Filter(side) = written else { continue };
        let wanted =
            guarded.iter().any(|one| one.index == index && one.side == side && one.mode == Mode::Filter);
        if !wanted && spared.iter().all(|interface| interface.index != index) {
            let _ = filter::take_off(pins, index, side);
        }
    }
}

/// The modes to try, best first.
fn modes(interface: &Interface, side: Side) -> &'static [Mode] {
    match side {
        Side::Out => &[Mode::Tc, Mode::Filter],
        // XDP on loopback makes the kernel linearise every packet that local programs exchange, so TC comes first there.
        Side::In if interface.is_loopback() => &[Mode::Tc, Mode::Filter, Mode::Generic],
        // A bond hands a driver's program to its ports, where it runs under their numbers (`bond_xdp_set` in
        // drivers/net/bonding/bond_main.c): no rule that names the bond would hold. It also lets no port join that
        // has no XDP of its own.
        Side::In if interface.bond => &[Mode::Generic, Mode::Tc, Mode::Filter],
        Side::In => &[Mode::Driver, Mode::Generic, Mode::Tc, Mode::Filter],
    }
}

fn one(
    ebpf: &mut Ebpf,
    pins: &Pins,
    interface: &Interface,
    side: Side,
    wish: Wish,
) -> Result<Guarded, Error> {
    for mode in [Mode::Driver, Mode::Generic, Mode::Tc, Mode::Filter] {
        if let Some(guarded) = adopt(ebpf, pins, interface, Place { side, mode })? {
            return Ok(guarded);
        }
    }
    let mut failures = Vec::new();
    for &mode in modes(interface, side) {
        let place = Place { side, mode };
        let done = match mode {
            Mode::Filter => put_filter(ebpf, pins, interface, side),
            Mode::Tc if !wish.tc_links => Err(Failure::NoTcLinks),
            Mode::Driver | Mode::Generic | Mode::Tc => {
                fresh(ebpf, interface, place).and_then(|link| Ok(pin(link, pins, interface, place)?))
            }
        };
        match done {
            Ok(()) => return Ok(guarded(pins, interface, place, false)),
            Err(error) => failures.push(format!("{mode}: {}", chain(&error))),
        }
    }
    Err(Error::Attach { interface: interface.name.clone(), what: failures.join("; ") })
}

fn guarded(pins: &Pins, interface: &Interface, place: Place, adopted: bool) -> Guarded {
    Guarded {
        interface: interface.name.clone(),
        index: interface.index,
        mode: place.mode,
        side: place.side,
        raw_ip: interface.is_raw_ip(),
        pin: match place.mode {
            Mode::Filter => pins.filter(Written::Filter(place.side), interface.index),
            Mode::Driver | Mode::Generic | Mode::Tc => pins.link(&interface.name, place),
        },
        adopted,
    }
}

/// Gives pins the names that their interfaces have now; a link stays with its interface when that is renamed.
fn follow_names(pins: &Pins, interfaces: &[Interface]) {
    let mut renamed = Vec::new();
    for (path, name, place) in pins.links() {
        let index = PinnedLink::from_pin(&path).ok().and_then(|link| interface_of(&FdLink::from(link)));
        let now = interfaces.iter().find(|interface| Some(interface.index) == index);
        if let Some(interface) = now
            && interface.name != name
        {
            // Two interfaces may have changed names: first everything goes out of the way. A slash is in no name of an
            // interface, and a colon in no usual one.
            let aside = pins.link(&format!(":{}", interface.index), place);
            if std::fs::rename(&path, &aside).is_ok() {
                renamed.push((aside, pins.link(&interface.name, place)));
            }
        }
    }
    for (aside, path) in renamed {
        // A pin that keeps another name is found again by the next generation.
        let _ = std::fs::rename(&aside, &path);
    }
}

/// Switches a link that a former generation left to the new program, without a gap.
fn adopt(
    ebpf: &mut Ebpf,
    pins: &Pins,
    interface: &Interface,
    place: Place,
) -> Result<Option<Guarded>, Error> {
    let refused = |error: &Failure| Error::Attach { interface: interface.name.clone(), what: chain(error) };
    if place.mode == Mode::Filter {
        let there = filter::ours(interface.index, place.side).is_ok_and(|there| there.is_some());
        if there {
            put_filter(ebpf, pins, interface, place.side).map_err(|error| refused(&error))?;
        }
        return Ok(there.then(|| guarded(pins, interface, place, true)));
    }
    let path = pins.link(&interface.name, place);
    if !path.exists() {
        return Ok(None);
    }
    let link = FdLink::from(
        PinnedLink::from_pin(&path).map_err(Error::kernel(format!("the pin {}", path.display())))?,
    );
    if interface_of(&link) != Some(interface.index) {
        // The interface was removed and made anew meanwhile: the link is dead, and the pin with it.
        std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        return Ok(None);
    }
    let switched = match place.mode {
        Mode::Driver | Mode::Generic => switch_xdp(ebpf, interface, link),
        Mode::Tc | Mode::Filter => switch_tc(ebpf, interface, place.side, link),
    };
    match switched {
        Ok(_) => Ok(Some(guarded(pins, interface, place, true))),
        // The pin stays, and the old program with it.
        Err(error) => Err(refused(&error)),
    }
}

fn switch_xdp(ebpf: &mut Ebpf, interface: &Interface, link: FdLink) -> Result<FdLink, Failure> {
    let program: &mut Xdp = program(ebpf, xdp_name(interface.is_raw_ip()))?;
    let id = program.attach_to_link(link.try_into()?)?;
    Ok(program.take_link(id)?.try_into()?)
}

fn switch_tc(ebpf: &mut Ebpf, interface: &Interface, side: Side, link: FdLink) -> Result<FdLink, Failure> {
    let program: &mut SchedClassifier = program(ebpf, classifier(interface, side))?;
    let id = program.attach_to_link(link.try_into()?)?;
    Ok(program.take_link(id)?.try_into()?)
}

fn classifier(interface: &Interface, side: Side) -> &'static str {
    match side {
        Side::In => tc_name(interface.is_raw_ip()),
        Side::Out => out_name(interface.is_raw_ip()),
    }
}

fn fresh(ebpf: &mut Ebpf, interface: &Interface, place: Place) -> Result<FdLink, Failure> {
    match place.mode {
        Mode::Driver | Mode::Generic => {
            let program: &mut Xdp = program(ebpf, xdp_name(interface.is_raw_ip()))?;
            let how = if place.mode == Mode::Driver { XdpMode::Driver } else { XdpMode::Skb };
            let id = program.attach_to_if_index(interface.index, how)?;
            Ok(program.take_link(id)?.try_into()?)
        }
        Mode::Tc | Mode::Filter => {
            let program: &mut SchedClassifier = program(ebpf, classifier(interface, place.side))?;
            // First, so that nobody accepts before us what is to be dropped, and last to see what really leaves.
            let (kind, order) = match place.side {
                Side::In => (TcAttachType::Ingress, LinkOrder::first()),
                Side::Out => (TcAttachType::Egress, LinkOrder::last()),
            };
            let id = program.attach_with_options(&interface.name, kind, TcAttachOptions::TcxOrder(order))?;
            Ok(program.take_link(id)?.try_into()?)
        }
    }
}

fn put_filter(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface, side: Side) -> Result<(), Failure> {
    let name = classifier(interface, side);
    let program: &mut SchedClassifier = program(ebpf, name)?;
    let fd = program.fd()?.as_fd().as_raw_fd();
    Ok(filter::put_on(pins, interface.index, side, name, fd)?)
}

/// What the kernel or the library said to one attempt.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Object(#[from] Error),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Netlink(#[from] std::io::Error),
    #[error("not to be used here")]
    NoTcLinks,
}

fn pin(link: FdLink, pins: &Pins, interface: &Interface, place: Place) -> Result<(), Error> {
    let path = pins.link(&interface.name, place);
    link.pin(&path).map(drop).map_err(Error::kernel(format!("the pin {}", path.display())))
}
