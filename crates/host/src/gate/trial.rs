//! Trying the gate out: a packet from a banned source has to be dropped by the program that is attached.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aya::TestRun as _;
use aya::programs::{TestRunOptions, Xdp};
use gate::layout::{self, GUARD_UDP};

use super::{Banned, Gate, Sources, program, xdp_name};
use crate::error::Error;
use crate::machine;

/// [`layout::MARKED`], of which a daemon that was killed in the middle of a trial may leave a ban of two seconds.
pub const MARKED: IpAddr = {
    let [a, b, c, d] = layout::MARKED.low();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
};
/// A ban for one packet.
const BRIEFLY: Duration = Duration::from_secs(2);
/// `XDP_DROP` in include/uapi/linux/bpf.h.
const DROP: u32 = 1;

impl Gate {
    /// Bans an address that nobody has, shows the loaded XDP program a SIP packet from there (`BPF_PROG_TEST_RUN`), and says
    /// whether it was dropped. It is not counted. `None` if the policy guards no port, or nothing is to be dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the kernel refuses the trial.
    pub fn try_out(&mut self) -> Result<Option<bool>, Error> {
        let config = &self.tables.config;
        if config.flags & layout::OBSERVE != 0 {
            return Ok(None);
        }
        let all = config.flags & (layout::ALL_UDP_PORTS | layout::ALL_PROTOCOLS) != 0;
        let guarded = self.tables.ports.iter().find(|(_, bits)| bits & GUARD_UDP != 0).map(|(port, _)| *port);
        let Some(port) = guarded.or(all.then_some(5060)) else { return Ok(None) };
        let until = machine::monotonic() + BRIEFLY.as_nanos() as u64;
        let mut sources = Sources::of(&mut self.ebpf)?;
        sources.ban([Banned { address: MARKED, until, all_ports: false }])?;
        let frame = frame(port);
        let xdp: &mut Xdp = program(&mut self.ebpf, xdp_name(false))?;
        let options = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() };
        let answer = xdp.test_run(options).map_err(Error::kernel("a trial run"));
        Sources::of(&mut self.ebpf)?.unban(MARKED)?;
        Ok(Some(answer?.return_value == DROP))
    }
}

/// An OPTIONS from the marked address.
fn frame(port: u16) -> Vec<u8> {
    const PAYLOAD: &[u8] = b"OPTIONS sip:trial@127.0.0.1 SIP/2.0\r\n\r\n";
    let length = |more: usize| u16::try_from(PAYLOAD.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let [high, low] = length(28);
    frame.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0]);
    if let IpAddr::V4(marked) = MARKED {
        frame.extend(marked.octets());
    }
    frame.extend(Ipv4Addr::LOCALHOST.octets());
    frame.extend(5060_u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(PAYLOAD);
    frame
}
