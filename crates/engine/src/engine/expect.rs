//! What memory is asked for before it is needed. With a million sources hardly a lookup finds its row in the processor's cache, and
//! waits for about as long as half of a message takes to read; so each is announced as soon as its key is known.

use sip::Message;

use super::Engine;
use super::answers::may_begin_dialog;
use super::packets::Talk;
use crate::command::Source as Address;
use crate::proof::Token;
use crate::transaction;

impl Engine {
    /// A message of or to that peer is about to be read.
    pub(super) fn expect_message(&self, talk: &Talk) {
        self.sources.expect(Address::of(talk.peer.ip()).number());
    }

    /// It is one, and is about to be interpreted.
    pub(super) fn expect_source(&self, talk: &Talk) {
        self.sources.expect_row(Address::of(talk.peer.ip()).number());
    }

    /// A message belongs to a transaction, of which this is the key, and may hold what we sent, or send what comes back.
    pub(super) fn expect_transaction(&self, message: &Message<'_>, talk: &Talk) -> u64 {
        let nonce = message.credentials.map_or_else(
            || message.challenge.and_then(|challenge| challenge.nonce),
            |credentials| credentials.nonce,
        );
        let tag = message.to.as_ref().and_then(|to| to.tag).filter(|_| may_begin_dialog(message.method()));
        for token in [nonce.map(Token::Nonce), tag.map(Token::Tag)].into_iter().flatten() {
            self.tokens.expect(token, talk.peer.ip(), self.salt);
        }
        let key = transaction::key(message, talk.peer, self.salt);
        self.transactions.expect(key);
        key
    }
}
