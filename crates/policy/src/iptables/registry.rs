//! Which matches, targets and options there are, and which of them Ringfence judges.

use crate::ruleset::Family;

/// A match of `-m` that Ringfence judges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extension {
    Comment,
    Conntrack,
    Dccp,
    HashLimit,
    Icmp,
    Icmp6,
    IpRange,
    Length,
    Limit,
    Multiport,
    Recent,
    Sctp,
    State,
    Text,
    Tcp,
    Udp,
}

/// A target of `-j` that takes options.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TargetExtension {
    Log,
    Nflog,
    Reject,
}

/// One long option of a match or target.
#[derive(Debug)]
pub(super) struct OptionSpec {
    /// The first is the one that `iptables-save` writes.
    pub(super) names: &'static [&'static str],
    /// How many arguments follow.
    pub(super) arguments: usize,
    /// `!` may stand before it.
    pub(super) invertible: bool,
    /// iptables knows it, Ringfence does not judge it.
    pub(super) unsupported: bool,
}

const fn option(names: &'static [&'static str]) -> OptionSpec {
    OptionSpec { names, arguments: 1, invertible: false, unsupported: false }
}

const fn flag(names: &'static [&'static str]) -> OptionSpec {
    OptionSpec { arguments: 0, ..option(names) }
}

const fn invertible(names: &'static [&'static str]) -> OptionSpec {
    OptionSpec { invertible: true, ..option(names) }
}

const fn invertible_flag(names: &'static [&'static str]) -> OptionSpec {
    OptionSpec { invertible: true, ..flag(names) }
}

const fn unsupported(names: &'static [&'static str], arguments: usize) -> OptionSpec {
    OptionSpec { names, arguments, invertible: true, unsupported: true }
}

const SPORT: OptionSpec = invertible(&["--sport", "--source-port"]);
const DPORT: OptionSpec = invertible(&["--dport", "--destination-port"]);

impl Extension {
    /// The match that `-m NAME` loads for this family.
    pub(super) fn by_name(name: &str, family: Family) -> Option<Self> {
        Some(match (name, family) {
            ("comment", _) => Self::Comment,
            ("conntrack", _) => Self::Conntrack,
            ("dccp", _) => Self::Dccp,
            ("hashlimit", _) => Self::HashLimit,
            ("icmp", Family::Ipv4) => Self::Icmp,
            ("icmp6" | "icmpv6" | "ipv6-icmp", Family::Ipv6) => Self::Icmp6,
            ("iprange", _) => Self::IpRange,
            ("length", _) => Self::Length,
            ("limit", _) => Self::Limit,
            ("multiport", _) => Self::Multiport,
            ("recent", _) => Self::Recent,
            ("sctp", _) => Self::Sctp,
            ("state", _) => Self::State,
            ("string", _) => Self::Text,
            ("tcp", _) => Self::Tcp,
            ("udp", _) => Self::Udp,
            _ => return None,
        })
    }

    /// The match whose options may be used without `-m` after `-p` of this protocol.
    pub(super) fn of_protocol(protocol: u8, family: Family) -> Option<Self> {
        Some(match (protocol, family) {
            (1, Family::Ipv4) => Self::Icmp,
            (6, _) => Self::Tcp,
            (17, _) => Self::Udp,
            (33, _) => Self::Dccp,
            (58, Family::Ipv6) => Self::Icmp6,
            (132, _) => Self::Sctp,
            _ => return None,
        })
    }

    /// The protocol that the kernel demands with `-p`.
    pub(super) fn needs_protocol(self) -> Option<(u8, &'static str)> {
        match self {
            Self::Dccp => Some((33, "dccp")),
            Self::Icmp => Some((1, "icmp")),
            Self::Icmp6 => Some((58, "ipv6-icmp")),
            Self::Sctp => Some((132, "sctp")),
            Self::Tcp => Some((6, "tcp")),
            Self::Udp => Some((17, "udp")),
            Self::Comment
            | Self::Conntrack
            | Self::HashLimit
            | Self::IpRange
            | Self::Length
            | Self::Limit
            | Self::Multiport
            | Self::Recent
            | Self::State
            | Self::Text => None,
        }
    }

    /// The name after `-m`, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Conntrack => "conntrack",
            Self::Dccp => "dccp",
            Self::HashLimit => "hashlimit",
            Self::Icmp => "icmp",
            Self::Icmp6 => "icmp6",
            Self::IpRange => "iprange",
            Self::Length => "length",
            Self::Limit => "limit",
            Self::Multiport => "multiport",
            Self::Recent => "recent",
            Self::Sctp => "sctp",
            Self::State => "state",
            Self::Text => "string",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    pub(super) fn options(self) -> &'static [OptionSpec] {
        match self {
            Self::Comment => const { &[option(&["--comment"])] },
            Self::Conntrack => CONNTRACK,
            Self::Dccp => {
                const { &[SPORT, DPORT, unsupported(&["--dccp-types"], 1), unsupported(&["--dccp-option"], 1)] }
            }
            Self::HashLimit => HASHLIMIT,
            Self::Icmp => const { &[invertible(&["--icmp-type"])] },
            Self::Icmp6 => const { &[invertible(&["--icmpv6-type"])] },
            Self::IpRange => const { &[invertible(&["--src-range"]), invertible(&["--dst-range"])] },
            Self::Length => const { &[invertible(&["--length"])] },
            Self::Limit => const { &[option(&["--limit"]), option(&["--limit-burst"])] },
            Self::Multiport => MULTIPORT,
            Self::Recent => RECENT,
            Self::Sctp => const { &[SPORT, DPORT, unsupported(&["--chunk-types"], 2)] },
            Self::State => const { &[invertible(&["--state"])] },
            Self::Text => TEXT,
            Self::Tcp => TCP,
            Self::Udp => const { &[SPORT, DPORT] },
        }
    }
}

impl TargetExtension {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "LOG" => Self::Log,
            "NFLOG" => Self::Nflog,
            "REJECT" => Self::Reject,
            _ => return None,
        })
    }

    pub(super) fn options(self) -> &'static [OptionSpec] {
        match self {
            Self::Log => LOG,
            Self::Nflog => NFLOG,
            Self::Reject => const { &[option(&["--reject-with"])] },
        }
    }
}

const CONNTRACK: &[OptionSpec] = &[
    invertible(&["--ctstate"]),
    unsupported(&["--ctproto"], 1),
    unsupported(&["--ctorigsrc"], 1),
    unsupported(&["--ctorigdst"], 1),
    unsupported(&["--ctreplsrc"], 1),
    unsupported(&["--ctrepldst"], 1),
    unsupported(&["--ctorigsrcport"], 1),
    unsupported(&["--ctorigdstport"], 1),
    unsupported(&["--ctreplsrcport"], 1),
    unsupported(&["--ctrepldstport"], 1),
    unsupported(&["--ctstatus"], 1),
    unsupported(&["--ctexpire"], 1),
    unsupported(&["--ctdir"], 1),
];

const HASHLIMIT: &[OptionSpec] = &[
    invertible(&["--hashlimit-upto", "--hashlimit"]),
    invertible(&["--hashlimit-above"]),
    option(&["--hashlimit-burst"]),
    option(&["--hashlimit-mode"]),
    option(&["--hashlimit-name"]),
    option(&["--hashlimit-srcmask"]),
    option(&["--hashlimit-dstmask"]),
    option(&["--hashlimit-htable-size"]),
    option(&["--hashlimit-htable-max"]),
    option(&["--hashlimit-htable-gcinterval"]),
    option(&["--hashlimit-htable-expire"]),
    unsupported(&["--hashlimit-rate-match"], 0),
    unsupported(&["--hashlimit-rate-interval"], 1),
];

/// The singular forms are abbreviations that `getopt_long` completes; files in the wild use them.
const MULTIPORT: &[OptionSpec] = &[
    invertible(&["--sports", "--source-ports", "--sport", "--source-port"]),
    invertible(&["--dports", "--destination-ports", "--dport", "--destination-port"]),
    invertible(&["--ports", "--port"]),
];

const RECENT: &[OptionSpec] = &[
    invertible_flag(&["--set"]),
    invertible_flag(&["--rcheck"]),
    invertible_flag(&["--update"]),
    invertible_flag(&["--remove"]),
    option(&["--seconds"]),
    flag(&["--reap"]),
    option(&["--hitcount"]),
    flag(&["--rttl"]),
    option(&["--name"]),
    flag(&["--rsource"]),
    flag(&["--rdest"]),
    option(&["--mask"]),
];

const TEXT: &[OptionSpec] = &[
    option(&["--algo"]),
    invertible(&["--string"]),
    invertible(&["--hex-string"]),
    option(&["--from"]),
    option(&["--to"]),
    flag(&["--icase"]),
];

const TCP: &[OptionSpec] = &[
    SPORT,
    DPORT,
    OptionSpec { arguments: 2, ..invertible(&["--tcp-flags"]) },
    invertible_flag(&["--syn"]),
    invertible(&["--tcp-option"]),
];

const LOG: &[OptionSpec] = &[
    option(&["--log-level"]),
    option(&["--log-prefix"]),
    flag(&["--log-tcp-sequence"]),
    flag(&["--log-tcp-options"]),
    flag(&["--log-ip-options"]),
    flag(&["--log-uid"]),
    flag(&["--log-macdecode"]),
];

const NFLOG: &[OptionSpec] = &[
    option(&["--nflog-group"]),
    option(&["--nflog-prefix"]),
    option(&["--nflog-size"]),
    option(&["--nflog-range"]),
    option(&["--nflog-threshold"]),
];

/// Every match name that Ringfence judges, for "did you mean".
pub(super) const MATCHES: &[&str] = &[
    "comment",
    "conntrack",
    "dccp",
    "hashlimit",
    "icmp",
    "icmp6",
    "iprange",
    "length",
    "limit",
    "multiport",
    "recent",
    "sctp",
    "state",
    "string",
    "tcp",
    "udp",
];

/// Matches that iptables has and Ringfence does not judge.
pub(super) const FOREIGN_MATCHES: &[&str] = &[
    "addrtype",
    "ah",
    "bpf",
    "cgroup",
    "cluster",
    "connbytes",
    "connlabel",
    "connlimit",
    "connmark",
    "cpu",
    "devgroup",
    "dscp",
    "dst",
    "ecn",
    "esp",
    "eui64",
    "frag",
    "geoip",
    "hbh",
    "helper",
    "hl",
    "ipcomp",
    "ipv6header",
    "ipvs",
    "mac",
    "mark",
    "mh",
    "nfacct",
    "osf",
    "owner",
    "physdev",
    "pkttype",
    "policy",
    "quota",
    "quota2",
    "rateest",
    "realm",
    "rpfilter",
    "rt",
    "set",
    "socket",
    "srh",
    "statistic",
    "tcpmss",
    "time",
    "tos",
    "ttl",
    "u32",
];

/// Every target that Ringfence judges.
pub(super) const TARGETS: &[&str] = &["ACCEPT", "DROP", "LOG", "NFLOG", "REJECT", "RETURN"];

/// Targets that iptables has and Ringfence does not judge.
pub(super) const FOREIGN_TARGETS: &[&str] = &[
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CLUSTERIP",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DNAT",
    "DNPT",
    "DSCP",
    "ECN",
    "HL",
    "HMARK",
    "IDLETIMER",
    "LED",
    "MARK",
    "MASQUERADE",
    "MIRROR",
    "NETMAP",
    "NFQUEUE",
    "NOTRACK",
    "QUEUE",
    "RATEEST",
    "REDIRECT",
    "SECMARK",
    "SET",
    "SNAT",
    "SNPT",
    "SYNPROXY",
    "TARPIT",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TPROXY",
    "TRACE",
    "TTL",
    "ULOG",
];
