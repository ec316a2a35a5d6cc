//! Names that iptables takes for numbers: protocols, services, ICMP types, reject types, log levels.

use crate::ruleset::{Family, RejectWith};

/// Assigned protocol numbers (IANA) that occur in rule files; `all` is 0.
const PROTOCOLS: &[(&str, u8)] = &[
    ("all", 0),
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("eigrp", 88),
    ("encap", 98),
    ("esp", 50),
    ("etherip", 97),
    ("ggp", 3),
    ("gre", 47),
    ("icmp", 1),
    ("icmpv6", 58),
    ("igmp", 2),
    ("ipcomp", 108),
    ("ipencap", 4),
    ("ipip", 94),
    ("ipv6", 41),
    ("ipv6-frag", 44),
    ("ipv6-icmp", 58),
    ("ipv6-mh", 135),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("isis", 124),
    ("l2tp", 115),
    ("mh", 135),
    ("mobility-header", 135),
    ("ospf", 89),
    ("pim", 103),
    ("rsvp", 46),
    ("sctp", 132),
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("vrrp", 112),
];

/// The number of a protocol name, in any case of letters.
pub(super) fn protocol(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

/// The names, for "did you mean".
pub(super) fn protocols() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|(name, _)| *name)
}

/// Registered services (IANA) that occur in a server's rule files.
const SERVICES: &[(&str, u16)] = &[
    ("bgp", 179),
    ("bootpc", 68),
    ("bootps", 67),
    ("domain", 53),
    ("domain-s", 853),
    ("ftp", 21),
    ("ftp-data", 20),
    ("http", 80),
    ("http-alt", 8080),
    ("https", 443),
    ("iax", 4569),
    ("imap", 143),
    ("imap2", 143),
    ("imaps", 993),
    ("ipp", 631),
    ("irc", 194),
    ("isakmp", 500),
    ("kerberos", 88),
    ("ldap", 389),
    ("ldaps", 636),
    ("microsoft-ds", 445),
    ("ms-sql-s", 1433),
    ("mysql", 3306),
    ("netbios-dgm", 138),
    ("netbios-ns", 137),
    ("netbios-ssn", 139),
    ("nfs", 2049),
    ("ntp", 123),
    ("openvpn", 1194),
    ("pop3", 110),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("radius", 1812),
    ("radius-acct", 1813),
    ("rsync", 873),
    ("sip", 5060),
    ("sip-tls", 5061),
    ("smtp", 25),
    ("snmp", 161),
    ("snmp-trap", 162),
    ("ssh", 22),
    ("submission", 587),
    ("submissions", 465),
    ("sunrpc", 111),
    ("syslog", 514),
    ("telnet", 23),
    ("telnets", 992),
    ("tftp", 69),
    ("xmpp-client", 5222),
    ("xmpp-server", 5269),
];

/// The port of a service name, for either transport: which entries `/etc/services` has differs between systems.
pub(super) fn service(name: &str) -> Option<u16> {
    SERVICES.iter().find(|(known, _)| *known == name).map(|(_, port)| *port)
}

/// ICMP types and codes by iptables' names. No code means every code.
type IcmpNames = &'static [(&'static str, u8, Option<u8>)];

/// RFC 792, 950, 1122, 1191, 1256, 1812; `any` is iptables' own.
const ICMP4: IcmpNames = &[
    ("any", 255, None),
    ("echo-reply", 0, None),
    ("pong", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-route-failed", 3, Some(5)),
    ("network-unknown", 3, Some(6)),
    ("host-unknown", 3, Some(7)),
    ("network-prohibited", 3, Some(9)),
    ("host-prohibited", 3, Some(10)),
    ("tos-network-unreachable", 3, Some(11)),
    ("tos-host-unreachable", 3, Some(12)),
    ("communication-prohibited", 3, Some(13)),
    ("host-precedence-violation", 3, Some(14)),
    ("precedence-cutoff", 3, Some(15)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("network-redirect", 5, Some(0)),
    ("host-redirect", 5, Some(1)),
    ("tos-network-redirect", 5, Some(2)),
    ("tos-host-redirect", 5, Some(3)),
    ("echo-request", 8, None),
    ("ping", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-exceeded", 11, None),
    ("ttl-zero-during-transit", 11, Some(0)),
    ("ttl-zero-during-reassembly", 11, Some(1)),
    ("parameter-problem", 12, None),
    ("ip-header-bad", 12, Some(0)),
    ("required-option-missing", 12, Some(1)),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
    ("address-mask-request", 17, None),
    ("address-mask-reply", 18, None),
];

/// RFC 4443, 4861.
const ICMP6: IcmpNames = &[
    ("destination-unreachable", 1, None),
    ("no-route", 1, Some(0)),
    ("communication-prohibited", 1, Some(1)),
    ("beyond-scope", 1, Some(2)),
    ("address-unreachable", 1, Some(3)),
    ("port-unreachable", 1, Some(4)),
    ("failed-policy", 1, Some(5)),
    ("reject-route", 1, Some(6)),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-exceeded", 3, None),
    ("ttl-zero-during-transit", 3, Some(0)),
    ("ttl-zero-during-reassembly", 3, Some(1)),
    ("parameter-problem", 4, None),
    ("bad-header", 4, Some(0)),
    ("unknown-header-type", 4, Some(1)),
    ("unknown-option", 4, Some(2)),
    ("echo-request", 128, None),
    ("ping", 128, None),
    ("echo-reply", 129, None),
    ("pong", 129, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-advertisement", 136, None),
    ("neighbor-advertisement", 136, None),
    ("redirect", 137, None),
];

fn icmp_names(family: Family) -> IcmpNames {
    match family {
        Family::Ipv4 => ICMP4,
        Family::Ipv6 => ICMP6,
    }
}

/// The type and code of a name, or of the only name that begins like this, as iptables completes it.
pub(super) fn icmp(name: &str, family: Family) -> Option<(u8, Option<u8>)> {
    let wanted = name.to_ascii_lowercase();
    let mut hits = icmp_names(family).iter().filter(|(known, _, _)| known.starts_with(&wanted));
    let (_, kind, code) = hits.next()?;
    hits.next().is_none().then_some((*kind, *code))
}

/// The names, for "did you mean".
pub(super) fn icmp_types(family: Family) -> impl Iterator<Item = &'static str> {
    icmp_names(family).iter().map(|(name, _, _)| *name)
}

type RejectNames = &'static [(&'static str, &'static str, RejectWith)];

const REJECT4: RejectNames = &[
    ("icmp-net-unreachable", "net-unreach", RejectWith::IcmpNetUnreachable),
    ("icmp-host-unreachable", "host-unreach", RejectWith::IcmpHostUnreachable),
    ("icmp-proto-unreachable", "proto-unreach", RejectWith::IcmpProtoUnreachable),
    ("icmp-port-unreachable", "port-unreach", RejectWith::IcmpPortUnreachable),
    ("icmp-net-prohibited", "net-prohib", RejectWith::IcmpNetProhibited),
    ("icmp-host-prohibited", "host-prohib", RejectWith::IcmpHostProhibited),
    ("tcp-reset", "tcp-rst", RejectWith::TcpReset),
    ("icmp-admin-prohibited", "admin-prohib", RejectWith::IcmpAdminProhibited),
];

const REJECT6: RejectNames = &[
    ("icmp6-no-route", "no-route", RejectWith::Icmp6NoRoute),
    ("icmp6-adm-prohibited", "adm-prohibited", RejectWith::Icmp6AdminProhibited),
    ("icmp6-addr-unreachable", "addr-unreach", RejectWith::Icmp6AddrUnreachable),
    ("icmp6-port-unreachable", "port-unreach", RejectWith::Icmp6PortUnreachable),
    ("tcp-reset", "tcp-reset", RejectWith::TcpReset),
    ("icmp6-policy-fail", "policy-fail", RejectWith::Icmp6PolicyFail),
    ("icmp6-reject-route", "reject-route", RejectWith::Icmp6RejectRoute),
];

fn reject_names(family: Family) -> RejectNames {
    match family {
        Family::Ipv4 => REJECT4,
        Family::Ipv6 => REJECT6,
    }
}

/// The reject type of a name or short name; iptables takes the first that begins like this.
pub(crate) fn reject(name: &str, family: Family) -> Option<RejectWith> {
    let wanted = name.to_ascii_lowercase();
    let fits = |known: &str, short: &str| known.starts_with(&wanted) || short.starts_with(&wanted);
    let hit = reject_names(family).iter().find(|(known, short, _)| !wanted.is_empty() && fits(known, short));
    hit.map(|(_, _, with)| *with)
}

/// The names, for "did you mean" and for telling the family.
pub(crate) fn reject_types(family: Family) -> impl Iterator<Item = &'static str> {
    reject_names(family).iter().map(|(name, _, _)| *name)
}

impl RejectWith {
    /// The name as `iptables-save` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::IcmpNetUnreachable => "icmp-net-unreachable",
            Self::IcmpHostUnreachable => "icmp-host-unreachable",
            Self::IcmpProtoUnreachable => "icmp-proto-unreachable",
            Self::IcmpPortUnreachable => "icmp-port-unreachable",
            Self::IcmpNetProhibited => "icmp-net-prohibited",
            Self::IcmpHostProhibited => "icmp-host-prohibited",
            Self::IcmpAdminProhibited => "icmp-admin-prohibited",
            Self::TcpReset => "tcp-reset",
            Self::Icmp6NoRoute => "icmp6-no-route",
            Self::Icmp6AdminProhibited => "icmp6-adm-prohibited",
            Self::Icmp6AddrUnreachable => "icmp6-addr-unreachable",
            Self::Icmp6PortUnreachable => "icmp6-port-unreachable",
            Self::Icmp6PolicyFail => "icmp6-policy-fail",
            Self::Icmp6RejectRoute => "icmp6-reject-route",
        }
    }
}

/// syslog levels by the names that iptables takes (RFC 5424 table 2; `panic` and `error` are the old names).
const LEVELS: &[(&str, u8)] = &[
    ("emerg", 0),
    ("panic", 0),
    ("alert", 1),
    ("crit", 2),
    ("error", 3),
    ("warning", 4),
    ("notice", 5),
    ("info", 6),
    ("debug", 7),
];

pub(crate) fn log_level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
}

pub(crate) fn log_levels() -> impl Iterator<Item = &'static str> {
    LEVELS.iter().map(|(name, _)| *name)
}
