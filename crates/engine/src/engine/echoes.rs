//! What a request holds that only the owner of its address can know.

use sip::{Anomalies, Credentials, HeaderName, Message, Method, View};

use super::Engine;
use super::packets::Talk;
use crate::proof::Token;
use crate::time::Tick;

/// The keys of what a request echoes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echoes {
    /// Of its first credentials.
    nonce: Option<u64>,
    /// Of the dialog in which we sent our tag.
    pub(super) tag: Option<u64>,
}

impl Engine {
    /// What a request holds that we may have sent to its address.
    pub(super) fn echoes(&self, message: &Message<'_>, talk: &Talk) -> Echoes {
        let tag = message.to.and_then(|to| to.tag);
        Echoes {
            nonce: message.credentials.and_then(|credentials| self.nonce(&credentials, talk)),
            tag: tag.and_then(|tag| self.tokens.key(Token::Tag(tag), talk.peer.ip(), self.salt)),
        }
    }

    fn nonce(&self, credentials: &Credentials<'_>, talk: &Talk) -> Option<u64> {
        let nonce = credentials.nonce.filter(|_| credentials.is_digest)?;
        self.tokens.key(Token::Nonce(nonce), talk.peer.ip(), self.salt)
    }

    /// The credentials that the PBX will look at, where those are not the first ones, and whether they hold a nonce that we sent
    /// to their address. There may be several, for several proxies, or to hide the ones that count.
    pub(super) fn credentials<'a>(
        &self,
        view: &View<'a>,
        message: &Message<'a>,
        echoes: Echoes,
        talk: &Talk,
        now: Tick,
    ) -> (Option<Credentials<'a>>, bool) {
        let Some(first) = message.credentials else { return (None, false) };
        if self.tokens.proves(echoes.nonce, now) {
            return (None, true);
        }
        let values = view.all(HeaderName::Authorization).chain(view.all(HeaderName::ProxyAuthorization));
        let mut other = None;
        for value in values.skip(1) {
            let next = Credentials::parse(value, &mut Anomalies::default());
            if self.tokens.proves(self.nonce(&next, talk), now) {
                return (Some(next), true);
            }
            if !first.is_digest && next.is_digest {
                other = other.or(Some(next));
            }
        }
        (other, false)
    }

    /// Whether a success shows that the password was right. With a nonce from before us a phone may register. But to a call that
    /// is open to guests anybody may add credentials, also such as answer the challenge to a registration.
    pub(super) fn earns_credit(
        &self,
        method: Method,
        credentials: &Credentials<'_>,
        talk: &Talk,
        now: Tick,
    ) -> bool {
        let proves = |nonce| {
            let key = self.tokens.key(Token::CallNonce(nonce), talk.peer.ip(), self.salt);
            self.tokens.proves(key, now)
        };
        method == Method::Register || credentials.nonce.is_some_and(proves)
    }
}
