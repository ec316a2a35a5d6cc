//! What the rules mean, and what of it the program's table has to do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use netfilter::defrag::{Defrag, Limits, Outcome};
use netfilter::packet::{Packet, Transport};
use netfilter::rules::{Cause, Hook, RuleRef, Verdict};
use netfilter::stack::{Judged, Settings, Stack, Way, Why};
use policy::ruleset::{Match, Rule, RuleSet};

use super::packets::is_for_host;
use super::sockets::{Letter, PORTS};

/// The tag of what the host sends.
const ANSWER: usize = usize::MAX;

/// Two hosts: one that goes by the whole file and gets every packet, and one that goes by the rules without the texts and gets
/// only what passed the gate.
#[derive(Debug)]
pub(crate) struct Model<'s> {
    set: &'s RuleSet,
    table_set: RuleSet,
    meaning: Stack<usize>,
    table: Stack<usize>,
    defrag: Defrag<usize>,
    now: Duration,
    /// Datagrams that came in pieces, by the last piece.
    pub(crate) whole: BTreeMap<usize, Vec<u8>>,
}

fn has_text(rule: &Rule) -> bool {
    rule.matches.iter().any(|one| matches!(one, Match::Text(_)))
}

impl<'s> Model<'s> {
    pub(crate) fn new(set: &'s RuleSet) -> Self {
        let mut table_set = set.clone();
        for chain in &mut table_set.chains {
            chain.rules.retain(|rule| !has_text(rule));
        }
        Self {
            set,
            meaning: Stack::new([set], Settings::default()),
            table: Stack::new([&table_set], Settings::default()),
            table_set,
            defrag: Defrag::new(Limits::default()),
            now: Duration::from_secs(1_000_000),
            whole: BTreeMap::new(),
        }
    }

    /// Takes a packet that was sent; what the whole file decides because of it.
    pub(crate) fn sent(&mut self, index: usize, datagram: &[u8]) -> Vec<Judged<usize>> {
        self.now += Duration::from_micros(200);
        let (packet, way) = self.packet(datagram);
        if packet.fragment().is_some()
            && way == Way::Input
            && let Outcome::Whole(whole) = self.defrag.push(&packet, index, self.now)
        {
            self.whole.insert(index, whole.bytes);
        }
        self.meaning.push(&packet, way, index, self.now);
        std::iter::from_fn(|| self.meaning.judged()).collect()
    }

    /// Takes a packet that passed the gate; whether the table accepts it, or the datagram that it makes whole.
    pub(crate) fn passed(&mut self, index: usize, datagram: &[u8]) -> bool {
        let (packet, way) = self.packet(datagram);
        self.table.push(&packet, way, index, self.now);
        let judged: Vec<Judged<usize>> = std::iter::from_fn(|| self.table.judged()).collect();
        judged.iter().any(|one| one.fate.verdict == Verdict::Accept)
    }

    /// Takes what the host sent.
    pub(crate) fn answered(&mut self, datagram: &[u8]) {
        let packet = Packet::parse(datagram, datagram.len()).expect("the kernel's own");
        let packet = packet.with_interfaces(None, Some("left0"));
        self.meaning.push(&packet, Way::Output, ANSWER, self.now);
        self.table.push(&packet, Way::Output, ANSWER, self.now);
        while self.meaning.judged().is_some() {}
        while self.table.judged().is_some() {}
    }

    fn packet<'p>(&self, datagram: &'p [u8]) -> (Packet<'p>, Way) {
        let packet = Packet::parse(datagram, datagram.len()).expect("a datagram");
        let (way, output) =
            if is_for_host(&packet) { (Way::Input, "left0") } else { (Way::Forward, "right0") };
        (packet.with_interfaces(Some("left0"), Some(output)), way)
    }

    /// Whether a rule that looks for text led to this.
    pub(crate) fn is_by_text(&self, why: &Why) -> bool {
        let Why::Rules { hook: Hook::Input, cause, via } = why else { return false };
        let text = |at: &RuleRef| {
            self.set.by_id(at.chain).and_then(|chain| chain.rules.get(at.index)).is_some_and(has_text)
        };
        via.iter().any(text) || matches!(cause, Cause::Rule(at) if text(at))
    }

    /// Packets and bytes by line, for the rules in chains that only packets from outside come to.
    pub(crate) fn counters(&self) -> BTreeMap<usize, (u64, u64)> {
        let mut lines = BTreeMap::new();
        for chain in self.table_set.chains.iter().filter(|chain| chain.name != "OUTPUT") {
            let (id, _) = self.table_set.chain(&chain.name).expect("its own chain");
            let counters = self.table.rules().counters(self.table_set.family, id);
            for (rule, counter) in chain.rules.iter().zip(counters) {
                lines.insert(rule.line.0, (counter.packets, counter.bytes));
            }
        }
        lines
    }
}

/// What a listener gets of a datagram, if one is there and the datagram is right.
pub(crate) fn letter(datagram: &[u8]) -> Option<Letter> {
    let packet = Packet::parse(datagram, datagram.len()).ok()?;
    let Transport::Udp(udp) = packet.transport() else { return None };
    let payload = packet.payload();
    let right = usize::from(udp.len) == payload.len() && packet.transport_checksum() != Some(false);
    let source: IpAddr = packet.source();
    (is_for_host(&packet) && right && PORTS.contains(&udp.destination))
        .then(|| (source, udp.source, udp.destination, payload[8..].to_vec()))
}
