//! What a request holds that only the owner of its address can know.

use sip::{Anomalies, Credentials, HeaderName, Message, Method, View};

use super::Engine;
use super::expect::Keys;
use super::packets::Talk;
use crate::proof::Token;
use crate::time::Tick;

/// What the tag in To says about who sent a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialog {
    /// Nothing.
    None,
    /// We passed on a request with it to this address, but somebody else made it up.
    Relayed,
    /// We sent it to this address, and to nobody else.
    Ours,
}

impl Engine {
    /// The credentials that the PBX will look at, where those are not the first ones, and whether they hold a nonce that we sent
    /// to their address. There may be several, for several proxies, or to hide the ones that count.
    pub(super) fn credentials<'a>(
        &self,
        view: &View<'a>,
        message: &Message<'a>,
        keys: &Keys,
        talk: &Talk,
        now: Tick,
    ) -> (Option<Credentials<'a>>, bool) {
        let Some(first) = message.credentials.as_ref() else { return (None, false) };
        if first.is_digest && self.tokens.proves(keys.nonce, now) {
            return (None, true);
        }
        let proves = |credentials: &Credentials<'_>| {
            let nonce = credentials.nonce.filter(|_| credentials.is_digest);
            let key = nonce.and_then(|nonce| Token::Nonce(nonce).key(talk.peer.ip(), self.salt));
            self.tokens.proves(key, now)
        };
        let values = view.all(HeaderName::Authorization).chain(view.all(HeaderName::ProxyAuthorization));
        let mut other = None;
        for value in values.skip(1) {
            let next = Credentials::parse(value, &mut Anomalies::default());
            if proves(&next) {
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
        caller: &[u8],
        credentials: &Credentials<'_>,
        talk: &Talk,
        now: Tick,
    ) -> bool {
        let proves = |nonce| {
            let token = Token::CallNonce { nonce, caller };
            self.tokens.proves(token.key(talk.peer.ip(), self.salt), now)
        };
        method == Method::Register || credentials.nonce.is_some_and(proves)
    }

    /// How a request belongs to a dialog of which its address knows. A tag that it cannot have from us is remembered as its own.
    pub(super) fn echoes_tag(
        &mut self,
        message: &Message<'_>,
        keys: &Keys,
        talk: &Talk,
        now: Tick,
    ) -> Dialog {
        let Some(tag) = message.to.as_ref().and_then(|to| to.tag) else { return Dialog::None };
        let key = |token: Token<'_>| token.key(talk.peer.ip(), self.salt);
        if self.tokens.proves(keys.tag, now) {
            Dialog::Ours
        } else if self.tokens.proves(key(Token::Relayed(tag)), now) {
            Dialog::Relayed
        } else {
            self.tokens.send(key(Token::Claimed(tag)), now);
            Dialog::None
        }
    }
}
