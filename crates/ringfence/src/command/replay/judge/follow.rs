//! TCP connections as the gate follows them: what `run` drops because of the segments before.

use std::rc::Rc;

use gate::layout::{FOLLOWS, LIMITED, NONE};
use gate::memory::{GateTables, MemoryTables};
use gate::{Found, Judgement, Link};
use netfilter::packet::Packet;
use policy::plan::Plan;
use policy::plan::gate::{GatePlan, Note};
use policy::plan::nft::{Mode, Tag};
use policy::{Language, Policy};

use super::Judge;
use crate::command::replay::record::Reason;

/// Why a segment is dropped though its own bytes are lawful.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stopped {
    pub(super) reason: Reason,
    /// The signature's name.
    pub(super) rule: Option<Rc<str>>,
    /// The prefix of the log line, if there is one.
    pub(super) log: Option<String>,
}

/// The gate's own view of a policy, twice: with the memory of connections and without.
#[derive(Debug)]
pub(super) struct Follower {
    plan: GatePlan,
    following: MemoryTables,
    alone: MemoryTables,
    found: Found,
}

impl Judge<'_> {
    /// Whether the connection stops a packet to this host that is no UDP.
    pub(super) fn follow(&mut self, packet: &Packet<'_>) -> Option<Stopped> {
        self.follower.get_or_init(|| Follower::new(self.policy));
        self.follower.get_mut()?.as_mut()?.judge(packet.bytes())
    }
}

impl Follower {
    /// `None` where nothing is followed: the policy searches nothing in TCP, or it is iptables' own, which is judged as Linux
    /// would.
    pub(super) fn new(policy: &Policy) -> Option<Self> {
        if policy.language() == Language::Iptables {
            return None;
        }
        let mut plan = Plan::new(policy, Mode::Enforce, Tag::default()).ok()?.gate;
        // Nobody is proven here, and no time passes: who is limited is not this one's affair.
        plan.tables.config.flags &= !LIMITED;
        if plan.tables.config.flags & FOLLOWS == 0 {
            return None;
        }
        let mut alone: GateTables = plan.tables.clone();
        alone.config.flags &= !FOLLOWS;
        Some(Self {
            following: MemoryTables { policy: plan.tables.clone(), ..MemoryTables::default() },
            alone: MemoryTables { policy: alone, ..MemoryTables::default() },
            plan,
            found: Found::default(),
        })
    }

    /// Takes a packet to this host that is no UDP, from its network header on.
    pub(super) fn judge(&mut self, packet: &[u8]) -> Option<Stopped> {
        let mut judgement = Judgement::NONE;
        gate::judge(packet, &self.following, Link::Ip, &mut self.found, &mut judgement);
        let reason = match judgement.reason {
            gate::Reason::EndedConnection => Reason::EndedConnection,
            gate::Reason::FragmentedSegment => Reason::FragmentedSegment,
            gate::Reason::OutOfOrderSegment => Reason::OutOfOrderSegment,
            gate::Reason::RewrittenSegment => Reason::RewrittenSegment,
            gate::Reason::Signature if judgement.packet.protocol == gate::decode::TCP => {
                let mut by_itself = Judgement::NONE;
                gate::judge(packet, &self.alone, Link::Ip, &mut self.found, &mut by_itself);
                // What is in the segment alone, the rules find as well.
                if by_itself.reason == gate::Reason::Signature {
                    return None;
                }
                Reason::Signature
            }
            gate::Reason::Banned
            | gate::Reason::Blocked
            | gate::Reason::Clean
            | gate::Reason::Exempt
            | gate::Reason::Forwarded
            | gate::Reason::LaterFragment
            | gate::Reason::LimitedNetwork
            | gate::Reason::LimitedSource
            | gate::Reason::LongHeaderChain
            | gate::Reason::NotIp
            | gate::Reason::OverCeiling
            | gate::Reason::Signature
            | gate::Reason::Truncated
            | gate::Reason::Trusted
            | gate::Reason::Unguarded => return None,
        };
        let signature = (judgement.signature != NONE)
            .then(|| self.plan.signatures.get(usize::from(judgement.signature)))
            .flatten();
        let notes = self.plan.notes.iter().enumerate();
        let mut log = notes.filter(|(bit, _)| judgement.notes >> bit & 1 != 0).map(|(_, note)| match note {
            Note::Log(log) => log.prefix.clone(),
            Note::Nflog(nflog) => nflog.prefix.clone(),
        });
        Some(Stopped {
            reason,
            rule: signature.map(|signature| Rc::from(signature.name.as_str())),
            log: log.next_back(),
        })
    }
}
