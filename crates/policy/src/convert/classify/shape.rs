//! A rule's conditions, as far as the TOML has words for them.

use crate::convert::draft::Ports;
use crate::ruleset::{Match, Network, PortSide, States, Text};

/// The conditions of a rule that the TOML can say.
#[derive(Default)]
pub(super) struct Shape<'a> {
    pub(super) protocol: Option<u8>,
    pub(super) source: Option<Network>,
    pub(super) interface: Option<String>,
    pub(super) states: Option<States>,
    pub(super) ports: Vec<Ports>,
    pub(super) text: Option<&'a Text>,
    /// Single ICMP types are named.
    pub(super) icmp_types: bool,
}

impl<'a> Shape<'a> {
    /// The conditions, or why the TOML cannot say them.
    pub(super) fn of(matches: Vec<&'a Match>) -> Result<Self, &'static str> {
        let mut shape = Self::default();
        for condition in matches {
            shape.add(condition)?;
        }
        Ok(shape)
    }

    fn add(&mut self, condition: &'a Match) -> Result<(), &'static str> {
        match condition {
            Match::Protocol { negated: false, protocol }
                if self.protocol.is_none_or(|known| known == *protocol) =>
            {
                self.protocol = Some(*protocol);
            }
            Match::Source { negated: false, network }
                if network.prefix().is_some() && self.source.is_none() =>
            {
                self.source = Some(*network)
            }
            Match::InInterface { negated: false, name } if !name.prefix && self.interface.is_none() => {
                self.interface = Some(name.name.clone())
            }
            Match::State { negated: false, states }
                if self.states.is_none() && !states.dnat && !states.snat =>
            {
                self.states = Some(*states);
            }
            Match::DestinationPort { negated: false, ports } if self.ports.is_empty() => {
                self.ports.push((*ports.start(), *ports.end()));
            }
            Match::Multiport { negated: false, side: PortSide::Destination, ports }
                if self.ports.is_empty() =>
            {
                self.ports = ports.iter().map(|ports| (*ports.start(), *ports.end())).collect();
            }
            Match::Text(text) if self.text.is_none() => self.text = Some(text),
            Match::Icmp { negated: false, types, .. } => self.icmp_types = *types != (0..=255),
            // `--syn` in a rule that accepts says what NEW says.
            Match::TcpFlags { negated: false, mask: 0x17, set: 0x02 } => {
                self.states.get_or_insert_default().new = true;
            }
            Match::WholeHeader => {}
            Match::Limit(_) | Match::HashLimit(_) | Match::Recent(_) => {
                return Err("the TOML has no rate limits for single rules");
            }
            Match::Length { .. } => return Err("the TOML does not look at lengths"),
            Match::Destination { .. } | Match::DestinationRange { .. } => {
                return Err("the TOML does not tell this host's addresses apart");
            }
            Match::SourcePort { .. } | Match::Multiport { .. } => {
                return Err("a service of the TOML has destination ports only");
            }
            Match::SourceRange { .. } => return Err("the TOML has networks, not ranges"),
            Match::Text(_) => return Err("a signature of the TOML has one text"),
            Match::Fragment { .. } | Match::TcpFlags { .. } | Match::TcpOption { .. } => {
                return Err("the TOML does not look at such headers");
            }
            Match::OutInterface { .. } => return Err("packets to this host do not leave"),
            Match::Protocol { .. }
            | Match::Source { .. }
            | Match::InInterface { .. }
            | Match::State { .. }
            | Match::DestinationPort { .. }
            | Match::Icmp { .. }
            // Only the TOML itself has these.
            | Match::SourceIn { .. }
            | Match::Header(_) => return Err("the TOML has no such condition, nor a negated one"),
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.protocol.is_none()
            && self.source.is_none()
            && self.interface.is_none()
            && self.states.is_none()
            && self.ports.is_empty()
            && self.text.is_none()
    }

    pub(super) fn is_loopback(&self) -> bool {
        let rest_is_free = self.protocol.is_none()
            && self.source.is_none()
            && self.states.is_none()
            && self.ports.is_empty();
        self.interface.as_deref() == Some("lo") && rest_is_free
    }

    pub(super) fn is_only_state(&self, fits: impl Fn(States) -> bool) -> bool {
        let rest_is_free = self.protocol.is_none()
            && self.source.is_none()
            && self.interface.is_none()
            && self.ports.is_empty();
        rest_is_free && self.states.is_some_and(fits)
    }
}
