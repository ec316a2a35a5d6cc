//! Ports, in the shapes that a policy has.

use std::ops::RangeInclusive;

use audit::Protocol;

/// Ports of both protocols, each once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ports {
    tcp: Vec<RangeInclusive<u16>>,
    udp: Vec<RangeInclusive<u16>>,
}

impl Ports {
    pub(crate) fn add(&mut self, protocol: Protocol, ports: RangeInclusive<u16>) {
        let list = match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
        };
        if !list.contains(&ports) {
            list.push(ports);
            list.sort_by_key(|range| (*range.start(), *range.end()));
        }
    }

    pub(crate) fn contains(&self, protocol: Protocol, port: u16) -> bool {
        let list = match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        };
        list.iter().any(|range| range.contains(&port))
    }

    /// `tcp = [22], udp = ["10000-20000"]`
    pub(crate) fn toml(&self) -> String {
        let lists = [("tcp", &self.tcp), ("udp", &self.udp)];
        let written = lists.iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(key, ranges)| {
            let ranges: Vec<String> = ranges.iter().map(range).collect();
            format!("{key} = [{}]", ranges.join(", "))
        });
        written.collect::<Vec<_>>().join(", ")
    }
}

fn range(range: &RangeInclusive<u16>) -> String {
    match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("\"{first}-{last}\""),
    }
}
