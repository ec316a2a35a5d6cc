//! What the engine is told by a policy.

use std::ops::RangeInclusive;

use engine::Settings;

use crate::ruleset::{Match, RuleSet};

/// Thresholds, and the ports whose packets are SIP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detection {
    pub settings: Settings,
    pub ports: SipPorts,
}

/// Ports of this host, by protocol.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SipPorts {
    pub tcp: Vec<RangeInclusive<u16>>,
    pub udp: Vec<RangeInclusive<u16>>,
}

impl SipPorts {
    #[must_use]
    pub fn has_tcp(&self, port: u16) -> bool {
        self.tcp.iter().any(|range| range.contains(&port))
    }

    #[must_use]
    pub fn has_udp(&self, port: u16) -> bool {
        self.udp.iter().any(|range| range.contains(&port))
    }
}

impl Detection {
    /// Of a file that `iptables-save` wrote: it asks for no bans, so there are none; SIP is what it searches for text, and 5060.
    pub(crate) fn of_rules(sets: &[RuleSet]) -> Self {
        let settings = Settings::telling();
        let mut searched: Vec<RangeInclusive<u16>> = vec![5060..=5060];
        for rule in sets.iter().flat_map(|set| &set.chains).flat_map(|chain| &chain.rules) {
            if !rule.matches.iter().any(|condition| matches!(condition, Match::Text(text) if !text.negated)) {
                continue;
            }
            for condition in &rule.matches {
                if let Match::DestinationPort { negated: false, ports } = condition {
                    searched.push(ports.clone());
                } else if let Match::Multiport { negated: false, ports, .. } = condition {
                    searched.extend(ports.iter().cloned());
                }
            }
        }
        searched.sort_by_key(|range| (*range.start(), *range.end()));
        searched.dedup();
        Self { settings, ports: SipPorts { tcp: searched.clone(), udp: searched } }
    }
}
