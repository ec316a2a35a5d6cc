//! Requests and their answers (RFC 3261 section 17.1.3 and 17.2.3; for peers older than the magic cookie, RFC 2543's rule).

use std::net::SocketAddr;

use sip::{Message, Method};

use crate::command::Source;
use crate::detectors::Kind;
use crate::hash::Salt;
use crate::table::{Fill, Sets};
use crate::time::Tick;

/// What is remembered of a request until its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transaction {
    /// Of everything that a retransmission repeats.
    pub(crate) fingerprint: u64,
    pub(crate) call: u64,
    /// The account or number that was asked for; 0 for none.
    pub(crate) target: u64,
    /// Whose credentials it carries; without any, the target.
    pub(crate) account: u64,
    pub(crate) method: Method,
    pub(crate) has_credentials: bool,
    /// With a nonce that was sent to this very address.
    pub(crate) answers_challenge: bool,
    /// It registers, or answers a challenge that was not one to a registration.
    pub(crate) earns_credit: bool,
    /// A call whose caller is a telephone number, or withheld: so come those of a carrier.
    pub(crate) is_from_network: bool,
    /// Credentials with a nonce that nobody gave it, for the first time.
    pub(crate) is_late: bool,
    pub(crate) is_proof: bool,
    pub(crate) is_initial: bool,
    pub(crate) is_answered: bool,
    /// Its sender is known to have received our answer.
    pub(crate) is_acknowledged: bool,
    /// Its body offers SRTP.
    pub(crate) offers_srtp: bool,
    /// Only a copy of it was seen so far, not the request itself on the wire.
    pub(crate) is_copy: bool,
    /// Points that count for certain once an ACK proves the sender.
    pub(crate) pending: f32,
    pub(crate) pending_kind: Option<Kind>,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            fingerprint: 0,
            call: 0,
            target: 0,
            account: 0,
            method: Method::Other,
            has_credentials: false,
            answers_challenge: false,
            earns_credit: false,
            is_from_network: false,
            is_late: false,
            is_proof: false,
            is_initial: false,
            is_answered: false,
            is_acknowledged: false,
            offers_srtp: false,
            is_copy: false,
            pending: 0.0,
            pending_kind: None,
        }
    }
}

/// Open transactions. Those that a forger cannot begin have a table of their own, which no flood of others touches.
#[derive(Debug)]
pub(crate) struct Transactions {
    proven: Sets<Transaction>,
    others: Sets<Transaction>,
}

const PROVEN: usize = 1 << 14;
const OTHERS: usize = 1 << 16;
/// Timer H and the longest INVITE that anyone waits for, in seconds.
const LIFETIME: Tick = Tick::seconds(180);

impl Transactions {
    /// 16,384 of proven senders and 65,536 others; the oldest of a set of 4 makes room.
    pub(crate) fn new() -> Self {
        Self { proven: Sets::new(PROVEN), others: Sets::new(OTHERS) }
    }

    pub(crate) fn fill(&self) -> [Fill; 2] {
        [self.proven.fill("transactions-proven"), self.others.fill("transactions")]
    }

    /// That transaction will be asked for in a moment: see [`Sets::expect`].
    pub(crate) fn expect(&self, key: u64) {
        self.proven.expect(key);
        self.others.expect(key);
    }

    /// A transaction of that key will be begun.
    pub(crate) fn expect_new(&self, key: u64, is_proof: bool) {
        let table = if is_proof { &self.proven } else { &self.others };
        table.expect_row(key);
    }

    /// Remembers a request, unless one of the same key and fingerprint is there already; tells whether it is. What `new` makes has that
    /// fingerprint and `is_proof`, and is made where it is kept: a copy of what was just written waits until memory has it.
    #[inline]
    pub(crate) fn begin(
        &mut self,
        key: u64,
        (fingerprint, is_proof): (u64, bool),
        now: Tick,
        new: impl FnOnce() -> Transaction,
    ) -> bool {
        let table = if is_proof { &mut self.proven } else { &mut self.others };
        let (known, is_known) = table.place(key, now, LIFETIME);
        let is_repeated = is_known && known.fingerprint == fingerprint;
        if !is_repeated {
            *known = new();
        }
        is_repeated
    }

    /// Whether a request that is known is the same one seen from elsewhere, not a retransmission.
    pub(crate) fn is_other_view(&mut self, key: u64, is_copy: bool, now: Tick) -> bool {
        let Some(known) = self.find(key, now) else { return false };
        is_copy || std::mem::take(&mut known.is_copy)
    }

    pub(crate) fn find(&mut self, key: u64, now: Tick) -> Option<&mut Transaction> {
        match self.proven.get_mut(key, now, LIFETIME) {
            Some(found) => Some(found),
            None => self.others.get_mut(key, now, LIFETIME),
        }
    }
}

/// The key of the transaction that a message of or to `peer` belongs to. An ACK has that of its INVITE, as a CANCEL has
/// not: it is a transaction of its own. `call`: the hash of its Call-ID.
pub(crate) fn key(message: &Message<'_>, call: u64, peer: SocketAddr, salt: Salt) -> u64 {
    let method = match (message.method(), message.cseq) {
        (Method::Ack, _) => b"INVITE".as_slice(),
        (_, Some(cseq)) => cseq.name,
        (method, None) => method.as_str().as_bytes(),
    };
    let source = Source::of(peer.ip()).number().to_le_bytes();
    let call = call.to_le_bytes();
    let branch = message.via.as_ref().and_then(|via| via.branch).unwrap_or_default();
    if branch.starts_with(sip::via::COOKIE) {
        return salt.of(&[&source, method, branch, &call]);
    }
    let number = message.cseq.map_or(0, |cseq| cseq.number).to_le_bytes();
    // Without a branch that is unique, Call-ID, CSeq and From tag are the transaction.
    let tag = message.from.as_ref().and_then(|from| from.tag).unwrap_or_default();
    salt.of(&[&source, method, branch, &call, &number, tag])
}

/// Of everything that a retransmission repeats to the byte. `call`: the hash of its Call-ID.
pub(crate) fn fingerprint(message: &Message<'_>, call: u64, salt: Salt) -> u64 {
    let number = message.cseq.map_or(0, |cseq| cseq.number).to_le_bytes();
    let response = message.credentials.as_ref().and_then(|credentials| credentials.response);
    let to = message.to.as_ref().map(|to| to.raw_uri);
    let tag = message.from.as_ref().and_then(|from| from.tag);
    salt.of(&[
        &call.to_le_bytes(),
        &number,
        message.raw_uri().unwrap_or_default(),
        to.unwrap_or_default(),
        tag.unwrap_or_default(),
        response.unwrap_or_default(),
    ])
}

#[cfg(test)]
mod tests {
    use sip::{Carrier, View};

    use super::*;

    #[test]
    fn the_same_again_is_a_retransmission_for_a_while() {
        for is_proof in [false, true] {
            let mut transactions = Transactions::new();
            let mut begin = |fingerprint, now| {
                let new = || Transaction { fingerprint, ..Transaction::default() };
                transactions.begin(7, (fingerprint, is_proof), now, new)
            };
            assert!(!begin(1, Tick(10)));
            assert!(begin(1, Tick(20)));
            assert!(!begin(2, Tick(20)), "what a retransmission does not repeat is none");
            assert!(begin(2, Tick(20).plus(LIFETIME)));
            assert!(!begin(2, Tick(21).plus(LIFETIME).plus(LIFETIME)), "it was forgotten");
        }
    }

    /// Key and fingerprint of a request, or of the answer to one.
    fn told(text: &str) -> (u64, u64) {
        let view = View::parse(text.as_bytes(), Carrier::Datagram).unwrap();
        let (message, salt) = (Message::read(&view), Salt::new(3));
        let call = message.call_id.map_or(0, |call_id| salt.of(&[call_id]));
        let peer = "192.0.2.1:5060".parse().unwrap();
        (key(&message, call, peer, salt), fingerprint(&message, call, salt))
    }

    const INVITE: &str = "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKa\r\nFrom: <sip:2@h>;tag=f\r\n\
        To: <sip:3@h>\r\nCall-ID: c\r\nCSeq: 5 INVITE\r\nAuthorization: Digest nonce=\"n\", response=\"r\"\r\n\r\n";

    #[test]
    fn what_makes_a_transaction() {
        for (branch, parts) in [("z9hG4bKa", 2), ("a", 4)] {
            let invite = INVITE.replace("z9hG4bKa", branch);
            let with = |from: &str, to: &str| told(&invite.replace(from, to)).0;
            let same = told(&invite).0;
            assert_eq!(with("INVITE sip:1@h SIP/2.0", "SIP/2.0 200 OK"), same);
            assert_eq!(with("INVITE", "ACK"), same);
            assert_ne!(with("INVITE", "CANCEL"), same);
            assert_ne!(with("INVITE", "BYE"), same);
            let changes = [
                ("branch=", "branch=z9hG4bKb"),
                ("Call-ID: c", "Call-ID: d"),
                ("CSeq: 5", "CSeq: 6"),
                ("tag=f", "tag=g"),
            ];
            for (index, (from, to)) in changes.into_iter().enumerate() {
                assert_eq!(with(from, to) != same, index < parts, "{branch}: {to}");
            }
        }
    }

    #[test]
    fn what_a_retransmission_repeats() {
        let same = told(INVITE).1;
        for (from, to) in [
            ("sip:1@h", "sip:9@h"),
            ("tag=f", "tag=g"),
            ("sip:3@h", "sip:9@h"),
            ("Call-ID: c", "Call-ID: d"),
            ("CSeq: 5", "CSeq: 6"),
            ("response=\"r\"", "response=\"s\""),
        ] {
            assert_ne!(told(&INVITE.replace(from, to)).1, same, "{to}");
        }
        assert_eq!(told(&INVITE.replace("branch=z9hG4bKa", "branch=z9hG4bKa;received=1.1.1.1")).1, same);
    }

    #[test]
    fn nothing_is_left_of_what_was_begun_before() {
        let mut transactions = Transactions::new();
        transactions
            .begin(7, (1, false), Tick(10), || Transaction { fingerprint: 1, ..Transaction::default() });
        transactions.find(7, Tick(10)).unwrap().is_answered = true;
        transactions
            .begin(7, (2, false), Tick(11), || Transaction { fingerprint: 2, ..Transaction::default() });
        assert!(!transactions.find(7, Tick(11)).unwrap().is_answered);
    }
}
