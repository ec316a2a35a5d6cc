//! What a policy says where it says nothing: each default once, with its reason.

use std::time::Duration;

use super::config::{Action, Icmp, Ipv};
use crate::ruleset::{Limit, Rate, RateUnit, RejectWith, Unproven};

/// The article's last rule: what nothing allows gets an answer, so that a customer with a wrong port sees it at once.
pub(super) const DEFAULT: Action = Action::Refuse;
/// The article's.
pub(super) const REFUSE_WITH: RejectWith = RejectWith::IcmpHostProhibited;
/// A PBX is no router.
pub(super) const FORWARD: Action = Action::Refuse;
/// The article's; ping is what providers look at first.
pub(super) const ICMP: Icmp = Icmp::Accept;

/// A service is searched for signatures only when it says so: media has no text.
pub(super) const INSPECT: bool = false;

/// The article's; fail2ban filters and log watchers in the wild look for it.
pub(super) const SIGNATURE_LOG: &str = "iptables-badsip: ";
/// info; the article's.
pub(super) const LOG_LEVEL: u8 = 6;
/// What `default` does away with is mostly noise.
pub(super) const REFUSED_LOG: Option<&str> = None;
/// Bounds the log of `refused`, as anybody can make it grow.
pub(super) const REFUSED_RATE: Rate = Rate { amount: 10, unit: RateUnit::Minute };
/// See [`REFUSED_RATE`].
pub(super) const REFUSED_BURST: u32 = 20;

/// As `-m hashlimit` has it.
pub(super) const LIMIT_BURST: u32 = 5;
/// Sources that a limit remembers; more are not limited until one of these is forgotten, when its bucket is full again.
pub(super) const LIMIT_SOURCES: u32 = 65_536;
/// An IPv6 subscriber has a /64 at least, so addresses in it count as one source.
pub(super) const LIMIT_PREFIX: Ipv<u8> = Ipv { v4: 32, v6: 64 };

/// A service that is open unless the policy has `[services]`.
pub(super) struct Service {
    pub(super) name: &'static str,
    /// First and last port.
    pub(super) tcp: &'static [(u16, u16)],
    pub(super) udp: &'static [(u16, u16)],
    /// Empty for anyone.
    pub(super) from: &'static [&'static str],
    pub(super) inspect: bool,
}

const CLOSED: Service = Service { name: "", tcp: &[], udp: &[], from: &[], inspect: INSPECT };

/// The article's services, and TLS beside each that has it.
pub(super) const SERVICES: [Service; 7] = [
    Service { name: "ssh", tcp: &[(22, 22)], ..CLOSED },
    Service { name: "web", tcp: &[(80, 80), (443, 443)], ..CLOSED },
    Service { name: "sip", udp: &[(5060, 5060)], tcp: &[(5060, 5060)], inspect: true, ..CLOSED },
    // Encrypted, so there is nothing to find in it; but bans, limits and proof are about the inspected ports.
    Service { name: "sips", tcp: &[(5061, 5061)], inspect: true, ..CLOSED },
    Service { name: "iax2", udp: &[(4569, 4569)], ..CLOSED },
    // Asterisk's rtp.conf as shipped.
    Service { name: "rtp", udp: &[(10_000, 20_000)], ..CLOSED },
    // A question to a multicast group, so connection tracking does not know the answer (RFC 8415 section 7.2).
    Service { name: "dhcpv6", udp: &[(546, 546)], from: &["fe80::/10"], ..CLOSED },
];

/// What a shipped signature looks for in its header, in any case of letters.
pub(super) enum Wanted {
    Text(&'static str),
    Regex(&'static str),
}

/// Name, header, what is looked for. Each is a tool's own name: no phone, PBX or carrier is known to send it. Names that
/// real products use as well (eyeBeam, Asterisk PBX, …) are not here, and whole packets are not searched, as users' names
/// and messages are in them.
pub(super) const SIGNATURES: [(&str, &str, Wanted); 18] = [
    // The article's seven.
    ("sundayddr", "User-Agent", Wanted::Text("sundayddr")),
    ("sipsak", "User-Agent", Wanted::Text("sipsak")),
    ("sipvicious", "User-Agent", Wanted::Text("sipvicious")),
    ("friendly-scanner", "User-Agent", Wanted::Text("friendly-scanner")),
    ("iwar", "User-Agent", Wanted::Regex("^iwar")),
    ("sip-scan", "User-Agent", Wanted::Regex("^sip-?scan")),
    ("sipcli", "User-Agent", Wanted::Text("sipcli")),
    // Scanners seen since.
    ("friendly-request", "User-Agent", Wanted::Text("friendly-request")),
    ("pplsip", "User-Agent", Wanted::Regex("^pplsip")),
    ("smap", "User-Agent", Wanted::Regex("^smap$")),
    ("sivus", "User-Agent", Wanted::Regex("^sivus")),
    ("siparmyknife", "User-Agent", Wanted::Text("siparmyknife")),
    ("nsauditor", "User-Agent", Wanted::Text("nsauditor")),
    ("nmap", "User-Agent", Wanted::Regex("^nmap nse")),
    ("usaairport", "User-Agent", Wanted::Regex("^usaairport")),
    ("zxcvfdf11", "User-Agent", Wanted::Regex("^zxcvfdf11$")),
    // What SIPVicious and nmap's probe write whatever their agent is called.
    ("from-sipvicious", "From", Wanted::Text("\"sipvicious\"")),
    ("from-nmap", "From", Wanted::Text("<sip:nm@nm>")),
];

/// SIP from sources that are not proven: a busy phone sends a few a second, an office behind one address that comes back
/// after an outage some hundred at once, and authenticates.
pub(super) const UNPROVEN: Unproven = Unproven {
    source: Some(per_second(50, 200)),
    network: Some(per_second(400, 1600)),
    all: Some(per_second(5000, 5000)),
};

const fn per_second(amount: u32, burst: u32) -> Limit {
    Limit { rate: Rate { amount, unit: RateUnit::Second }, burst }
}

/// Lists change a few times a day, and servers shut out who asks for them all the time.
pub(super) const FEED_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Four turns, so that a server that is down for one changes nothing.
pub(super) const FEED_TIME: Duration = Duration::from_secs(24 * 3_600);
/// A tenth of what the kernel has room for.
pub(super) const FEED_MOST: usize = 100_000;

/// As fail2ban ships them.
pub(super) const JAIL_FAILURES: u16 = 5;
pub(super) const JAIL_WITHIN: Duration = Duration::from_secs(600);
/// Whatever is not 0; receivers show it, to tell agents apart.
pub(super) const CAPTURE_ID: u32 = 2001;
