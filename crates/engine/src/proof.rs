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

    /// That token will be asked for in a moment.
    pub(crate) fn expect(&self, token: Token<'_>, peer: IpAddr, salt: Salt) {
        if let Some(key) = key(token, peer, salt) {
            self.sent.expect(key);
        }
    }

    pub(crate) fn send(&mut self, token: Token<'_>, to: IpAddr, now: Tick, salt: Salt) {
        if let Some(key) = key(token, to, salt) {
            self.sent.insert(key, now, ());
        }
    }

    /// Whether `token` was sent to `from`.
    pub(crate) fn proves(&self, token: Token<'_>, from: IpAddr, now: Tick, salt: Salt) -> bool {
        key(token, from, salt).is_some_and(|key| self.sent.get(key, now, LIFETIME).is_some())
    }
}

fn key(token: Token<'_>, address: IpAddr, salt: Salt) -> Option<u64> {
    // A token that can be guessed proves nothing.
    const SHORTEST: usize = 6;
    let (kind, text, caller): (&[u8], &[u8], &[u8]) = match token {
        Token::Branch(text) => (b"b", text, b""),
        Token::Nonce(text) => (b"n", text, b""),
        Token::CallNonce { nonce, caller } => (b"c", nonce, caller),
        Token::Tag(text) => (b"t", text, b""),
        Token::Claimed(text) => (b"s", text, b""),
        Token::Relayed(text) => (b"r", text, b""),
    };
    (text.len() >= SHORTEST)
        .then(|| salt.of(&[kind, text, caller, &Source::of(address).number().to_le_bytes()]))
}
