//! Records `samples/scan-and-call.pcap`: what an unguarded Asterisk sees when a phone registers and calls, and attackers look
//! for it. Needs root: `cargo run -p lab --example record_sample samples/scan-and-call.pcap`.

use std::error::Error;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::asterisk::PHONE;
use lab::phone::{ECHO, Phone, Transport};
use lab::{AsteriskOptions, Lab, Node, attack, probe};

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);
const LIMIT: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("where to? give a file")?;
    let lab = Lab::up("sample")?;
    let asterisk = lab.asterisk(&AsteriskOptions { guests: true })?;
    let mut command = lab.command(Node::Pbx, "tcpdump");
    // IPv4 only: neighbour discovery and ARP are the lab's own chatter.
    command.args(["-i", Node::INTERFACE, "-n", "-U", "--immediate-mode", "-Z", "root", "-w"]);
    command.arg(&file).args(["ip"]);
    let mut recorder = lab.spawn("tcpdump", command)?;
    recorder.wait_for_line("tcpdump: listening", LIMIT);

    let phone = Phone::new(&lab, Node::Phone, PHONE, Transport::Udp);
    phone.register(SIP)?;
    let call = phone.call(SIP, ECHO)?;
    attack::svmap(&lab, Node::Attacker, PBX)?;
    attack::sipsak(&lab, Node::Attacker, SIP, ECHO)?;
    attack::svwar(&lab, Node::Attacker, PBX, "100-102", "REGISTER")?;
    attack::nmap_tcp(&lab, Node::Attacker, PBX, "22,80,443,3306,5060")?;
    probe::tcp(&lab, Node::Attacker, (PBX, 23).into(), LIMIT)?;
    phone.options(SIP)?;

    std::thread::sleep(Duration::from_millis(500));
    recorder.kill();
    drop(asterisk);
    writeln!(std::io::stdout(), "{call:?}; {}", file.display())?;
    Ok(())
}
