//! What memory is asked for before it is needed. With a million sources hardly a lookup finds its row in the processor's cache, and
//! the waits of one message together would be a third of its time; so each is announced as soon as its key is known.

use sip::{Message, Method};

use super::Engine;
use super::packets::Talk;
use crate::command::Source as Address;
use crate::proof::{Key, Token};
use crate::transaction;

impl Engine {
    /// A message is about to be interpreted; before that, [`Engine::expect`].
    pub(super) fn expect_source(&self, talk: &Talk) {
        self.sources.expect_row(Address::of(talk.peer.ip()).number());
    }

    /// A message belongs to a transaction, and may hold what we sent, or send what may come back. To be asked as soon as
    /// [`Message::begin`] is done.
    pub(super) fn expect_keys(&self, message: &Message<'_>, talk: &Talk) -> Keys {
        let (salt, address) = (self.salt, talk.peer.ip());
        let is_request = message.status().is_none();
        let nonce = if is_request {
            message.credentials.as_ref().and_then(|credentials| credentials.nonce)
        } else {
            message.challenge.as_ref().and_then(|challenge| challenge.nonce)
        };
        let nonce = nonce.and_then(|nonce| Token::Nonce(nonce).key(address, salt));
        self.tokens.expect(nonce);
        let call = message.call_id.map_or(0, |call_id| salt.of(&[call_id]));
        let transaction = transaction::key(message, call, talk.peer, salt);
        self.transactions.expect(transaction);
        let tag = message.to.as_ref().and_then(|to| to.tag);
        let tag = tag.filter(|_| is_request || may_begin_dialog(message.method()));
        let tag = tag.and_then(|tag| Token::Tag(tag).key(address, salt));
        self.tokens.expect(tag);
        Keys { transaction, call, nonce, tag }
    }
}

/// What is looked up of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) transaction: u64,
    /// Hash of the Call-ID; 0 without one.
    pub(super) call: u64,
    /// [`Token::Nonce`] of a request's first credentials, of whatever scheme, or of an answer's first challenge.
    pub(super) nonce: Option<Key>,
    /// [`Token::Tag`] of To; of an answer only if the tag may come back.
    pub(super) tag: Option<Key>,
}

/// Whether the tag of an answer to a request of that method (of CSeq) may come back: within the dialog that it begins, or in the ACK
/// for a refusal. With these methods there is neither; where they are sent within a dialog, what began it has told the tag. A table
/// of tokens holds so many only.
fn may_begin_dialog(method: Method) -> bool {
    !matches!(method, Method::Register | Method::Options | Method::Publish | Method::Message)
}
