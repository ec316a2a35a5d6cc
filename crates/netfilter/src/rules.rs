//! What a packet meets in the filter table: `ipt_do_table` and `ip6t_do_table` with their matches and targets.
//!
//! Rates and lists are kept as the kernel keeps them, in ticks of its clock; packets must come in the order of time.

mod compiled;
mod conditions;
mod hashlimit;
mod known;
mod limit;
mod recent;
mod text;

use std::time::Duration;

use policy::ruleset::{ChainId, ChainPolicy, Family, Line, RejectWith, RuleSet, Target};

use self::compiled::{Chain, Compiled};
use self::conditions::{Held, Subject};
use self::hashlimit::HashTables;
pub(crate) use self::known::Known;
use self::known::{Interfaces, Trace};
use self::recent::RecentLists;
use crate::conntrack::State;
use crate::packet::Packet;

/// The filter table's built-in chains.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hook {
    /// For this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
}

impl Hook {
    /// The chain's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "INPUT",
            Self::Forward => "FORWARD",
            Self::Output => "OUTPUT",
        }
    }
}

/// What differs between kernels, and the bounds of what grows.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Ticks a second (`CONFIG_HZ`): 250 on Debian and Ubuntu LTS, 1000 on Fedora and RHEL.
    pub hz: u32,
    /// Addresses in each `-m recent` list (`ip_list_tot`); the one seen longest ago makes room.
    pub recent_addresses: usize,
    /// Times kept of each address (`ip_pkt_list_tot`); 0 keeps what the largest `--hitcount` of the list needs, or 32.
    pub recent_stamps: u32,
    /// Buckets of a `-m hashlimit` table that names none (8192 with 1 GB of memory or more). Eight times as many entries fit;
    /// a packet for which there is no room is dropped.
    pub hashlimit_buckets: u32,
}

impl Default for Settings {
    /// Linux' own, as Debian builds it.
    fn default() -> Self {
        Self { hz: 250, recent_addresses: 100, recent_stamps: 0, hashlimit_buckets: 8192 }
    }
}

/// The fate of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Accept,
    Drop,
    /// Dropped, and its sender is told. (No answer goes to what RFC 1122 and RFC 4443 forbid to answer, or over rate limits.)
    Reject(RejectWith),
}

/// A rule's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RuleRef {
    pub chain: ChainId,
    /// 0-based, in the chain.
    pub index: usize,
    /// In the policy file.
    pub line: Line,
}

/// What decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// While this rule was checked, a header was found that is not all there (`hotdrop`), or a table was full.
    HotDrop(RuleRef),
    /// There is no filter for this family.
    NoRules,
    /// The end of the built-in chain.
    Policy(Line),
    Rule(RuleRef),
}

/// What a rule wrote down about a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogRecord {
    pub rule: RuleRef,
    pub prefix: String,
    pub to: LogTo,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogTo {
    /// `LOG`: the kernel log, with a syslog level.
    Kernel { level: u8 },
    /// `NFLOG`: a netlink group.
    Netlink { group: u16 },
}

/// A packet's way through the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub cause: Cause,
    /// The rules whose jumps led to where it was decided, outermost first.
    pub via: Vec<RuleRef>,
    /// In the order of the rules.
    pub logs: Vec<LogRecord>,
    /// The capture had cut the packet, and a rule looked beyond the cut: the kernel may have decided otherwise.
    pub uncertain: bool,
}

/// Packets and bytes, as `iptables -v` shows them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counter {
    pub packets: u64,
    /// From the network header on.
    pub bytes: u64,
}

impl Counter {
    fn count(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    fn add(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The filter tables of a host, with what they remember.
#[derive(Debug)]
pub struct Evaluator {
    ipv4: Option<Compiled>,
    ipv6: Option<Compiled>,
    hash_tables: HashTables,
    recent: RecentLists,
    settings: Settings,
    interfaces: Interfaces,
}

impl Evaluator {
    /// One rule set of each family at most; a later one of the same family takes the place of the earlier.
    pub fn new<'a>(rule_sets: impl IntoIterator<Item = &'a RuleSet>, settings: Settings) -> Self {
        let mut evaluator = Self {
            ipv4: None,
            ipv6: None,
            hash_tables: HashTables::new(settings),
            recent: RecentLists::new(settings),
            settings,
            interfaces: Interfaces::default(),
        };
        let mut searches = Vec::new();
        for rules in rule_sets {
            let Self { hash_tables, recent, .. } = &mut evaluator;
            let compiled = Compiled::new(rules, hash_tables, recent, &mut searches, settings);
            match rules.family {
                Family::Ipv4 => evaluator.ipv4 = Some(compiled),
                Family::Ipv6 => evaluator.ipv6 = Some(compiled),
            }
        }
        evaluator
    }

    /// What becomes of `packet` in the built-in chain of `hook`. `state`: what connection tracking says; `now`: time since any
    /// fixed moment.
    pub fn judge(&mut self, hook: Hook, packet: &Packet<'_>, state: State, now: Duration) -> Outcome {
        self.walk(hook, packet, state, now, None).0
    }

    /// As [`Evaluator::judge`], with what the walk met if it is to be traced.
    fn walk(
        &mut self,
        hook: Hook,
        packet: &Packet<'_>,
        state: State,
        now: Duration,
        trace: Option<Trace>,
    ) -> (Outcome, Option<Trace>) {
        let compiled = if packet.is_ipv4() { self.ipv4.as_mut() } else { self.ipv6.as_mut() };
        let subject = Subject::new(packet, state, self.settings.jiffies(now));
        let mut walk = Walk {
            subject,
            logs: Vec::new(),
            via: Vec::new(),
            trace,
            hash_tables: &mut self.hash_tables,
            recent: &mut self.recent,
        };
        let (verdict, cause) = match compiled {
            None => (Verdict::Accept, Cause::NoRules),
            Some(compiled) => walk.through(compiled, hook),
        };
        let via = walk.via.into_iter().map(|(rule, _)| rule).collect();
        let outcome = Outcome { verdict, cause, via, logs: walk.logs, uncertain: walk.subject.uncertain() };
        let is_searched = walk.subject.was_searched();
        let (is_of_flow, is_odd) = (walk.subject.is_of_flow(), walk.subject.is_odd());
        let trace = walk.trace.map(|trace| Trace { is_searched, is_of_flow, is_odd, ..trace });
        (outcome, trace)
    }

    /// The counters of a chain's rules, in their order; empty for a chain that does not exist.
    pub fn counters(&self, family: Family, chain: ChainId) -> Vec<Counter> {
        let Some(compiled) = self.compiled(family) else { return Vec::new() };
        let rules = compiled.chains.get(chain.0).map(|chain| chain.rules.as_slice()).unwrap_or_default();
        let mut counters: Vec<Counter> = rules.iter().map(|rule| rule.counter).collect();
        compiled.paths.add_to(&mut counters, chain);
        counters
    }

    /// The counter of a built-in chain's policy.
    pub fn policy_counter(&self, family: Family, hook: Hook) -> Counter {
        let Some(compiled) = self.compiled(family) else { return Counter::default() };
        let Some((_, chain)) = compiled.built_in(hook) else { return Counter::default() };
        let mut counter = chain.policy_counter;
        compiled.paths.add_to_policy(&mut counter, hook);
        counter
    }

    fn compiled(&self, family: Family) -> Option<&Compiled> {
        match family {
            Family::Ipv4 => self.ipv4.as_ref(),
            Family::Ipv6 => self.ipv6.as_ref(),
        }
    }
}

impl Settings {
    /// The kernel's clock, in whole ticks.
    fn jiffies(&self, now: Duration) -> u64 {
        let hz = u64::from(self.hz);
        let part = u64::from(now.subsec_nanos()) * hz / 1_000_000_000;
        now.as_secs().saturating_mul(hz).saturating_add(part)
    }

    /// `msecs_to_jiffies`: rounded up.
    fn jiffies_of_ms(&self, milliseconds: u32) -> u64 {
        (u64::from(milliseconds) * u64::from(self.hz)).div_ceil(1000)
    }
}

/// One packet on its way.
struct Walk<'w, 'p> {
    subject: Subject<'p>,
    logs: Vec<LogRecord>,
    /// Jumps on the way here, each with the number of callers behind it.
    via: Vec<(RuleRef, usize)>,
    trace: Option<Trace>,
    hash_tables: &'w mut HashTables,
    recent: &'w mut RecentLists,
}

/// What a rule's target means for the way on.
enum Step {
    Next,
    Decided(Verdict),
    /// To the start of a chain; `true` comes back behind this rule.
    Into(ChainId, bool),
    Return,
}

impl Walk<'_, '_> {
    fn through(&mut self, compiled: &mut Compiled, hook: Hook) -> (Verdict, Cause) {
        let Some((base, _)) = compiled.built_in(hook) else { return (Verdict::Accept, Cause::NoRules) };
        let deepest = compiled.chains.len();
        let mut callers: Vec<(ChainId, usize)> = Vec::new();
        let mut place = (base, 0_usize);
        loop {
            let (id, index) = place;
            let Some(chain) = compiled.chains.get_mut(id.0) else { return (Verdict::Drop, Cause::NoRules) };
            let Some(rule) = chain.rules.get_mut(index) else {
                // The end of a chain: back, or the policy where nobody called.
                match callers.pop() {
                    Some(caller) => place = self.back_to(caller, callers.len()),
                    None => return self.policy(compiled, base),
                }
                continue;
            };
            let at = RuleRef { chain: id, index, line: rule.line };
            place = (id, index + 1);
            match rule.holds(&mut self.subject, self.hash_tables, self.recent) {
                Held::No => continue,
                Held::HotDrop => return (Verdict::Drop, Cause::HotDrop(at)),
                Held::Yes => {
                    rule.counter.count(self.subject.len());
                    if let Some(Trace { counted, .. }) = &mut self.trace {
                        counted.push(at);
                    }
                }
            }
            match step(&rule.target, at, &mut self.logs) {
                Step::Next => {}
                Step::Decided(verdict) => return (verdict, Cause::Rule(at)),
                Step::Into(to, comes_back) => {
                    if comes_back {
                        if callers.len() >= deepest {
                            // The kernel's jump stack is full; checked rule sets have no loops, so this is not reached.
                            return (Verdict::Drop, Cause::Rule(at));
                        }
                        callers.push(place);
                    }
                    self.via.push((at, callers.len()));
                    place = (to, 0);
                }
                Step::Return => match callers.pop() {
                    Some(caller) => place = self.back_to(caller, callers.len()),
                    None => return self.policy(compiled, base),
                },
            }
        }
    }

    /// `caller`, with the jumps forgotten that led away from it.
    fn back_to(&mut self, caller: (ChainId, usize), callers: usize) -> (ChainId, usize) {
        self.via.retain(|&(_, behind)| behind <= callers);
        caller
    }

    fn policy(&mut self, compiled: &mut Compiled, base: ChainId) -> (Verdict, Cause) {
        let Some(Chain { policy, line, policy_counter, .. }) = compiled.chains.get_mut(base.0) else {
            return (Verdict::Accept, Cause::NoRules);
        };
        self.via.clear();
        policy_counter.count(self.subject.len());
        let verdict = match policy {
            ChainPolicy::Accept => Verdict::Accept,
            ChainPolicy::Drop => Verdict::Drop,
        };
        (verdict, Cause::Policy(*line))
    }
}

fn step(target: &Target, at: RuleRef, logs: &mut Vec<LogRecord>) -> Step {
    match target {
        Target::Accept => Step::Decided(Verdict::Accept),
        Target::Continue => Step::Next,
        Target::Drop => Step::Decided(Verdict::Drop),
        Target::Goto(chain) => Step::Into(*chain, false),
        Target::Jump(chain) => Step::Into(*chain, true),
        Target::Log(log) => {
            logs.push(LogRecord {
                rule: at,
                prefix: log.prefix.clone(),
                to: LogTo::Kernel { level: log.level },
            });
            Step::Next
        }
        Target::Nflog(log) => {
            logs.push(LogRecord {
                rule: at,
                prefix: log.prefix.clone(),
                to: LogTo::Netlink { group: log.group },
            });
            Step::Next
        }
        Target::Reject(with) => Step::Decided(Verdict::Reject(*with)),
        Target::Return => Step::Return,
    }
}

#[cfg(test)]
mod tests;
