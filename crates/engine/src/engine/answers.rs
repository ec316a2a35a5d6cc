//! From our answers to findings.

use sip::{Challenge, HeaderName, Message, Method, View};

use super::Engine;
use super::expect::Keys;
use super::messages::caller;
use super::packets::Talk;
use crate::command::{Class, Command, Source as Address};
use crate::detectors::Answer;
use crate::privacy::Accepted;
use crate::proof::Token;
use crate::source::KNOWN_CALLS;
use crate::time::Tick;

impl Engine {
    /// Our answer to a peer's request.
    pub(super) fn our_answer(
        &mut self,
        view: &View<'_>,
        message: &Message<'_>,
        (status, keys): (u16, &Keys),
        talk: &Talk,
        now: Tick,
    ) {
        let key = keys.transaction;
        if matches!(status, 401 | 407)
            && let Some(connection) = talk.connection.and_then(|key| self.connections.get(key))
        {
            connection.challenged.get_or_insert(talk.sent);
        }
        if status >= 200 {
            self.answered(message, (status, key), talk, now);
        } else if status >= 180 {
            self.rings(key, talk, now);
        }
        self.send_tokens(view, message, keys, talk, now);
    }

    /// What our answer holds that only the owner of the address can know.
    fn send_tokens(&mut self, view: &View<'_>, message: &Message<'_>, keys: &Keys, talk: &Talk, now: Tick) {
        let (address, salt) = (talk.peer.ip(), self.salt);
        let begins_call = message.method() != Method::Register;
        let caller = caller(message);
        self.tokens.send(keys.nonce, now);
        if let Some(nonce) = message.challenge.as_ref().and_then(|challenge| challenge.nonce)
            && begins_call
        {
            self.tokens.send(Token::CallNonce { nonce, caller }.key(address, salt), now);
        }
        // `message.challenge` is the first of all.
        let challenges = view.all(HeaderName::WwwAuthenticate).chain(view.all(HeaderName::ProxyAuthenticate));
        for nonce in challenges.skip(1).filter_map(|value| Challenge::parse(value).nonce) {
            self.tokens.send(Token::Nonce(nonce).key(address, salt), now);
            if begins_call {
                self.tokens.send(Token::CallNonce { nonce, caller }.key(address, salt), now);
            }
        }
        if keys.tag.is_some()
            && let Some(tag) = message.to.as_ref().and_then(|to| to.tag)
            && !self.tokens.proves(Token::Claimed(tag).key(address, salt), now)
        {
            self.tokens.send(keys.tag, now);
        }
    }

    /// Our final answer.
    fn answered(&mut self, message: &Message<'_>, (status, key): (u16, u64), talk: &Talk, now: Tick) {
        let trusted = self.is_trusted(talk.peer.ip());
        let Some(transaction) =
            self.transactions.find(key, now).filter(|transaction| !transaction.is_answered)
        else {
            return;
        };
        transaction.is_answered = true;
        if (200..300).contains(&status) {
            if !talk.is_copy {
                self.privacy.read_at(talk.local.port());
            }
            let what = Accepted {
                peer: talk.peer.ip(),
                answer: message,
                method: transaction.method,
                is_initial: transaction.is_initial,
                is_encrypted: talk.is_copy && !self.privacy.is_clear(talk.local.port()),
                offered_srtp: transaction.offers_srtp,
                once: 0,
            };
            self.privacy.accept(&what);
        }
        let address = Address::of(talk.peer.ip());
        // Of a source that is banned meanwhile this answers an earlier request: it is told, and counts no more.
        let source = self.sources.entry(address.number());
        source.last = now;
        let succeeds = (200..300).contains(&status)
            && transaction.earns_credit
            && matches!(
                transaction.method,
                Method::Register | Method::Invite | Method::Subscribe | Method::Publish
            );
        if succeeds {
            source.proven = true;
            source.credit_until = now.plus(self.rules.credit);
            source.succeeded.insert(transaction.account);
        }
        let takes = (200..300).contains(&status)
            && transaction.method == Method::Invite
            && !transaction.has_credentials
            && (source.proven || transaction.is_proof);
        if takes {
            source.accepted = source.accepted.saturating_add(1);
        }
        // A carrier has no credentials to lift its limit with.
        let is_carrier = takes && transaction.is_from_network && source.accepted <= KNOWN_CALLS;
        if (succeeds || is_carrier) && source.limited_until > now {
            source.limited_until = Tick(0);
            source.forgeable.clear();
            let time = self.now;
            self.commands.push_back(Command::Unlimit { time, source: address });
        }
        let scene = talk.scene(source.class(now, trusted), now, self.salt);
        let mut answer = Answer { message, status, request: transaction };
        self.detectors.answer(&scene, &mut answer, source, &mut self.findings);
        self.decide(&scene, talk.frame);
        if scene.class > Class::Unproven {
            self.tell_class(address, trusted, now);
        }
    }

    /// We let a call ring: it was taken, whatever becomes of it.
    fn rings(&mut self, key: u64, talk: &Talk, now: Tick) {
        let Some(call) = self.transactions.find(key, now).filter(|one| one.method == Method::Invite) else {
            return;
        };
        if let Some(source) = self.sources.get_mut(Address::of(talk.peer.ip()).number()) {
            source.enumeration.take(call.target);
        }
    }
}
