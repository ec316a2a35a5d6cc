//! What others saw: a log, by a filter that knows its service, or the PBX itself, which also sees what is encrypted.

use std::net::SocketAddr;
use std::time::Duration;

use crate::command::Scope;

/// One statement about one source.
#[derive(Clone, Copy, Debug)]
pub struct Testimony<'a> {
    /// Whom it is about; port 0 where nobody said.
    pub peer: SocketAddr,
    /// The address cannot be forged: whoever it is about made a connection, or answered a challenge with it.
    pub is_proof: bool,
    /// The nonce that the credentials answered: it proves the address if it was sent there.
    pub nonce: Option<&'a str>,
    /// The account, as the witness names it; empty where it does not.
    pub account: &'a str,
    pub fact: Fact<'a>,
}

/// What is stated.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// The PBX accepted credentials; over TLS, as far as it says so.
    Accepted { is_encrypted: bool },
    /// Somebody logged in to a service for administrators: nothing that SIP's detectors weigh.
    LoggedIn { is_encrypted: bool },
    /// The PBX refused to talk about it: an access list, a method or transport that is not allowed, a malformed request. `what`
    /// goes on after "the PBX refused", and `call` tells one try from the next.
    Denied { what: &'a str, call: &'a str },
    /// A filter found a failure in a log.
    Failure(Failure),
    /// The PBX refused credentials. `call` tells one try from the next.
    Refused { call: &'a str },
    /// The PBX knows no such account.
    Unknown,
}

/// A line of a log that a jail counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Which of [`crate::Settings::jails`].
    pub jail: usize,
    /// How long ago it was, by the line's own time.
    pub age: Duration,
    /// It was read before, by an earlier run: it counts, and is neither told nor acted upon.
    pub is_old: bool,
}

/// How failures in a log are counted, and what they lead to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jail {
    pub name: String,
    /// So many failures of one source within the time ban it; from 1 to [`Jail::MOST`].
    pub max_failures: u16,
    pub within: Duration,
    /// The first ban, where it is not `ban-seconds`.
    pub ban: Option<Duration>,
    pub scope: Scope,
    /// The log is about SIP: what comes by UDP may be forged, and who authenticates is spared, as on the wire. Of other
    /// services a line is proof enough.
    pub is_sip: bool,
}

impl Jail {
    /// The most failures that a jail counts.
    pub const MOST: u16 = 1000;
}
