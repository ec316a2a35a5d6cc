//! What a packet costs in the gate's program, by `BPF_PROG_TEST_RUN`, beside an empty program, and beside what the same rules
//! cost in iptables.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use gate::layout::Interface;
use gate::memory::GateTables;
use host::gate::{Banned, TestGate};
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};

use self::yardstick::Yardstick;
use super::{iptables, median};
use crate::install::is_root;
use crate::workspace;

/// The empty program, and the one that gives every packet another source.
mod yardstick;

/// Runs of one frame per measurement; the kernel gives their mean.
const REPEAT: u32 = 20_000;
/// The same for rows with many sources: so many that tables that fit into a cache are in it, as in a flood.
const FLOOD: u32 = 200_000;
/// Measurements per frame, of which the median is told.
const ROUNDS: usize = 15;
/// Sources of the rows with many.
const MANY: u32 = 1_000_000;

pub(super) fn run() -> Result<()> {
    ensure!(is_root(), "loading a kernel program needs root");
    let register = || register("Acme Phone");
    let lawful = udp(5060, &register());
    let article = sample()?;
    let mut gates = Gates::load(&article)?;
    let mut rows = vec![
        Row::new("not IP, passed", "article", ethernet(0x0806, &[0; 46])),
        Row::new("no guarded port, passed", "article", udp(10_000, &[0; 172])).must(40.0, 20.0),
        Row::new("banned, of 10,000", "few", udp(5060, &register())).must(60.0, 30.0),
        Row::new("banned at random, of 1,000,000 (IPv4)", "many", udp(5060, &register()))
            .many()
            .must(280.0, 200.0),
        Row::new("banned at random, of 1,000,000 (IPv6)", "many", udp6(5060, &register()))
            .many()
            .must(280.0, 200.0),
        Row::new("REGISTER of 699 bytes, 7 signatures", "article", lawful.clone()).must(500.0, 200.0),
        Row::new("the same, 1,000 signatures", "thousand", lawful.clone()),
        Row::new("the same, the shipped policy, proven source", "shipped", lawful.clone()),
        Row::new(
            "the same, with a signature of 7",
            "article",
            udp(5060, &self::register("friendly-scanner")),
        ),
        Row::new(
            "nearly a signature, again and again",
            "article",
            udp(5060, &b"sipvicioufriendly-scanne".repeat(27)),
        ),
        Row::new("nearly one of 1,000, again and again", "thousand", udp(5060, &near(&scanners(1000)))),
        Row::new("limited at random, of 1,000,000 sources", "limited", udp(5060, b"OPTIONS "))
            .many()
            .must(100.0, 50.0),
        Row::new("within its limit, 1,000,000 sources", "wide", udp(5060, b"OPTIONS ")).many(),
    ];
    let mut yardstick = Yardstick::load(MANY)?;
    let mut empty = Vec::new();
    let mut empty_scattered = Vec::new();
    let mut touch = Vec::new();
    // All take turns, so that a disturbance hits all of them.
    for _ in 0..ROUNDS {
        empty.push(yardstick.empty(&lawful, REPEAT)?);
        empty_scattered.push(yardstick.scattered_empty(&lawful, REPEAT)?);
        touch.push(yardstick.scattered_touch(&lawful, FLOOD)?);
        for row in &mut rows {
            let gate = gates.get(row.gate)?;
            let time = if row.many {
                yardstick.scattered(gate, &row.frame, FLOOD)?
            } else {
                gate.run_xdp(&row.frame, REPEAT)?.1.as_nanos() as f64
            };
            row.times.push(time);
        }
    }
    let (empty, empty_scattered) = (median(&mut empty), median(&mut empty_scattered));
    println!("nanoseconds a packet; medians of {ROUNDS} times {REPEAT} runs, {FLOOD} with random sources\n");
    println!(
        "E, the empty program: {empty:.0}; with a random source for each packet: {empty_scattered:.0}\n\
         one cache line of a table of 16 MiB, at random, one after the other: {:.0}\n",
        median(&mut touch)
    );
    println!("{:<44} {:>7} {:>7} {:>7} {:>7}", "path", "all", "- E", "must", "aim");
    let mut above = BTreeMap::new();
    for row in &mut rows {
        let all = median(&mut row.times);
        let more = all - if row.many { empty_scattered } else { empty };
        let bound = |bound: Option<f64>| bound.map_or(String::new(), |bound| format!("{bound:.0}"));
        println!("{:<44} {all:>7.0} {more:>7.0} {:>7} {:>7}", row.name, bound(row.must), bound(row.aim));
        above.insert(row.name, (all, more));
    }
    drop(gates);
    ratios(&above, iptables::added(&workspace().join("samples/asterisk.rules"), &register())?);
    Ok(())
}

/// How the rows stand to each other and to iptables.
fn ratios(rows: &BTreeMap<&str, (f64, f64)>, iptables: iptables::Added) {
    let more = |name: &str| rows.get(name).map_or(f64::NAN, |(_, more)| *more);
    let all = |name: &str| rows.get(name).map_or(f64::NAN, |(all, _)| *all);
    let seven = more("REGISTER of 699 bytes, 7 signatures");
    println!("\n{:<60} {:>8}", "ratio", "");
    for (name, ratio) in [
        ("1,000 signatures to 7 (at most 1.3)", more("the same, 1,000 signatures") / seven),
        (
            "hostile text to lawful, 7 signatures (at most 4)",
            all("nearly a signature, again and again") / all("REGISTER of 699 bytes, 7 signatures"),
        ),
        (
            "hostile text to lawful, 1,000 signatures (at most 4)",
            all("nearly one of 1,000, again and again") / all("the same, 1,000 signatures"),
        ),
        ("what iptables-legacy adds to what the gate adds (at least 8)", iptables.legacy / seven),
        ("what iptables-nft adds to what the gate adds", iptables.nft / seven),
    ] {
        println!("{name:<60} {ratio:>8.2}");
    }
    println!(
        "\nthe article's rules add to the same REGISTER over a veth pair ({:.0} without rules): iptables-legacy {:.0}, \
         iptables-nft {:.0}",
        iptables.bare, iptables.legacy, iptables.nft
    );
}

/// One line of the table.
struct Row {
    name: &'static str,
    gate: &'static str,
    frame: Vec<u8>,
    /// Each run with another source.
    many: bool,
    must: Option<f64>,
    aim: Option<f64>,
    times: Vec<f64>,
}

impl Row {
    fn new(name: &'static str, gate: &'static str, frame: Vec<u8>) -> Self {
        Self { name, gate, frame, many: false, must: None, aim: None, times: Vec::new() }
    }

    fn many(self) -> Self {
        Self { many: true, ..self }
    }

    fn must(self, must: f64, aim: f64) -> Self {
        Self { must: Some(must), aim: Some(aim), ..self }
    }
}

/// A gate for each policy.
struct Gates(BTreeMap<&'static str, TestGate>);

impl Gates {
    fn load(article: &[u8]) -> Result<Self> {
        let plain = tables("article.rules", article.to_vec())?;
        let mut few = TestGate::load(&plain, Interface::default())?;
        few.sources()?.ban((0..10_000).map(v4).chain([Ipv4Addr::new(192, 0, 2, 1).into()]).map(forever))?;
        let mut many = TestGate::load(&plain, Interface::default())?;
        many.sources()?.ban((0..MANY).map(v4).chain((0..MANY).map(v6)).map(forever))?;
        let shipped = std::fs::read(workspace().join("packaging/policy.toml"))?;
        let mut shipped = TestGate::load(&tables("policy.toml", shipped)?, Interface::default())?;
        // A source at the speed of the bench is over any limit before long.
        ensure!(
            shipped.sources()?.prove(Ipv4Addr::new(192, 0, 2, 1).into(), u64::MAX)?,
            "no room for a source"
        );
        let limits = |text: &str| tables("limits.toml", text.as_bytes().to_vec());
        Ok(Self(BTreeMap::from([
            ("article", TestGate::load(&plain, Interface::default())?),
            ("few", few),
            ("many", many),
            ("thousand", TestGate::load(&tables("thousand.rules", thousand())?, Interface::default())?),
            ("shipped", shipped),
            (
                "limited",
                TestGate::load(
                    &limits(
                        "[unproven]\nsource = \"1/minute burst 1\"\nnetwork = \"1/minute burst 1\"\nall = \"1/minute burst 1\"\n",
                    )?,
                    Interface::default(),
                )?,
            ),
            (
                "wide",
                TestGate::load(
                    &limits(
                        "[unproven]\nsource = \"90000000/second burst 90000000\"\n\
                         network = \"90000000/second burst 90000000\"\nall = \"90000000/second burst 90000000\"\n",
                    )?,
                    Interface::default(),
                )?,
            ),
        ])))
    }

    fn get(&mut self, name: &str) -> Result<&mut TestGate> {
        self.0.get_mut(name).with_context(|| format!("there is no gate `{name}`"))
    }
}

fn forever(address: IpAddr) -> Banned {
    Banned { address, until: u64::MAX, all_ports: false }
}

/// The addresses that the yardstick draws from.
fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from(0x1000_0000 + number).into()
}

fn v6(number: u32) -> IpAddr {
    let source = 0x1000_0000 + number;
    Ipv6Addr::new(0x2001, 0xdb8, (source >> 16) as u16, source as u16, 0, 0, 0, 1).into()
}

fn sample() -> Result<Vec<u8>> {
    let path = workspace().join("samples/asterisk.rules");
    std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn tables(name: &str, bytes: Vec<u8>) -> Result<GateTables> {
    let fail = |mistakes: Vec<policy::diagnostic::Diagnostic>| anyhow::anyhow!("{mistakes:?}");
    let policy = Policy::parse(name, bytes).map_err(fail)?;
    Ok(Plan::new(&policy, Mode::Enforce, Tag::default()).map_err(fail)?.gate.tables)
}

/// Names as scanners have them, of 6 to 20 letters.
fn scanners(count: usize) -> Vec<String> {
    let parts =
        ["scan", "sip", "voip", "probe", "crack", "dial", "war", "test", "friend", "phone", "pbx", "enum"];
    let part = |number: usize| parts.get(number % parts.len()).copied().unwrap_or_default();
    (0..count)
        .map(|number| format!("{}-{}{:03}", part(number), part(number / 12 + number * 5), number))
        .collect()
}

/// The article's rules, with a thousand texts instead of seven.
fn thousand() -> Vec<u8> {
    let mut rules =
        String::from("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n");
    for name in scanners(1000) {
        rules.push_str(&format!(
            "-A INPUT -p udp -m udp --dport 5060 -m string --string \"{name}\" --algo bm --to 65535 -j DROP\n"
        ));
    }
    rules.push_str("COMMIT\n");
    rules.into_bytes()
}

/// 657 bytes of signatures that lack their last letter.
fn near(names: &[String]) -> Vec<u8> {
    let mut text: Vec<u8> = names
        .iter()
        .flat_map(|name| name.bytes().rev().skip(1).collect::<Vec<u8>>().into_iter().rev())
        .collect();
    text.truncate(657);
    text
}

/// Filled up to 657 bytes, so that the frame has 699.
fn register(agent: &str) -> Vec<u8> {
    let mut text = format!(
        "REGISTER sip:198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Desk 1000\" <sip:1000@198.51.100.1>;tag=1928301774\r\n\
         To: \"Desk 1000\" <sip:1000@198.51.100.1>\r\nCall-ID: a84b4c76e66710@192.0.2.1\r\nCSeq: 314 REGISTER\r\n\
         Contact: <sip:1000@192.0.2.1:5060>;expires=300\r\nUser-Agent: {agent}\r\nAllow: INVITE, ACK, CANCEL, BYE\r\n\
         Content-Length: 0\r\nX-Filling: "
    );
    while text.len() < 657 - 4 {
        text.push('.');
    }
    text.push_str("\r\n\r\n");
    text.into_bytes()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let [high, low] = length(28);
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend([192, 0, 2, 1]);
    packet.extend([198, 51, 100, 1]);
    packet.extend(5060u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(payload);
    ethernet(0x0800, &packet)
}

fn udp6(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length);
    packet.extend([17, 64]);
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 10).octets());
    packet.extend(5060u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(length);
    packet.extend([0, 0]);
    packet.extend(payload);
    ethernet(0x86dd, &packet)
}

fn ethernet(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}
