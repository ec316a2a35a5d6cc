//! A host's packet path put together: what is discarded on arrival, reassembly, connection tracking, the filter table,
//! confirmation.
//!
//! Rules see IPv4 fragments only in FORWARD, and IPv6 fragments only where nothing reassembled them: reassembly before the
//! rules comes with connection tracking, which the kernel switches on for a family when one of its rules asks for a state.

mod flow;
mod plain;

use std::collections::VecDeque;
use std::time::Duration;

use policy::ruleset::{Family, RejectWith, RuleSet};

pub use self::flow::Flow;
pub use self::plain::Plain;
use crate::conntrack::{self, Answer, Conntrack, State, Tracked};
use crate::defrag::{self, Defrag, Outcome as Gathered, Refusal};
use crate::packet::{Malformed, Packet};
use crate::rules::{self, Cause, Evaluator, Hook, LogRecord, Outcome, RuleRef, Verdict};

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From another machine to another.
    Forward,
    /// To this host.
    Input,
    /// From this host to itself: OUTPUT, then INPUT, as one packet of connection tracking.
    Loopback,
    /// From this host.
    Output,
}

/// Why a datagram fares as it does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// Connection tracking has no room.
    ConntrackFull,
    /// Its fragments did not come together.
    Fragment(Refusal),
    /// It was to be forwarded and has no hop left (TTL).
    HopLimit,
    /// Discarded on arrival.
    Malformed(Malformed),
    /// The filter table decided, in the chain of `hook`; `via` are the rules whose jumps led there.
    Rules { hook: Hook, cause: Cause, via: Vec<RuleRef> },
}

/// What becomes of a datagram.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fate {
    pub verdict: Verdict,
    pub why: Why,
    /// What connection tracking said; `None` where it did not run.
    pub state: Option<State>,
    /// What its rules wrote down.
    pub logs: Vec<LogRecord>,
    /// The capture had cut it, and a rule looked for what is missing.
    pub uncertain: bool,
}

/// The fate of the datagram that the packets of `tags` make up, in their order of arrival.
#[derive(Debug, Eq, PartialEq)]
pub struct Judged<T> {
    pub tags: Vec<T>,
    pub fate: Fate,
}

/// Bounds and switches of all parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub conntrack: conntrack::Settings,
    pub defrag: defrag::Limits,
    pub rules: rules::Settings,
}

/// One host. `T` names a packet to the caller, a frame number say.
#[derive(Debug)]
pub struct Stack<T> {
    rules: Evaluator,
    conntrack: Conntrack,
    defrag: Defrag<T>,
    tracks_v4: bool,
    tracks_v6: bool,
    done: VecDeque<Judged<T>>,
}

impl<T> Stack<T> {
    /// At most one rule set of each family; a family without one is accepted. What grows is bounded by `settings`.
    pub fn new<'a>(rule_sets: impl IntoIterator<Item = &'a RuleSet>, settings: Settings) -> Self {
        let rule_sets: Vec<&RuleSet> = rule_sets.into_iter().collect();
        let rules = Evaluator::new(rule_sets.iter().copied(), settings.rules);
        Self::with_rules(rules, rule_sets, settings)
    }

    /// As [`Stack::new`], with the rule sets made ready before, which is most of the work: `rules` are theirs.
    pub fn with_rules<'a>(
        rules: Evaluator,
        rule_sets: impl IntoIterator<Item = &'a RuleSet>,
        settings: Settings,
    ) -> Self {
        let (mut tracks_v4, mut tracks_v6) = (false, false);
        for rules in rule_sets.into_iter().filter(|rules| rules.needs_conntrack()) {
            match rules.family {
                Family::Ipv4 => tracks_v4 = true,
                Family::Ipv6 => tracks_v6 = true,
            }
        }
        Self {
            tracks_v4,
            tracks_v6,
            rules,
            conntrack: Conntrack::new(settings.conntrack),
            defrag: Defrag::new(settings.defrag),
            done: VecDeque::new(),
        }
    }

    /// The filter tables, for their counters.
    pub fn rules(&self) -> &Evaluator {
        &self.rules
    }

    /// Takes a packet at `now` (capture time since the Unix epoch, never going back); ask [`Stack::judged`] for what that
    /// decided. Interfaces that the packet has and a hook has not are not shown to that hook's chain.
    pub fn push(&mut self, packet: &Packet<'_>, way: Way, tag: T, now: Duration) {
        self.expire(now);
        if let Some(fate) = self.alone(packet, way, now) {
            return self.finish(vec![tag], fate);
        }
        match self.defrag.push(packet, tag, now) {
            Gathered::Queued => {}
            Gathered::Refused { reason, tags } => {
                self.finish(tags, Fate::dropped(Why::Fragment(reason), None));
            }
            Gathered::Pass { tags, lost } => {
                if !lost.is_empty() {
                    self.finish(lost, Fate::dropped(Why::Fragment(Refusal::Inconsistent), None));
                }
                let fate = self.judge(packet, way, now);
                self.finish(tags, fate);
            }
            Gathered::Whole(datagram) => {
                let fate = match Packet::parse(&datagram.bytes, datagram.bytes.len()) {
                    Ok(whole) => {
                        // Without connection tracking the kernel joins the pieces where it can.
                        let seams = if self.tracks(&whole) { datagram.seams.as_slice() } else { &[] };
                        let whole = whole
                            .with_gaps(datagram.has_gaps)
                            .with_seams(seams)
                            .with_interfaces(packet.in_interface(), packet.out_interface());
                        self.judge(&whole, way, now)
                    }
                    Err(fault) => Fate::dropped(Why::Malformed(fault), None),
                };
                self.finish(datagram.tags, fate);
            }
        }
    }

    /// The fate of a packet that waits for no other, as nearly all are; `None` for one that does, which [`Stack::push`] takes.
    /// Call [`Stack::expire`] before, so that what is decided stands in the order of time.
    pub fn alone(&mut self, packet: &Packet<'_>, way: Way, now: Duration) -> Option<Fate> {
        let arrives = way != Way::Output;
        if arrives && let Some(fault) = packet.arrival_fault(way == Way::Loopback) {
            return Some(Fate::dropped(Why::Malformed(fault), None));
        }
        (!self.reassembles(packet, way)).then(|| self.judge(packet, way, now))
    }

    /// Gives up the fragments whose time is up at `now`.
    pub fn expire(&mut self, now: Duration) {
        while let Some(tags) = self.defrag.expire(now) {
            self.finish(tags, Fate::dropped(Why::Fragment(Refusal::Timeout), None));
        }
    }

    /// Gives up all waiting fragments: nothing comes any more.
    pub fn end(&mut self) {
        while let Some(tags) = self.defrag.drain() {
            self.finish(tags, Fate::dropped(Why::Fragment(Refusal::Timeout), None));
        }
    }

    /// The next datagram whose fate was decided, in the order of decision.
    pub fn judged(&mut self) -> Option<Judged<T>> {
        self.done.pop_front()
    }

    fn finish(&mut self, tags: Vec<T>, fate: Fate) {
        self.done.push_back(Judged { tags, fate });
    }

    fn tracks(&self, packet: &Packet<'_>) -> bool {
        if packet.is_ipv4() { self.tracks_v4 } else { self.tracks_v6 }
    }

    /// Whether fragments come together before the rules. What this host sends was whole when its rules saw it.
    fn reassembles(&self, packet: &Packet<'_>, way: Way) -> bool {
        packet.fragment().is_some()
            && match way {
                Way::Output | Way::Loopback => true,
                Way::Input => packet.is_ipv4() || self.tracks_v6,
                Way::Forward => self.tracks(packet),
            }
    }

    fn judge(&mut self, packet: &Packet<'_>, way: Way, now: Duration) -> Fate {
        let hook = if matches!(way, Way::Output | Way::Loopback) {
            conntrack::Hook::Output
        } else {
            conntrack::Hook::Prerouting
        };
        let tracked = if self.tracks(packet) {
            match self.conntrack.track(packet, hook, now) {
                Ok(tracked) => Some(tracked),
                Err(conntrack::TableFull) => return Fate::dropped(Why::ConntrackFull, None),
            }
        } else {
            None
        };
        let state = tracked.as_ref().map(|tracked| tracked.state);
        let mut fate = match way {
            Way::Input => self.chain_in_flow(Hook::Input, packet, tracked.as_ref(), now),
            Way::Output => self.chain_in_flow(Hook::Output, packet, tracked.as_ref(), now),
            Way::Forward => match packet.routed() {
                Some(bytes) => self.chain(Hook::Forward, &packet.with_bytes(&bytes), state, now),
                None => Fate::dropped(Why::HopLimit, state),
            },
            Way::Loopback => {
                let sent = self.chain(Hook::Output, packet, state, now);
                if sent.verdict == Verdict::Accept {
                    let received = self.chain(Hook::Input, packet, state, now);
                    Fate { logs: [sent.logs, received.logs].concat(), ..received }
                } else {
                    sent
                }
            }
        };
        fate.state = state;
        if let Some(tracked) = tracked {
            self.settle(tracked, packet, fate.verdict, now);
        }
        fate
    }

    fn settle(&mut self, tracked: Tracked, packet: &Packet<'_>, verdict: Verdict, now: Duration) {
        match verdict {
            Verdict::Accept => self.conntrack.confirm(tracked, now),
            Verdict::Drop => {}
            Verdict::Reject(with) => {
                let answer = if with == RejectWith::TcpReset { Answer::TcpReset } else { Answer::IcmpError };
                self.conntrack.rejected(tracked, packet, answer, now);
            }
        }
    }

    /// As [`Stack::chain`], with what the connection knows of the packet before.
    fn chain_in_flow(
        &mut self,
        hook: Hook,
        packet: &Packet<'_>,
        tracked: Option<&Tracked>,
        now: Duration,
    ) -> Fate {
        let state = tracked.map(|tracked| tracked.state);
        let known = tracked.and_then(|tracked| self.conntrack.known(tracked, packet));
        let (Some(known), Some(state)) = (known, state) else { return self.chain(hook, packet, state, now) };
        let outcome = if has_only_interfaces_of(hook, packet) {
            self.rules.judge_in_flow(hook, packet, state, now, known)
        } else {
            self.rules.judge_in_flow(hook, &with_interfaces_of(hook, packet), state, now, known)
        };
        Fate::decided(hook, Some(state), outcome)
    }

    fn chain(&mut self, hook: Hook, packet: &Packet<'_>, state: Option<State>, now: Duration) -> Fate {
        // Where nothing is tracked no rule asks for the state.
        let asked = state.unwrap_or(State::Untracked);
        let outcome = self.rules.judge(hook, &with_interfaces_of(hook, packet), asked, now);
        Fate::decided(hook, state, outcome)
    }
}

/// A packet as the chain of a hook sees it.
fn with_interfaces_of<'a>(hook: Hook, packet: &Packet<'a>) -> Packet<'a> {
    let (input, output) = (packet.in_interface(), packet.out_interface());
    match hook {
        Hook::Input => packet.with_interfaces(input, None),
        Hook::Forward => packet.with_interfaces(input, output),
        Hook::Output => packet.with_interfaces(None, output),
    }
}

/// Whether it is that already.
fn has_only_interfaces_of(hook: Hook, packet: &Packet<'_>) -> bool {
    match hook {
        Hook::Input => packet.out_interface().is_none(),
        Hook::Forward => true,
        Hook::Output => packet.in_interface().is_none(),
    }
}

impl Fate {
    fn decided(hook: Hook, state: Option<State>, outcome: Outcome) -> Self {
        let Outcome { verdict, cause, via, logs, uncertain } = outcome;
        Self { verdict, why: Why::Rules { hook, cause, via }, state, logs, uncertain }
    }

    fn dropped(why: Why, state: Option<State>) -> Self {
        Self { verdict: Verdict::Drop, why, state, logs: Vec::new(), uncertain: false }
    }
}

#[cfg(test)]
mod tests;
