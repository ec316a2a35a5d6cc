//! What we sent to an address and only its owner can know: nonces, To tags, branches.

use std::net::IpAddr;

use crate::command::Source;
use crate::hash::Salt;
use crate::table::{Fill, Sets};
use crate::time::Tick;

/// Tokens that were sent out.
#[derive(Debug)]
pub(crate) struct Tokens {
    sent: Sets<()>,
}

/// What a token is; equal texts of two kinds are two tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token<'a> {
    /// Of our request, echoed in the answer's Via.
    Branch(&'a [u8]),
    /// Of our challenge, echoed in credentials.
    Nonce(&'a [u8]),
    /// The same, of a challenge to anything but a registration, by whom it was asked.
    CallNonce { nonce: &'a [u8], caller: &'a [u8] },
    /// Ours of a dialog, echoed in ACK, BYE and all that follows.
    Tag(&'a [u8]),
    /// In the place of ours, what a peer wrote itself: the answer repeats it (RFC 3261 section 8.2.6.2), which proves nothing.
    Claimed(&'a [u8]),
    /// The From tag of a request that we only passed on: somebody else made it up, and may know of it without receiving it.
    Relayed(&'a [u8]),
}

const LIMIT: usize = 1 << 18;
/// A phone may use a nonce for as long as its registration lasts.
const LIFETIME: Tick = Tick::seconds(24 * 3600);

impl Tokens {
    /// 262,144 tokens, 6 MB; the oldest of a set of 4 makes room: at 100,000 answers a second, one is kept for two seconds.
    pub(crate) fn new() -> Self {
        Self { sent: Sets::new(LIMIT) }
    }

    pub(crate) fn fill(&self) -> Fill {
        self.sent.fill("tokens")
    }

    /// The token will be asked for in a moment.
    pub(crate) fn expect(&self, key: Option<Key>) {
        if let Some(Key(key)) = key {
            self.sent.expect(key);
        }
    }

    pub(crate) fn send(&mut self, key: Option<Key>, now: Tick) {
        if let Some(Key(key)) = key {
            self.sent.insert(key, now, ());
        }
    }

    /// Whether the token was sent to the address.
    pub(crate) fn proves(&self, key: Option<Key>, now: Tick) -> bool {
        key.is_some_and(|Key(key)| self.sent.get(key, now, LIFETIME).is_some())
    }
}

/// A token and the address that it was sent to, or came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key(u64);

impl Token<'_> {
    /// `None` for a token that can be guessed: it proves nothing.
    pub(crate) fn key(self, address: IpAddr, salt: Salt) -> Option<Key> {
        const SHORTEST: usize = 6;
        let (kind, text, caller): (&[u8], &[u8], &[u8]) = match self {
            Token::Branch(text) => (b"b", text, b""),
            Token::Nonce(text) => (b"n", text, b""),
            Token::CallNonce { nonce, caller } => (b"c", nonce, caller),
            Token::Tag(text) => (b"t", text, b""),
            Token::Claimed(text) => (b"s", text, b""),
            Token::Relayed(text) => (b"r", text, b""),
        };
        (text.len() >= SHORTEST)
            .then(|| Key(salt.of(&[kind, text, caller, &Source::of(address).number().to_le_bytes()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_proves_its_kind_at_its_address() {
        let (mut tokens, salt) = (Tokens::new(), Salt::new(1));
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        tokens.send(Token::Nonce(b"123456").key(here, salt), Tick(1));
        let proves = |token: Token<'_>, address, now| tokens.proves(token.key(address, salt), now);
        assert!(proves(Token::Nonce(b"123456"), here, Tick(1).plus(LIFETIME)));
        assert!(!proves(Token::Nonce(b"123456"), here, Tick(2).plus(LIFETIME)));
        assert!(!proves(Token::Nonce(b"123456"), there, Tick(1)));
        for other in [
            Token::Branch(b"123456"),
            Token::Tag(b"123456"),
            Token::CallNonce { nonce: b"123456", caller: b"" },
        ] {
            assert!(!proves(other, here, Tick(1)), "{other:?}");
        }
        // Whoever tries all of them finds one.
        assert!(Token::Tag(b"12345").key(here, salt).is_none());
    }
}
