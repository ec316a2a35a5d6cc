//! A conjunction of conditions that the gate can judge: at most one of each kind.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use gate::Address;
use gate::layout::{Masked, Rule, check};

use crate::ruleset::{Family, InterfaceName, Match, Network, PortSide};

/// At most one condition of a kind; kinds as in [`check`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Condition {
    source: Option<(bool, Network)>,
    destination: Option<(bool, Network)>,
    interface: Option<(bool, InterfaceName)>,
    protocol: Option<(bool, u8)>,
    source_ports: Option<(bool, RangeInclusive<u16>)>,
    destination_ports: Option<(bool, RangeInclusive<u16>)>,
    length: Option<(bool, RangeInclusive<u16>)>,
    tcp_flags: Option<(bool, u8, u8)>,
    /// Index of the group of texts, one of which must be in the packet.
    pub group: Option<usize>,
}

/// What adding a match to a condition gave.
pub(super) enum Added {
    /// The alternatives that together mean the same: one, or several for lists of ports.
    Exactly(Vec<Condition>),
    /// The condition as it was: it holds for more packets than the rule does.
    Wider,
}

impl Condition {
    /// The protocol that it demands, if it demands one.
    pub fn protocol(&self) -> Option<u8> {
        self.protocol.as_ref().and_then(|(negated, protocol)| (!negated).then_some(*protocol))
    }

    /// The destination ports that it demands.
    pub fn destination_ports(&self) -> Option<RangeInclusive<u16>> {
        self.destination_ports.as_ref().and_then(|(negated, ports)| (!negated).then(|| ports.clone()))
    }

    /// This and `one` of a rule. The rule's protocol comes before its ports.
    pub(super) fn and(&self, one: &Match) -> Added {
        let ports =
            matches!(one, Match::SourcePort { .. } | Match::DestinationPort { .. } | Match::Multiport { .. });
        // The gate reads no ports of SCTP, DCCP and UDP-Lite.
        if ports && !matches!(self.protocol(), Some(gate::decode::TCP | gate::decode::UDP)) {
            return Added::Wider;
        }
        let mut with = self.clone();
        let fits = match one {
            Match::Protocol { negated, protocol } => put(&mut with.protocol, (*negated, *protocol)),
            Match::Source { negated, network } => put(&mut with.source, (*negated, *network)),
            Match::Destination { negated, network } => put(&mut with.destination, (*negated, *network)),
            Match::InInterface { negated, name } => put(&mut with.interface, (*negated, name.clone())),
            Match::SourcePort { negated, ports } => {
                self.has_ports() && put(&mut with.source_ports, (*negated, ports.clone()))
            }
            Match::DestinationPort { negated, ports } => {
                self.has_ports() && put(&mut with.destination_ports, (*negated, ports.clone()))
            }
            Match::Length { negated, length } => put(&mut with.length, (*negated, length.clone())),
            Match::TcpFlags { negated, mask, set } => put(&mut with.tcp_flags, (*negated, *mask, *set)),
            Match::Multiport { negated: false, side, ports } => return self.and_ports(*side, ports),
            // A packet too short for its header is dropped by this match, and not answered: as the gate does.
            Match::WholeHeader => true,
            // `INPUT` has no out interface, so iptables refuses `-o` there; elsewhere the gate does not look.
            Match::OutInterface { .. }
            | Match::Fragment { .. }
            | Match::TcpOption { .. }
            | Match::Multiport { .. }
            | Match::State { .. }
            | Match::SourceIn { .. }
            | Match::Text(_)
            | Match::Header(_)
            | Match::Icmp { .. }
            | Match::Limit(_)
            | Match::HashLimit(_)
            | Match::Recent(_)
            | Match::SourceRange { .. }
            | Match::DestinationRange { .. } => false,
        };
        if fits { Added::Exactly(vec![with]) } else { Added::Wider }
    }

    /// Whether the gate reads the ports of every packet that it holds for: SCTP, DCCP and UDP-Lite have ports as well,
    /// which stay 0 there (see [`gate::decode::Packet`]).
    fn has_ports(&self) -> bool {
        matches!(self.protocol(), Some(gate::decode::TCP | gate::decode::UDP))
    }

    /// One alternative per port range.
    fn and_ports(&self, side: PortSide, ports: &[RangeInclusive<u16>]) -> Added {
        if !self.has_ports() {
            return Added::Wider;
        }
        let mut alternatives = Vec::new();
        for range in ports {
            let mut with = self.clone();
            let fits = match side {
                PortSide::Destination => put(&mut with.destination_ports, (false, range.clone())),
                PortSide::Source => put(&mut with.source_ports, (false, range.clone())),
                PortSide::Either => false,
            };
            if !fits {
                return Added::Wider;
            }
            alternatives.push(with);
        }
        Added::Exactly(alternatives)
    }

    /// Whether no packet can fulfil both; `false` where that is not certain.
    pub fn excludes(&self, other: &Self) -> bool {
        let apart = |one: &Option<(bool, RangeInclusive<u16>)>, two: &Option<(bool, RangeInclusive<u16>)>| {
            matches!((one, two), (Some((false, one)), Some((false, two)))
                if one.end() < two.start() || two.end() < one.start())
        };
        matches!((self.protocol(), other.protocol()), (Some(one), Some(two)) if one != two)
            || apart(&self.source_ports, &other.source_ports)
            || apart(&self.destination_ports, &other.destination_ports)
            || apart_networks(self.source.as_ref(), other.source.as_ref())
            || apart_networks(self.destination.as_ref(), other.destination.as_ref())
    }

    /// In the kernel's layout; the bits of interface patterns are indexes in `interfaces`.
    pub fn to_layout(&self, family: Family, interfaces: &[InterfaceName]) -> Rule {
        let mut rule = Rule {
            family: match family {
                Family::Ipv4 => 4,
                Family::Ipv6 => 6,
            },
            ..Rule::default()
        };
        let mut add = |bit: u32, negated: bool| {
            rule.checks |= bit;
            if negated {
                rule.negated |= bit;
            }
        };
        if let Some((negated, protocol)) = self.protocol {
            add(check::PROTOCOL, negated);
            rule.protocol = protocol;
        }
        if let Some((negated, network)) = self.source {
            add(check::SOURCE, negated);
            rule.source = masked(&network);
        }
        if let Some((negated, network)) = self.destination {
            add(check::DESTINATION, negated);
            rule.destination = masked(&network);
        }
        if let Some((negated, name)) = &self.interface {
            add(check::INTERFACE, *negated);
            rule.interfaces = interfaces.iter().position(|other| other == name).map_or(0, |bit| 1 << bit);
        }
        if let Some((negated, ports)) = &self.source_ports {
            add(check::SOURCE_PORT, *negated);
            rule.source_ports = [*ports.start(), *ports.end()];
        }
        if let Some((negated, ports)) = &self.destination_ports {
            add(check::DESTINATION_PORT, *negated);
            rule.destination_ports = [*ports.start(), *ports.end()];
        }
        if let Some((negated, length)) = &self.length {
            add(check::LENGTH, *negated);
            rule.length = [*length.start(), *length.end()];
        }
        if let Some((negated, mask, set)) = self.tcp_flags {
            add(check::TCP_FLAGS, negated);
            (rule.tcp_mask, rule.tcp_set) = (mask, set);
        }
        if let Some(group) = self.group {
            add(check::SIGNATURE, false);
            rule.group = u32::try_from(group).unwrap_or(0);
        }
        rule
    }

    /// The interface that it names.
    pub fn interface(&self) -> Option<&InterfaceName> {
        self.interface.as_ref().map(|(_, name)| name)
    }
}

/// Fills an empty slot, or finds the same there. Two different conditions of a kind do not fit into one slot.
fn put<T: PartialEq>(slot: &mut Option<T>, value: T) -> bool {
    match slot {
        Some(there) => *there == value,
        None => {
            *slot = Some(value);
            true
        }
    }
}

fn apart_networks(one: Option<&(bool, Network)>, two: Option<&(bool, Network)>) -> bool {
    let (Some((false, one)), Some((false, two))) = (one, two) else { return false };
    let (one, two) = (masked(one), masked(two));
    let differs = |index: usize| {
        let get = |array: &[u64; 2]| array.get(index).copied().unwrap_or(0);
        let common = get(&one.mask) & get(&two.mask);
        get(&one.value) & common != get(&two.value) & common
    };
    differs(0) || differs(1)
}

fn masked(network: &Network) -> Masked {
    let (high, low) = Address::from(network.address).halves();
    // The upper part of a mapped IPv4 address is the same for all of them.
    let (mask_high, mask_low) = match network.mask {
        IpAddr::V4(mask) => (u64::MAX, 0xffff_ffff_0000_0000 | u64::from(mask.to_bits())),
        IpAddr::V6(mask) => Address(mask.octets()).halves(),
    };
    Masked { value: [high & mask_high, low & mask_low], mask: [mask_high, mask_low] }
}
