//! What the article's rules add to a packet in iptables: datagrams sent through a veth pair as fast as one core can, with
//! the rules and without. The receiving side's work is done before the sender's system call returns, so the time of the call
//! is the price of both.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use lab::{Lab, Node};

use super::median;

/// Datagrams per measurement.
const COUNT: u32 = 60_000;
/// Measurements of each, of which the median is told.
const ROUNDS: usize = 7;

/// Nanoseconds that rules add to one datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    pub(crate) legacy: f64,
    pub(crate) nft: f64,
    /// What a datagram costs without any.
    pub(crate) bare: f64,
}

/// Sends `payload` to port 5060 with the rules of `file` in both kinds of iptables, and with none, in turns.
pub(crate) fn added(file: &Path, payload: &[u8]) -> Result<Added> {
    let lab = Lab::up("bench")?;
    let rules = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let pbx = Ipv4Addr::new(198, 51, 100, 10);
    // Nobody reads it, so all but the first datagrams end at its full buffer.
    let _listener = lab.inside(Node::Pbx, || UdpSocket::bind(SocketAddrV4::new(pbx, 5060)))??;
    let sender = lab.inside(Node::Net, || UdpSocket::bind("0.0.0.0:0"))??;
    sender.connect(SocketAddrV4::new(pbx, 5060))?;
    let ways = ["none", "iptables-legacy-restore", "iptables-nft-restore"];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (way, times) in ways.iter().zip(&mut times) {
            let restore = |text: &str| -> Result<()> {
                if *way == "none" {
                    return Ok(());
                }
                let path = lab.dir().join("rules");
                std::fs::write(&path, text)?;
                lab.must(Node::Pbx, [way, &path.display().to_string()])?;
                Ok(())
            };
            restore(&rules)?;
            times.push(once(&sender, payload));
            restore("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n")?;
        }
    }
    let [bare, legacy, nft] = times.map(|mut times| median(&mut times));
    Ok(Added { legacy: legacy - bare, nft: nft - bare, bare })
}

/// Nanoseconds a datagram.
fn once(sender: &UdpSocket, payload: &[u8]) -> f64 {
    let start = Instant::now();
    for _ in 0..COUNT {
        // A send that fails costs the same on every way.
        let _ = sender.send(payload);
    }
    start.elapsed().as_nanos() as f64 / f64::from(COUNT)
}
