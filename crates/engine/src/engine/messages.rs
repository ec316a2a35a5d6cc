//! From messages to findings.

use sip::{HeaderName, Message, Method, View};

use super::Engine;
use super::echoes::Dialog;
use super::expect::Keys;
use super::packets::Talk;
use crate::caller::is_from_network;
use crate::command::{Class, Command, Source as Address};
use crate::detectors::Request;
use crate::observation::Fate;
use crate::privacy::{self, Accepted};
use crate::proof::Token;
use crate::time::Tick;
use crate::transaction::{self, Transaction};

impl Engine {
    /// A request from a peer.
    pub(super) fn request(
        &mut self,
        view: &View<'_>,
        message: &Message<'_>,
        keys: &Keys,
        talk: &Talk,
        now: Tick,
    ) {
        let salt = self.salt;
        let address = Address::of(talk.peer.ip());
        let trusted = self.is_trusted(talk.peer.ip());
        let method = message.method();
        let target = target(message, method);
        let hash = |text: Option<&[u8]>| text.map_or(0, |text| salt.of(&[text]));
        let target_hash = hash(target);
        let Keys { transaction: key, call, .. } = *keys;
        // Before it is known which credentials count: nearly always the first do, and meanwhile memory answers.
        let mut fingerprint = transaction::fingerprint(message, call, salt);
        // Who has credentials was most likely asked for them.
        self.transactions.expect_new(key, message.credentials.is_some());
        let (others, echoes_nonce) = self.credentials(view, message, keys, talk, now);
        let with_others;
        let message = if others.is_some() {
            with_others = Message { credentials: others, ..*message };
            fingerprint = transaction::fingerprint(&with_others, call, salt);
            &with_others
        } else {
            message
        };
        let dialog = self.echoes_tag(message, keys, talk, now);
        let is_proof = talk.is_established || echoes_nonce || dialog == Dialog::Ours;
        let credentials = message.credentials.filter(|credentials| credentials.is_digest);
        let username = credentials.and_then(|credentials| credentials.username);
        let is_initial = message.to.as_ref().is_none_or(|to| to.tag.is_none());
        let account = if username.is_some() { hash(username) } else { target_hash };
        let answers_challenge = credentials.is_some() && echoes_nonce;
        let earns_credit = credentials
            .is_some_and(|credentials| self.earns_credit(method, caller(message), &credentials, talk, now));
        let is_from_network = method == Method::Invite && is_initial && is_from_network(caller(message));
        // Of strangers nobody asks.
        let offers_srtp = method == Method::Invite
            && (is_proof || credentials.is_some())
            && privacy::offers_srtp(message.body);
        if method == Method::Ack {
            return self.acknowledged(key, is_proof, talk, now);
        }
        let is_repeated = self.transactions.begin(key, (fingerprint, is_proof), now, || Transaction {
            fingerprint,
            call,
            target: target_hash,
            account,
            method,
            has_credentials: credentials.is_some(),
            answers_challenge,
            earns_credit,
            is_from_network,
            is_proof,
            is_initial,
            is_copy: talk.is_copy,
            offers_srtp,
            ..Transaction::default()
        });
        if is_repeated && self.transactions.is_other_view(key, talk.is_copy, now) {
            return;
        }
        let accounts_on_connection = self.accounts_on_connection(talk, target_hash);
        let source = self.sources.entry(address.number());
        source.last = now;
        source.proven |= is_proof;
        if talk.connection.is_none() && !talk.is_copy {
            source.datagram = now;
        }
        if source.is_banned(now) && self.rules.enforce {
            return;
        }
        let class = source.class(now, trusted);
        if answers_challenge && self.rules.lift(source, now) {
            let time = self.now;
            self.commands.push_back(Command::Unlimit { time, source: address });
        }
        let scene = talk.scene(class, now, salt);
        let findings = &mut self.findings;
        if is_repeated {
            if let Some(flood) = &self.detectors.flood {
                flood.count(&scene, method, talk.is_established, source, findings);
            }
        } else {
            let request = Request {
                view,
                message,
                method,
                target,
                target_hash,
                answers_challenge,
                is_from_network,
                is_dropped: talk.fate == Fate::Refused,
                is_proof,
                is_initial,
                is_in_dialog: dialog != Dialog::None,
                accounts_on_connection,
                call,
                earns_credit,
            };
            if talk.fate == Fate::Signature
                && let Some(detector) = &self.detectors.tool_fingerprint
            {
                detector.signature(is_proof, source, findings);
            }
            self.detectors.request(&scene, &request, source, findings);
            if talk.fate == Fate::Signature && !is_proof {
                // The policy drops every such packet by itself; a limit would only change the name of the reason.
                findings.0.iter_mut().for_each(|finding| finding.points = 0.0);
            }
        }
        self.keep_pending(key, now);
        self.decide(&scene, talk.frame);
    }

    /// What was not proven may be when the sender acknowledges our answer.
    fn keep_pending(&mut self, key: u64, now: Tick) {
        let unproven = self.findings.0.iter().filter(|finding| finding.awaits_proof && finding.points > 0.0);
        let (points, kind) =
            unproven.fold((0.0, None), |(sum, _), finding| (sum + finding.points, Some(finding.kind)));
        if let (Some(kind), Some(transaction)) = (kind, self.transactions.find(key, now)) {
            transaction.pending += points;
            transaction.pending_kind = Some(kind);
        }
    }

    /// An ACK: with our tag in it, it proves who sent the INVITE.
    fn acknowledged(&mut self, key: u64, is_proof: bool, talk: &Talk, now: Tick) {
        let address = Address::of(talk.peer.ip());
        let trusted = self.is_trusted(talk.peer.ip());
        let source = self.sources.entry(address.number());
        source.last = now;
        source.proven |= is_proof;
        if source.is_banned(now) && self.rules.enforce {
            return;
        }
        let scene = talk.scene(source.class(now, trusted), now, self.salt);
        if let Some(flood) = &self.detectors.flood {
            flood.count(&scene, Method::Ack, talk.is_established, source, &mut self.findings);
        }
        let acknowledged =
            self.transactions.find(key, now).filter(|one| is_proof && one.method == Method::Invite);
        let pending = acknowledged.and_then(|transaction| {
            // Once, however often it comes.
            if !std::mem::replace(&mut transaction.is_acknowledged, true) && !transaction.has_credentials {
                source.toll.acknowledge();
            }
            let points = std::mem::take(&mut transaction.pending);
            transaction.pending_kind.take().filter(|_| points > 0.0).map(|kind| (kind, points))
        });
        if let Some((kind, points)) = pending {
            self.proven_late(kind, points, talk, now, trusted);
        }
        self.decide(&scene, talk.frame);
        if !is_proof {
            return;
        }
        self.tell_class(address, trusted, now);
    }

    /// How many accounts were asked for on a TCP connection, by one who has received a challenge of ours on it.
    fn accounts_on_connection(&mut self, talk: &Talk, target: u64) -> u32 {
        let Some(connection) = talk.connection.and_then(|key| self.connections.get(key)) else { return 0 };
        if target != 0 {
            connection.accounts.insert(target);
        }
        let has_received = |challenge: u32| talk.received.wrapping_sub(challenge) < 1 << 31;
        if connection.challenged.is_some_and(has_received) { connection.accounts.count() } else { 0 }
    }

    /// A response from a peer.
    pub(super) fn response(&mut self, message: &Message<'_>, talk: &Talk, now: Tick) {
        let branch = message.via.as_ref().and_then(|via| via.branch);
        let proves = |branch| self.tokens.proves(Token::Branch(branch).key(talk.peer.ip(), self.salt), now);
        let is_asked = branch.is_some_and(proves);
        let is_proof = talk.is_established || is_asked;
        let trusted = self.is_trusted(talk.peer.ip());
        // A response that answers nothing makes no row for an address that may be forged, unless there is something to tell.
        let address = Address::of(talk.peer.ip());
        if !is_proof && !message.anomalies.is_malformed() {
            return;
        }
        if is_proof && message.status().is_some_and(|status| (200..300).contains(&status)) {
            self.accepted_by_peer(message, talk);
        }
        let source = self.sources.entry(address.number());
        source.last = now;
        source.proven |= is_proof;
        let scene = talk.scene(source.class(now, trusted), now, self.salt);
        if let Some(detector) = &self.detectors.malformed {
            // Whom we ask is no stranger.
            let class = if is_asked { scene.class.max(Class::Credited) } else { scene.class };
            let status = message.status().unwrap_or(0);
            let what = || if status == 0 { "response".to_owned() } else { format!("{status} response") };
            detector.message(message.anomalies, what, (class, is_proof), source, &mut self.findings);
        }
        self.decide(&scene, talk.frame);
        self.tell_class(address, trusted, now);
    }

    /// A peer accepted what we asked for.
    fn accepted_by_peer(&mut self, message: &Message<'_>, talk: &Talk) {
        let Some(cseq) = message.cseq else { return };
        let number = cseq.number.to_le_bytes();
        let number = if cseq.method == Method::Register { number.as_slice() } else { &[] };
        let what = Accepted {
            peer: talk.peer.ip(),
            answer: message,
            method: cseq.method,
            // What is asked within a call has the call's identifier, which is counted once.
            is_initial: true,
            is_encrypted: talk.is_copy
                && talk.peer.port() != sip::PORT
                && !self.privacy.is_clear(talk.local.port()),
            offered_srtp: privacy::offers_srtp(message.body),
            once: self.salt.of(&[message.call_id.unwrap_or_default(), number]).max(1),
        };
        self.privacy.accept(&what);
    }

    /// A request of ours: its branch comes back from the real owner of the address only.
    pub(super) fn our_request(&mut self, view: &View<'_>, message: &Message<'_>, talk: &Talk, now: Tick) {
        if let Some(branch) = message.via.as_ref().and_then(|via| via.branch) {
            self.tokens.send(Token::Branch(branch).key(talk.peer.ip(), self.salt), now);
        }
        if let Some(tag) = message.from.as_ref().and_then(|from| from.tag) {
            // Who passes a request on adds a Via before those that are there (RFC 3261 section 16.6).
            let is_relayed = view
                .all(HeaderName::Via)
                .take(2)
                .map(|via| 1 + usize::from(via.contains(&b',')))
                .sum::<usize>()
                > 1;
            let token = if is_relayed { Token::Relayed(tag) } else { Token::Tag(tag) };
            self.tokens.send(token.key(talk.peer.ip(), self.salt), now);
        }
    }
}

/// Who calls, by From.
pub(super) fn caller<'a>(message: &Message<'a>) -> &'a [u8] {
    message.from.as_ref().and_then(|from| from.account()).unwrap_or_default()
}

/// The user that a request is about: in REGISTER the one in To. OPTIONS without a user ask for the server itself, with which
/// phones keep their way to it open.
fn target<'a>(message: &Message<'a>, method: Method) -> Option<&'a [u8]> {
    let to = message.to.as_ref().and_then(|to| to.account());
    let asked = message.uri.and_then(|uri| uri.account());
    let target = if method == Method::Register {
        to
    } else if method == Method::Options {
        asked
    } else {
        asked.or(to)
    };
    target.filter(|target| !target.is_empty())
}
