//! The verdict on one frame.

use crate::address::Family;
use crate::bans;
use crate::decode::{Fragment, Link, Packet, TCP, UDP, decode};
use crate::flow::{self, Followed};
use crate::frame::Frame;
use crate::layout::{
    ALL_PROTOCOLS, ALL_TCP_PORTS, ALL_UDP_PORTS, Ban, Config, FORWARDS, HAS_BANS, HAS_BANS_ON_ALL_PORTS,
    HAS_BLOCKED, HAS_NETWORKS, HAS_PROVEN, HAS_SPECIAL, HAS_TRUSTED, LIMITED, MAX_NOTES, MAX_RULES, NONE,
    Rule, action, check,
};
use crate::limit;
use crate::reason::Reason;
use crate::scan::{Found, Search};
use crate::tables::Tables;

/// Why, and what decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Judgement {
    pub reason: Reason,
    /// Index of the deciding rule, or [`NONE`].
    pub rule: u16,
    /// Index of the signature, or [`NONE`].
    pub signature: u16,
    /// Log statements that the packet met, a bit each.
    pub notes: u64,
    /// What was read of the headers; [`Packet::UNREAD`] if they could not be read.
    pub packet: Packet,
}

impl Judgement {
    /// Before anything was judged.
    pub const NONE: Self =
        Self { reason: Reason::Unguarded, rule: NONE, signature: NONE, notes: 0, packet: Packet::UNREAD };
}

/// Judges `frame`. Cheap and decisive questions come first; the payload is looked at only where the policy guards the
/// port, and the rules are walked only when a signature was found. `found` is where the search works; the answer goes into
/// `judgement`, which is [`Judgement::NONE`] before.
#[inline(always)]
pub fn judge<F: Frame + ?Sized, T: Tables<F>>(
    frame: &F,
    tables: &T,
    link: Link,
    found: &mut Found,
    judgement: &mut Judgement,
) {
    judgement.reason = match decode(frame, link, &mut judgement.packet) {
        Ok(()) => reason(frame, tables, judgement, found),
        // Where nothing is looked for and nobody is unwelcome, there is nothing to hide behind the chain.
        Err(Reason::LongHeaderChain) if !asks(tables) => Reason::Unguarded,
        Err(reason) => reason,
    };
}

/// Whether anything is asked about packets at all.
#[inline(always)]
fn asks<F: ?Sized, T: Tables<F>>(tables: &T) -> bool {
    let config = tables.config();
    config.rules != 0
        || config.flags & (HAS_BLOCKED | LIMITED) != 0
        || tables.live().flags & (HAS_BANS | HAS_SPECIAL | HAS_NETWORKS) != 0
}

#[inline(always)]
fn reason<F: Frame + ?Sized, T: Tables<F>>(
    frame: &F,
    tables: &T,
    judgement: &mut Judgement,
    found: &mut Found,
) -> Reason {
    let config = tables.config();
    let packet = &judgement.packet;
    if config.flags & HAS_TRUSTED != 0 && tables.trusts(&packet.source) {
        return Reason::Trusted;
    }
    if config.flags & HAS_BLOCKED != 0 && tables.blocks(&packet.source) {
        return Reason::Blocked;
    }
    let live = tables.live();
    // A later fragment has no port to tell whether it is for the PBX; the source already is unwelcome.
    let may_be_guarded = is_guarded(tables, packet, config) || packet.fragment == Fragment::Later;
    if live.flags & HAS_NETWORKS != 0
        && (may_be_guarded || live.flags & HAS_BANS_ON_ALL_PORTS != 0)
        && let Some(term) = tables.network(&packet.source)
        && (may_be_guarded || term.covers_all_ports())
        && term.lasts(tables.now())
    {
        return if term.is_trust() { Reason::Trusted } else { Reason::Banned };
    }
    let asks_for_bans = if may_be_guarded { HAS_BANS } else { HAS_BANS_ON_ALL_PORTS };
    if live.flags & asks_for_bans != 0
        && let Some(term) = bans::term(tables, packet, live.key)
        && (may_be_guarded || term.covers_all_ports())
        && term.lasts(tables.now())
    {
        return Reason::Banned;
    }
    if live.flags & HAS_SPECIAL != 0
        && (may_be_guarded || live.flags & HAS_BANS_ON_ALL_PORTS != 0)
        && let Some(reason) =
            tables.with_special(packet, |ban| special(tables, ban, may_be_guarded)).flatten()
    {
        return reason;
    }
    if packet.fragment == Fragment::Later {
        return Reason::LaterFragment;
    }
    if !may_be_guarded {
        return Reason::Unguarded;
    }
    if config.flags & LIMITED != 0
        && (live.flags & HAS_PROVEN == 0 || !tables.is_proven(packet))
        && let Some(reason) = limit::exceeded(tables, packet, config)
        && (live.flags & FORWARDS == 0 || !tables.forwards(packet))
    {
        return reason;
    }
    found.clear();
    let search = Search { frame, tables, packet, config };
    if config.rules != 0 {
        search.packet(found);
    }
    let followed = if F::FOLLOWED && flow::is_followed(&search) {
        flow::follow(&search, found)
    } else {
        Followed::Beside
    };
    if !found.any() && !matches!(followed, Followed::Stopped(_)) {
        return Reason::Clean;
    }
    // The policy guards what this host takes in (INPUT), not what it passes on.
    if tables.forwards(packet) {
        return Reason::Forwarded;
    }
    if let Followed::Stopped(reason) = followed {
        return reason;
    }
    let reason = walk(tables, judgement, config, found);
    if followed == Followed::WentOn && reason == Reason::Signature {
        flow::end(&Search { frame, tables, packet: &judgement.packet, config });
    }
    reason
}

/// What a special ban says of a packet of its source, to a guarded port or another; `None` if it is over or not for that port.
#[inline(always)]
fn special<F: ?Sized, T: Tables<F>>(tables: &T, ban: &mut Ban, guarded: bool) -> Option<Reason> {
    let now = tables.now();
    if ban.until <= now || !(guarded || ban.all_ports != 0) {
        return None;
    }
    if ban.trickle.cost == 0 {
        return Some(Reason::Banned);
    }
    (!limit::trickle(&mut ban.filled, ban.trickle, now)).then_some(Reason::LimitedSource)
}

/// Whether the policy inspects the packet's destination port.
#[inline(always)]
fn is_guarded<F: ?Sized, T: Tables<F>>(tables: &T, packet: &Packet, config: &Config) -> bool {
    if config.flags & ALL_PROTOCOLS != 0 {
        return true;
    }
    let (index, all) = match packet.protocol {
        UDP => (0, ALL_UDP_PORTS),
        TCP => (1, ALL_TCP_PORTS),
        _ => return false,
    };
    config.flags & all != 0 || tables.guards(index, packet.destination_port)
}

/// The rules in their order, for a packet in which something was found. Not inlined, like everything that only few packets
/// come to: its stack in the kernel is then its own.
#[inline(never)]
fn walk<F: ?Sized, T: Tables<F>>(
    tables: &T,
    judgement: &mut Judgement,
    config: &Config,
    found: &Found,
) -> Reason {
    let mut reason = Reason::Clean;
    // Without this, the kernel drops a body that is never run, but not the call that names it, and refuses the program.
    if config.rules == 0 {
        return reason;
    }
    let patterns = tables.interface_patterns();
    tables.repeat(config.rules.min(MAX_RULES), |index| {
        let Some(rule) = tables.rule(index) else { return false };
        // The length that counts is that of the whole datagram.
        if rule.checks & check::LENGTH != 0 && judgement.packet.fragment != Fragment::Whole {
            reason = Reason::Exempt;
            return false;
        }
        if !applies(rule, &judgement.packet, patterns, found) {
            return true;
        }
        if rule.checks & check::SIGNATURE != 0 {
            judgement.signature = judgement.signature.min(found.of(rule.group));
        }
        if rule.action == action::NOTE {
            judgement.notes |= 1 << (rule.note & (MAX_NOTES as u32 - 1));
            return true;
        }
        reason = if rule.action == action::DROP { Reason::Signature } else { Reason::Exempt };
        judgement.rule = index as u16;
        false
    });
    reason
}

/// Whether all conditions of `rule` hold.
#[inline(always)]
fn applies(rule: &Rule, packet: &Packet, patterns: u64, found: &Found) -> bool {
    let family = match packet.family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    };
    let holds =
        |bit: u32, condition: bool| rule.checks & bit == 0 || (condition != (rule.negated & bit != 0));
    let [source_low, source_high] = rule.source_ports;
    let [destination_low, destination_high] = rule.destination_ports;
    let [length_low, length_high] = rule.length;
    rule.family == family
        && holds(check::PROTOCOL, packet.protocol == rule.protocol)
        && holds(check::SOURCE, rule.source.contains(&packet.source))
        && holds(check::DESTINATION, rule.destination.contains(&packet.destination))
        && holds(check::INTERFACE, patterns & rule.interfaces != 0)
        && holds(check::SOURCE_PORT, source_low <= packet.source_port && packet.source_port <= source_high)
        && holds(
            check::DESTINATION_PORT,
            destination_low <= packet.destination_port && packet.destination_port <= destination_high,
        )
        && holds(check::TCP_FLAGS, packet.tcp_flags & rule.tcp_mask == rule.tcp_set)
        && holds(check::LENGTH, length_low <= packet.length && packet.length <= length_high)
        && holds(check::SIGNATURE, found.of(rule.group) != NONE)
}
