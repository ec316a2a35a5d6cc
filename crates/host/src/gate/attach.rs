//! Before which interfaces the gate stands, and how.

use std::fmt;

use aya::Ebpf;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode};

use super::pins::Pins;
use super::readback::{Guarded, interface_of};
use super::{program, tc_name, xdp_name};
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
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
            Self::Tc => "tc",
        })
    }
}

/// Attaches to all of `interfaces` or, if one fails, to none that was not guarded before.
pub(super) fn attach(ebpf: &mut Ebpf, pins: &Pins, interfaces: &[Interface]) -> Result<Vec<Guarded>, Error> {
    follow_names(pins, interfaces);
    let mut guarded: Vec<Guarded> = Vec::new();
    for interface in interfaces {
        match one(ebpf, pins, interface) {
            Ok(done) => guarded.push(done),
            Err(error) => {
                for fresh in guarded.into_iter().filter(|guarded| !guarded.adopted) {
                    drop(PinnedLink::from_pin(&fresh.pin).ok().and_then(|link| link.unpin().ok()));
                }
                return Err(error);
            }
        }
    }
    for (path, name, mode) in pins.links() {
        let wanted = guarded.iter().any(|guarded| guarded.interface == name && guarded.mode == mode);
        if !wanted {
            drop(PinnedLink::from_pin(&path).ok().and_then(|link| link.unpin().ok()));
        }
    }
    Ok(guarded)
}

fn one(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface) -> Result<Guarded, Error> {
    for mode in [Mode::Driver, Mode::Generic, Mode::Tc] {
        if let Some(guarded) = adopt(ebpf, pins, interface, mode)? {
            return Ok(guarded);
        }
    }
    // XDP on loopback makes the kernel linearise every packet that local programs exchange, so TC comes first there
    // (TC links are there from Linux 6.6 on).
    let modes: &[Mode] = if interface.is_loopback() {
        &[Mode::Tc, Mode::Generic]
    } else {
        &[Mode::Driver, Mode::Generic, Mode::Tc]
    };
    let mut failures = Vec::new();
    for &mode in modes {
        match fresh(ebpf, interface, mode) {
            Ok(link) => return pin(link, pins, interface, mode),
            Err(error) => failures.push(format!("{mode}: {}", chain(&error))),
        }
    }
    Err(Error::Attach { interface: interface.name.clone(), what: failures.join("; ") })
}

/// Gives pins the names that their interfaces have now; a link stays with its interface when that is renamed.
fn follow_names(pins: &Pins, interfaces: &[Interface]) {
    for (path, name, mode) in pins.links() {
        let index = PinnedLink::from_pin(&path).ok().and_then(|link| interface_of(&FdLink::from(link)));
        let now = interfaces.iter().find(|interface| Some(interface.index) == index);
        if let Some(interface) = now
            && interface.name != name
        {
            // A pin that keeps its old name is found again by the next generation.
            let _ = std::fs::rename(&path, pins.link(&interface.name, mode));
        }
    }
}

/// Switches a link that a former generation left to the new program, without a gap.
fn adopt(ebpf: &mut Ebpf, pins: &Pins, interface: &Interface, mode: Mode) -> Result<Option<Guarded>, Error> {
    let path = pins.link(&interface.name, mode);
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
    let switched = match mode {
        Mode::Driver | Mode::Generic => switch_xdp(ebpf, interface, link),
        Mode::Tc => switch_tc(ebpf, interface, link),
    };
    match switched {
        Ok(_) => Ok(Some(Guarded {
            interface: interface.name.clone(),
            index: interface.index,
            mode,
            raw_ip: interface.is_raw_ip(),
            pin: path,
            adopted: true,
        })),
        // The pin stays, and the old program with it.
        Err(error) => Err(Error::Attach { interface: interface.name.clone(), what: chain(&error) }),
    }
}

fn switch_xdp(ebpf: &mut Ebpf, interface: &Interface, link: FdLink) -> Result<FdLink, Failure> {
    let program: &mut Xdp = program(ebpf, xdp_name(interface.is_raw_ip()))?;
    let id = program.attach_to_link(link.try_into()?)?;
    Ok(program.take_link(id)?.try_into()?)
}

fn switch_tc(ebpf: &mut Ebpf, interface: &Interface, link: FdLink) -> Result<FdLink, Failure> {
    let program: &mut SchedClassifier = program(ebpf, tc_name(interface.is_raw_ip()))?;
    let id = program.attach_to_link(link.try_into()?)?;
    Ok(program.take_link(id)?.try_into()?)
}

fn fresh(ebpf: &mut Ebpf, interface: &Interface, mode: Mode) -> Result<FdLink, Failure> {
    match mode {
        Mode::Driver | Mode::Generic => {
            let program: &mut Xdp = program(ebpf, xdp_name(interface.is_raw_ip()))?;
            let how = if mode == Mode::Driver { XdpMode::Driver } else { XdpMode::Skb };
            let id = program.attach_to_if_index(interface.index, how)?;
            Ok(program.take_link(id)?.try_into()?)
        }
        Mode::Tc => {
            let program: &mut SchedClassifier = program(ebpf, tc_name(interface.is_raw_ip()))?;
            let order = TcAttachOptions::TcxOrder(LinkOrder::first());
            let id = program.attach_with_options(&interface.name, TcAttachType::Ingress, order)?;
            Ok(program.take_link(id)?.try_into()?)
        }
    }
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
}

fn pin(link: FdLink, pins: &Pins, interface: &Interface, mode: Mode) -> Result<Guarded, Error> {
    let path = pins.link(&interface.name, mode);
    link.pin(&path).map_err(Error::kernel(format!("the pin {}", path.display())))?;
    Ok(Guarded {
        interface: interface.name.clone(),
        index: interface.index,
        mode,
        raw_ip: interface.is_raw_ip(),
        pin: path,
        adopted: false,
    })
}
