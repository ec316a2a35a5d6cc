//! The state of every packet, as the kernel's rules see it, against ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use netfilter::conntrack::{Conntrack, Hook, Settings, State};
use netfilter::packet::{Packet, Transport};

use super::namespace::{Network, Side};
use super::nflog::{Logged, Recorder};
use super::packets::{Ip, TcpFields, icmp, tcp, udp};
use super::random::Random;

/// Packets with this TTL (hop limit) are dropped in FORWARD, so that their connections are not confirmed.
const DOOMED: u8 = 77;

/// A copy of each packet with its state, right after connection tracking.
const RULES: &str = "*mangle
-A PREROUTING -m conntrack --ctstate NEW -j NFLOG --nflog-group 5 --nflog-threshold 1 --nflog-prefix N
-A PREROUTING -m conntrack --ctstate ESTABLISHED -j NFLOG --nflog-group 5 --nflog-threshold 1 --nflog-prefix E
-A PREROUTING -m conntrack --ctstate RELATED -j NFLOG --nflog-group 5 --nflog-threshold 1 --nflog-prefix R
-A PREROUTING -m conntrack --ctstate INVALID -j NFLOG --nflog-group 5 --nflog-threshold 1 --nflog-prefix I
-A PREROUTING -m conntrack --ctstate UNTRACKED -j NFLOG --nflog-group 5 --nflog-threshold 1 --nflog-prefix U
COMMIT
*filter
";

fn load(network: &Network) {
    let doom = |option: &str| format!("{RULES}-A FORWARD {option} {} -j DROP\nCOMMIT\n", DOOMED - 1);
    network.host_with_input("iptables-legacy-restore", &[], &doom("-m ttl --ttl-eq")).expect("rules");
    network.host_with_input("ip6tables-legacy-restore", &[], &doom("-m hl --hl-eq")).expect("rules");
}

/// Sends packets and compares the kernel's states with ours; which ones occurred.
fn compare(network: &Network, packets: &[(Side, Vec<u8>)]) -> BTreeSet<State> {
    let recorder = Recorder::start(network, "nflog:5");
    let (left, right) = (network.port(Side::Left), network.port(Side::Right));
    for (number, (side, datagram)) in packets.iter().enumerate() {
        match side {
            Side::Left => left.send(datagram),
            Side::Right => right.send(datagram),
        }
        // Slow enough for tcpdump to keep up.
        if number % 32 == 31 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let logged = recorder.logged();
    assert!(logged.len() * 10 >= packets.len() * 9, "{} of {} packets arrived", logged.len(), packets.len());
    judge(&logged)
}

/// The states that occurred.
fn judge(logged: &[Logged]) -> BTreeSet<State> {
    let mut ours = Conntrack::new(Settings::default());
    let mut different = BTreeSet::new();
    let mut seen: BTreeMap<(State, String), usize> = BTreeMap::new();
    for (index, entry) in logged.iter().enumerate() {
        let packet = Packet::parse(&entry.datagram, entry.datagram.len()).expect("a datagram");
        let tracked = ours.track(&packet, Hook::Prerouting, entry.time).expect("room");
        let letter = match tracked.state {
            State::New => "N",
            State::Established => "E",
            State::Related => "R",
            State::Invalid => "I",
            State::Untracked => "U",
        };
        let protocol = packet.protocol().map_or("?".to_owned(), |number| number.to_string());
        *seen.entry((tracked.state, protocol)).or_default() += 1;
        // Once out of step, a connection has nothing more to tell.
        if letter != entry.prefix && different.insert(ends(entry)) {
            history(&logged[..=index]);
            eprintln!("packet {index}: kernel says {}, we say {letter}\n", entry.prefix);
        }
        let ttl = entry.datagram[if packet.is_ipv4() { 8 } else { 7 }];
        if ttl != DOOMED {
            ours.confirm(tracked, entry.time);
        }
    }
    assert!(different.is_empty(), "{} connections differ", different.len());
    eprintln!("{} packets agree: {seen:?}", logged.len());
    seen.into_keys().map(|(state, _)| state).collect()
}

/// The packets of the last one's connection, compact.
fn history(logged: &[Logged]) {
    let last = ends(logged.last().expect("one"));
    for entry in logged.iter().filter(|entry| ends(entry) == last) {
        let packet = Packet::parse(&entry.datagram, entry.datagram.len()).expect("a datagram");
        let from = packet.source();
        if let Transport::Tcp(tcp) = packet.transport() {
            eprintln!(
                "{} {from} flags {:02x} seq {} ack {} win {} len {} {:?}",
                entry.prefix,
                tcp.flags,
                tcp.sequence.cast_signed(),
                tcp.acknowledgement.cast_signed(),
                tcp.window,
                tcp.data.len(),
                tcp.options.unwrap_or_default()
            );
        } else {
            let other = packet.transport();
            eprintln!("{} {from} > {} {other:?}", entry.prefix, packet.destination());
        }
    }
}

/// Both ends of a packet, the same for both directions.
fn ends(entry: &Logged) -> [(IpAddr, u16); 2] {
    let packet = Packet::parse(&entry.datagram, entry.datagram.len()).expect("a datagram");
    let (a, b) = packet.ports().unwrap_or_default();
    let mut ends = [(packet.source(), a), (packet.destination(), b)];
    ends.sort();
    ends
}

/// One family's addresses on the two sides.
fn address(v4: bool, side: Side, host: u8) -> IpAddr {
    let text = match (v4, side) {
        (true, Side::Left) => format!("10.1.0.{host}"),
        (true, Side::Right) => format!("10.2.0.{host}"),
        (false, Side::Left) => format!("2001:db8:1::{host:x}"),
        (false, Side::Right) => format!("2001:db8:2::{host:x}"),
    };
    text.parse().expect("an address")
}

/// Where a simulated end of a TCP connection stands.
#[derive(Clone, Debug, Default)]
struct TcpEnd {
    next: u32,
    acknowledged: u32,
    window: u16,
}

/// One simulated TCP connection whose ends make every mistake.
#[derive(Clone, Debug)]
struct Session {
    v4: bool,
    port: u16,
    left: TcpEnd,
    right: TcpEnd,
}

mod flag {
    pub(super) const FIN: u8 = 1;
    pub(super) const SYN: u8 = 2;
    pub(super) const RST: u8 = 4;
    pub(super) const PSH: u8 = 8;
    pub(super) const ACK: u8 = 16;
    pub(super) const URG: u8 = 32;
}

impl Session {
    fn new(random: &mut Random, port: u16) -> Self {
        let mut end = || TcpEnd {
            next: random.pick(&[0, 1, 1000, u32::MAX - 100, 0x7fff_ff00]),
            acknowledged: 0,
            window: random.pick(&[1, 500, 5000, 65535]),
        };
        let (left, right) = (end(), end());
        Self { v4: !port.is_multiple_of(4), port, left, right }
    }

    /// The next packet: mostly what a sane end would send, often not.
    fn step(&mut self, random: &mut Random, turn: u32) -> (Side, Vec<u8>) {
        use flag::{ACK, FIN, PSH, RST, SYN, URG};
        let sane = [(Side::Left, SYN), (Side::Right, SYN | ACK), (Side::Left, ACK)];
        let (mut side, mut flags) = match sane.get(turn as usize) {
            Some(&step) => step,
            None => (
                random.pick(&[Side::Left, Side::Right]),
                random.pick(&[ACK, ACK, ACK | PSH, ACK | PSH, ACK | PSH, FIN | ACK]),
            ),
        };
        if random.one_in(5) {
            side = random.pick(&[Side::Left, Side::Right]);
            flags = random.pick(&[SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK, ACK | PSH]);
        }
        if random.one_in(60) {
            flags = random.pick(&[
                0,
                FIN,
                SYN | FIN,
                SYN | RST,
                URG,
                ACK | URG,
                FIN | PSH | URG,
                FIN | ACK | URG,
                SYN | URG,
            ]);
        }
        let v4 = self.v4;
        let (me, peer) = match side {
            Side::Left => (&mut self.left, &mut self.right),
            Side::Right => (&mut self.right, &mut self.left),
        };
        let len = if flags & PSH != 0 { random.pick(&[1, 10, 100, 1000]) } else { 0 };
        let sequence = me.next.wrapping_add(random_shift(random));
        let fields = TcpFields {
            source: if side == Side::Left { self.port } else { 5060 },
            destination: if side == Side::Left { 5060 } else { self.port },
            sequence,
            acknowledgement: if flags & ACK == 0 && random.one_in(2) {
                0
            } else {
                peer.next.wrapping_add(random_shift(random))
            },
            flags,
            window: if random.one_in(8) { random.pick(&[0, 1, 100, 65535]) } else { me.window },
            options: options(random, flags & SYN != 0, peer.next),
        };
        me.next = sequence
            .wrapping_add(len)
            .wrapping_add(u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0));
        me.acknowledged = fields.acknowledgement;
        let (source, destination) = match side {
            Side::Left => (address(v4, Side::Left, 1), address(v4, Side::Right, 1)),
            Side::Right => (address(v4, Side::Right, 1), address(v4, Side::Left, 1)),
        };
        let mut ip = Ip::new(source, destination, 6);
        ip.ttl = if random.one_in(25) { DOOMED } else { 64 };
        let mut datagram = ip.datagram(tcp(&fields, &vec![b'x'; len as usize]), Some(16));
        if random.one_in(80) {
            damage(random, &mut datagram, v4);
        }
        (side, datagram)
    }
}

fn random_shift(random: &mut Random) -> u32 {
    if !random.one_in(6) {
        return 0;
    }
    random.pick(&[
        1,
        u32::MAX,
        10,
        10u32.wrapping_neg(),
        100,
        400,
        5000,
        70_000,
        70_000u32.wrapping_neg(),
        1 << 30,
        1 << 31,
    ])
}

fn options(random: &mut Random, syn: bool, near: u32) -> Vec<u8> {
    let mut options = Vec::new();
    if syn && random.one_in(2) {
        options.extend([3, 3, random.pick(&[0, 1, 7, 14, 15])]);
    }
    if syn && random.one_in(2) {
        options.extend([4, 2]);
    }
    if random.one_in(3) {
        options.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
    if random.one_in(10) {
        let begin = near.wrapping_add(random.below(2000));
        options.extend([5, 10]);
        options.extend(begin.to_be_bytes());
        options.extend(begin.wrapping_add(random.below(3000)).to_be_bytes());
    }
    if random.one_in(30) {
        options.extend([random.pick(&[2, 3, 5, 99]), random.pick(&[0, 1, 2, 40])]);
    }
    options.truncate(40);
    options
}

/// A wrong checksum, or an impossible data offset.
fn damage(random: &mut Random, datagram: &mut [u8], v4: bool) {
    let transport = if v4 { 20 } else { 40 };
    match random.below(2) {
        0 => datagram[transport + 17] ^= 0x55,
        _ => datagram[transport + 12] = random.pick(&[0x00, 0x40, 0xf0]),
    }
}

#[test]
fn tcp_states_agree_with_the_kernel() {
    if !lab::skip::ready("tcp_states_agree_with_the_kernel", &["ip", "tcpdump", "iptables-legacy-restore"]) {
        return;
    }
    let network = Network::up();
    load(&network);
    let mut random = Random::seeded("tcp");
    let mut packets = Vec::new();
    // Sessions in groups, so that a group's packets mix but none expires meanwhile.
    for group in 0..40u16 {
        let mut sessions: Vec<Session> =
            (0..16u16).map(|number| Session::new(&mut random, 2000 + group * 16 + number)).collect();
        let loose = random.one_in(3);
        for turn in 0..24 {
            for session in &mut sessions {
                let from = if loose { turn + 3 } else { turn };
                packets.push(session.step(&mut random, from));
            }
        }
    }
    let states = compare(&network, &packets);
    assert_eq!(states, BTreeSet::from([State::New, State::Established, State::Invalid]));
}

#[test]
fn udp_icmp_and_other_states_agree_with_the_kernel() {
    if !lab::skip::ready(
        "udp_icmp_and_other_states_agree_with_the_kernel",
        &["ip", "tcpdump", "iptables-legacy-restore"],
    ) {
        return;
    }
    let network = Network::up();
    load(&network);
    let mut random = Random::seeded("udp");
    let mut packets: Vec<(Side, Vec<u8>)> = Vec::new();
    let mut sent: Vec<Vec<u8>> = vec![vec![0x45; 40]];
    for _ in 0..8000 {
        let v4 = !random.one_in(4);
        let side = random.pick(&[Side::Left, Side::Right]);
        let other = if side == Side::Left { Side::Right } else { Side::Left };
        let host = 1 + u8::try_from(random.below(4)).expect("small");
        let (source, destination) = (address(v4, side, host), address(v4, other, host));
        let datagram = datagram(&mut random, source, destination, &sent);
        if sent.len() < 400 {
            sent.push(datagram.clone());
        } else {
            let at = random.below(400) as usize;
            sent[at].clone_from(&datagram);
        }
        packets.push((side, datagram));
    }
    let states = compare(&network, &packets);
    let all = [State::New, State::Established, State::Related, State::Invalid, State::Untracked];
    assert_eq!(states, BTreeSet::from(all));
}

fn datagram(random: &mut Random, source: IpAddr, destination: IpAddr, sent: &[Vec<u8>]) -> Vec<u8> {
    let v4 = source.is_ipv4();
    let ip = |protocol: u8, doomed: bool| Ip {
        ttl: if doomed { DOOMED } else { 64 },
        ..Ip::new(source, destination, protocol)
    };
    let doomed = random.one_in(10);
    let ping = if v4 { 1 } else { 58 };
    let sum = Some(2);
    match random.below(8) {
        0..3 => {
            let data = vec![b'u'; random.below(40) as usize];
            let ports = [1000 + random.below(4), 1000 + random.below(4)]
                .map(|port| u16::try_from(port).expect("port"));
            let mut bytes = ip(17, doomed).datagram(udp(ports[0], ports[1], &data), Some(6));
            let transport = if v4 { 20 } else { 40 };
            if random.one_in(20) {
                bytes[transport + 5] = random.pick(&[0, 7, 8, 9, 200]);
            }
            if random.one_in(20) {
                bytes[transport + 7] ^= 1;
            }
            if random.one_in(20) {
                bytes[transport + 6..transport + 8].fill(0);
            }
            if random.one_in(40) {
                let cut = ip(17, doomed).datagram(bytes[transport..transport + 6].to_vec(), None);
                return cut;
            }
            bytes
        }
        3 | 4 => {
            let kinds: &[u8] = if v4 {
                &[8, 0, 8, 0, 13, 14, 15, 16, 17, 18, 9, 10, 30, 42]
            } else {
                &[128, 129, 128, 129, 139, 140, 127, 200, 135, 143]
            };
            let id = u8::try_from(random.below(3)).expect("small");
            let code = u8::from(random.one_in(20));
            let mut bytes =
                ip(ping, doomed).datagram(icmp(random.pick(kinds), code, [0, id, 0, 1], b"ping"), sum);
            if random.one_in(30) {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
            bytes
        }
        5 | 6 => {
            let kinds: &[u8] = if v4 { &[3, 4, 5, 11, 12] } else { &[1, 2, 3, 4, 100, 137] };
            let quoted = random.pick(sent);
            let same = (quoted[0] >> 4 == 4) == v4;
            let quoted =
                if same { &quoted[..quoted.len().min(20 + random.below(60) as usize)] } else { &quoted[..4] };
            // To the sender of what it quotes, mostly.
            let to = if same && quoted.len() >= 40 && !random.one_in(5) {
                if v4 {
                    IpAddr::from(<[u8; 4]>::try_from(&quoted[12..16]).expect("four"))
                } else {
                    IpAddr::from(<[u8; 16]>::try_from(&quoted[8..24]).expect("sixteen"))
                }
            } else {
                destination
            };
            Ip { ttl: 64, ..Ip::new(source, to, ping) }
                .datagram(icmp(random.pick(kinds), 0, [0; 4], quoted), sum)
        }
        _ => {
            let number = random.pick(&[0, 2, 4, 41, 47, 50, 89, 136, 200, if v4 { 58 } else { 1 }, 59]);
            let number = if number == 0 && !v4 { 50 } else { number };
            let data = vec![random.pick(&[0, 8, 128]), 0, 0, 12, 0, 12, 0, 0, 0, 0, 0, 0];
            ip(number, doomed).datagram(data, None)
        }
    }
}
