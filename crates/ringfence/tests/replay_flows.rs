//! `ringfence replay` of many flows through many interfaces: the short way of media says what the long one says.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::path::Path;
use std::process::Command;

const HOST: [u8; 4] = [198, 51, 100, 10];
/// More than are remembered at once.
const FLOWS: usize = 3_000;
/// Several batches.
const FRAMES: usize = 30_000;

/// A sequence that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// RFC 1071.
fn checksum(data: &[u8]) -> [u8; 2] {
    let word =
        |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]));
    let mut sum: u32 = data.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).expect("folded")).to_be_bytes()
}

/// IPv4 and UDP, both with right checksums.
fn datagram(source: ([u8; 4], u16), destination: ([u8; 4], u16), data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + data.len()).expect("short");
    let ends = [source.0, destination.0].concat();
    let mut header = vec![0x45, 0];
    header.extend((20 + len).to_be_bytes());
    header.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    header.extend(&ends);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    let mut udp = [source.1, destination.1, len, 0].map(u16::to_be_bytes).concat();
    udp.extend(data);
    let sum = checksum(&[&ends, [0, 17].as_slice(), &len.to_be_bytes(), &udp].concat());
    udp[6..8].copy_from_slice(&sum);
    [header, udp].concat()
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
    let len = u32::try_from(12 + body.len() + padding.len()).expect("short").to_le_bytes();
    [&kind.to_le_bytes(), len.as_slice(), body, &padding, &len].concat()
}

fn interface(link: u16, name: [u8; 4]) -> Vec<u8> {
    let [l0, l1] = link.to_le_bytes();
    let [n0, n1, n2, n3] = name;
    block(1, &[l0, l1, 0, 0, 0, 0, 0, 0, 2, 0, 4, 0, n0, n1, n2, n3, 0, 0, 0, 0])
}

/// With flags (1: it came in, 2: it went out), if any.
fn packet(interface: u8, micros: u64, data: &[u8], flags: Option<u8>) -> Vec<u8> {
    let high = u32::try_from(micros >> 32).expect("a time").to_le_bytes();
    let low = u32::try_from(micros & 0xffff_ffff).expect("a time").to_le_bytes();
    let len = u32::try_from(data.len()).expect("short").to_le_bytes();
    let mut body = [&[interface, 0, 0, 0], high.as_slice(), &low, &len, &len, data].concat();
    body.resize(body.len().next_multiple_of(4), 0);
    if let Some(flags) = flags {
        body.extend([2, 0, 4, 0, flags, 0, 0, 0, 0, 0, 0, 0]);
    }
    block(6, &body)
}

/// A datagram of one of the flows: of few mostly, as calls are, else of any.
fn some_datagram(numbers: &mut Numbers) -> (Vec<u8>, bool) {
    let flow = if numbers.below(2) == 0 { numbers.below(150) } else { numbers.below(FLOWS) };
    let low = u8::try_from(flow % 250).expect("a byte");
    let peer = ([203, 0, 113, low], u16::try_from(4000 + flow).expect("a port"));
    // Those from 20,000 on are not let in, and nothing is sent there.
    let base = [10_000, 11_000, 20_000][flow % 3];
    let host = (HOST, base + u16::from(low));
    let comes_in = base == 20_000 || numbers.below(3) > 0;
    let (source, destination) = if comes_in { (peer, host) } else { (host, peer) };
    let mut bytes = datagram(source, destination, &vec![7; 20 + numbers.below(4)]);
    match numbers.below(12) {
        0 => bytes[26..28].copy_from_slice(&[0x12, 0x34]),
        1 => bytes[26..28].fill(0),
        _ => {}
    }
    (bytes, comes_in)
}

/// The same flows through two interfaces, and through one of them also as cooked frames and with directions. Some frames have the
/// other direction than their addresses tell, or are for another host.
fn capture() -> Vec<u8> {
    const RAW: u16 = 101;
    const COOKED: u16 = 113;
    let mut file =
        block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    for (link, name) in [(RAW, b"eth0"), (RAW, b"eth1"), (COOKED, b"eth0"), (RAW, b"eth0")] {
        file.extend(interface(link, *name));
    }
    let mut numbers = Numbers(1);
    for count in 0..FRAMES {
        let (bytes, comes_in) = some_datagram(&mut numbers);
        let seems_to = if numbers.below(8) == 0 { !comes_in } else { comes_in };
        let micros = 1_777_629_600_000_000 + u64::try_from(count).expect("a number") * 1_000;
        file.extend(match numbers.below(6) {
            0..3 => packet(0, micros, &bytes, None),
            3 => packet(1, micros, &bytes, None),
            4 => {
                let kind = if numbers.below(8) == 0 { 3 } else { [4, 0][usize::from(seems_to)] };
                let head = [0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
                packet(2, micros, &[&head, bytes.as_slice()].concat(), None)
            }
            _ => packet(3, micros, &bytes, Some([2, 1][usize::from(seems_to)])),
        });
    }
    file
}

const RULES: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
    -A INPUT -m state --state INVALID -j DROP\n\
    -A INPUT -i eth1 -p udp -m udp --dport 10000:10999 -j DROP\n\
    -A INPUT -p udp -m udp --dport 10000:19999 -j ACCEPT\n\
    COMMIT\n";

/// With `--all`, no packet goes the short way.
#[test]
fn the_flow_is_enough_to_tell_what_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    };
    let (capture, rules) = (written("flows.pcapng", &capture()), written("rules", RULES.as_bytes()));
    let told = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args(["replay", "--local", "198.51.100.10", "--checksums", "verify", "--format", "json"])
            .args(more)
            .args([Path::new("--policy"), &rules, &capture])
            .output()
            .expect("runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let (counted, shown) = (told(&[]), told(&["--all"]));
    let is_told = |line: &&str| !(line.contains("\"packet\"") && line.contains("\"verdict\":\"accept\""));
    let (counted, shown): (Vec<&str>, Vec<&str>) =
        (counted.lines().collect(), shown.lines().filter(is_told).collect());
    let first_other = counted.iter().zip(&shown).find(|(counted, shown)| counted != shown);
    assert_eq!(first_other, None);
    assert_eq!(counted.len(), shown.len());
    let summary: serde_json::Value = serde_json::from_str(shown.last().expect("a summary")).expect("json");
    assert_eq!(summary["packets"], FRAMES);
    assert!(summary["accept"].as_u64().is_some_and(|accepted| accepted > 10_000), "{summary}");
    assert!(summary["drop"].as_u64().is_some_and(|dropped| dropped > 5_000), "{summary}");
}
