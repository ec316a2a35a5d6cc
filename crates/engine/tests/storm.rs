//! A storm of random and mutated messages through one engine: no panic, tables and memory within their bounds, and the same
//! commands every time. `cargo xtask storm` runs ten million.

#![expect(clippy::expect_used, reason = "a test fails loudly")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use capture::Reader;
use capture::link::{Payload, decode};
use engine::{Command, Direction, Enforcer, Engine, Fate, Limits, Observation, Segment, Settings, Transport};
use netfilter::packet::{Packet, Transport as Upper};

/// What the tables may take with 1,048,576 sources, in MiB; the fixed part of it, with all else that the process holds.
const MOST_MEMORY: u64 = 512;
/// Bans and limits in force, at most, as in `replay`.
const MAX_BANS: usize = 1 << 20;
/// Messages between two looks at tables and memory.
const LOOK_EVERY: u64 = 1 << 16;
/// Longer ones come in TCP only, and are cut there.
const LONGEST: usize = 2000;

/// As many messages as `RINGFENCE_MESSAGES` says, or what a test run has time for; begun with `RINGFENCE_SEED`.
#[test]
fn a_storm_does_no_harm() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let count = number("RINGFENCE_MESSAGES").unwrap_or(200_000_u64);
    let seed = number("RINGFENCE_SEED").unwrap_or(1);
    let seeds = messages();
    assert!(seeds.len() > 500, "{} messages to begin with", seeds.len());
    let start = Instant::now();
    let storm = Storm::new(&seeds, seed).run(count);
    eprintln!(
        "{count} messages, seed {seed}: {} read as SIP, {} commands, {} bans, {} sources, {} MiB at most, {:.0} s",
        storm.read,
        storm.commands,
        storm.bans,
        storm.sources,
        storm.memory,
        start.elapsed().as_secs_f64()
    );
    assert!(storm.read > count / 4 && storm.bans > 0, "a storm that nobody notices is none");
    assert!(storm.memory > 0, "the memory of the process cannot be read");
    let again = count.min(20_000);
    let twice = [(); 2].map(|()| Storm::new(&seeds, seed).run(again).digest);
    assert_eq!(twice[0], twice[1], "the same packets give the same commands");
}

/// SIP messages of the project's captures and of the fuzz targets' corpus.
fn messages() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let captures = files(&root.join("crates/ringfence/tests/captures"));
    let captures = captures.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "gz"));
    for path in captures.chain([root.join("samples/scan-and-call.pcap")]) {
        let mut reader = Reader::open(&path).expect("a capture");
        let mut of_this = Vec::new();
        while let Some(frame) = reader.next_frame() {
            let Payload::Ip { data, wire_len } = decode(&frame).payload else { continue };
            let Ok(packet) = Packet::parse(data, wire_len) else { continue };
            let bytes = if let Upper::Udp(_) = packet.transport() {
                packet.payload().get(8..).unwrap_or_default()
            } else if let Upper::Tcp(tcp) = packet.transport() {
                tcp.data
            } else {
                continue;
            };
            if bytes.len() > 20 {
                of_this.push(bytes.to_vec());
            }
        }
        // Scans repeat themselves.
        let step = (of_this.len() / 500).max(1);
        found.extend(of_this.into_iter().step_by(step));
    }
    for path in files(&root.join("fuzz/corpus/sip_message")) {
        found.push(std::fs::read(path).expect("readable"));
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// What a storm came to.
#[derive(Default)]
struct Tally {
    read: u64,
    commands: u64,
    bans: u64,
    sources: usize,
    /// MiB.
    memory: u64,
    digest: u64,
}

struct Storm<'a> {
    seeds: &'a [Vec<u8>],
    random: u64,
    engine: Engine,
    enforcer: Enforcer,
    now: Duration,
    sequence: u32,
    tally: Tally,
}

impl<'a> Storm<'a> {
    fn new(seeds: &'a [Vec<u8>], seed: u64) -> Self {
        let settings = Settings::default();
        Self {
            seeds,
            random: 0x2545_f491_4f6c_dd1d ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            engine: Engine::new(&settings, Limits::default(), Vec::new(), seed),
            enforcer: Enforcer::new(&settings, MAX_BANS),
            now: Duration::from_secs(1_777_629_600),
            sequence: 1,
            tally: Tally::default(),
        }
    }

    fn run(mut self, count: u64) -> Tally {
        for number in 1..=count {
            let bytes = self.message();
            if sip::View::parse(&bytes, sip::Carrier::Datagram).is_ok() {
                self.tally.read += 1;
            }
            sip::fuzzing::message(&bytes);
            self.show(&bytes);
            if number.is_multiple_of(LOOK_EVERY) || number == count {
                self.look();
            }
        }
        self.tally
    }

    /// Bytes of no meaning, or a message with a few things wrong.
    fn message(&mut self) -> Vec<u8> {
        if self.below(20) == 0 {
            let len = self.below(1500);
            return (0..len).map(|_| self.byte()).collect();
        }
        let mut bytes = self.seed();
        for _ in 0..self.below(8) {
            self.mutate(&mut bytes);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        let end = (at + self.below(60)).min(bytes.len());
        let byte = self.byte();
        let special = b"\r\n\0\" <>;:,@=%".get(usize::from(byte) % 13).copied().unwrap_or(0);
        match self.below(8) {
            0 => bytes.insert(at, byte),
            1 => bytes.insert(at, special),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.extend_from_within(at..end),
            5 => {
                // The rest of another message.
                let other = self.seed();
                let from = self.below(other.len().max(1));
                bytes.truncate(at);
                bytes.extend(other.get(from..).unwrap_or_default());
            }
            6 => bytes.get_mut(at..end).unwrap_or_default().fill(special),
            _ => bytes.get_mut(at).into_iter().for_each(|place| *place = byte),
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        let is_pause = self.below(100_000) == 0;
        let passed = Duration::from_micros(u64::from(self.byte()) * 8);
        self.now += if is_pause { Duration::from_secs(3600) } else { passed };
        let peer = self.peer();
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 5060);
        let is_answer = bytes.starts_with(b"SIP/2.0");
        let direction = if is_answer ^ (self.below(5) == 0) { Direction::Out } else { Direction::In };
        let (source, destination) = if direction == Direction::In { (peer, local) } else { (local, peer) };
        let transport = self.transport(bytes.len());
        let fate = match self.below(10) {
            0 => Fate::Refused,
            1 => Fate::Signature,
            _ if self.enforcer.judge(peer.ip(), self.now).is_some() => Fate::Banned,
            _ => Fate::Passed,
        };
        let is_cut = self.below(50) == 0;
        let observation =
            Observation { source, destination, direction, transport, bytes, is_cut, fate, frame: 0 };
        self.engine.handle_packet(&observation, self.now);
        while let Some(command) = self.engine.next_command() {
            self.take(&command);
        }
    }

    fn take(&mut self, command: &Command) {
        self.enforcer.apply(command);
        self.tally.commands += 1;
        self.tally.bans += u64::from(matches!(command, Command::Ban { .. }));
        for byte in format!("{command:?}").bytes() {
            self.tally.digest = (self.tally.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// A few that go on, and very many that come once.
    fn peer(&mut self) -> SocketAddr {
        let number = match self.below(4) {
            0 => u32::from(self.byte() & 63),
            _ => u32::try_from(self.below(4_000_000)).unwrap_or(0),
        };
        let ip = if number % 5 == 0 {
            IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(number) << 64 | 1))
        } else {
            IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + number))
        };
        SocketAddr::new(ip, 5060 + u16::from(self.byte() & 3))
    }

    fn transport(&mut self, len: usize) -> Transport {
        let flags = self.byte();
        match self.below(20) {
            0 => Transport::Copy { is_connection: flags & 1 != 0 },
            1..=4 => {
                let segment = Segment {
                    sequence: self.sequence,
                    acknowledgment: self.sequence,
                    syn: flags & 7 == 0,
                    ack: flags & 24 != 0,
                    fin: flags & 224 == 0,
                    rst: flags == 255,
                };
                if flags & 1 != 0 {
                    self.sequence = self.sequence.wrapping_add(u32::try_from(len).unwrap_or(0));
                }
                Transport::Tcp(segment)
            }
            _ => Transport::Udp,
        }
    }

    fn look(&mut self) {
        for fill in self.engine.fills() {
            assert!(fill.used <= fill.limit, "{} is over its bound", fill.table);
            if fill.table == "sources" {
                self.tally.sources = fill.used;
            }
        }
        assert!(self.enforcer.bans() <= MAX_BANS, "bans have a bound");
        self.tally.memory = self.tally.memory.max(resident());
        assert!(self.tally.memory <= MOST_MEMORY, "{} MiB", self.tally.memory);
    }

    fn seed(&mut self) -> Vec<u8> {
        let index = self.below(self.seeds.len());
        self.seeds.get(index).cloned().unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }

    /// xorshift64 (Marsaglia).
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// MiB that the process holds; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
