//! What happened, in words that every PBX shares.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What became of an attempt to get in, or of a registration.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// The right credentials. Over UDP the address is proven too: the challenge went to it.
    Authenticated,
    /// Was asked for credentials. Every phone is, with each registration; it says nothing against anybody.
    Challenged,
    /// A registered phone's keep-alive is answered (again).
    ContactReachable,
    /// A registered phone's keep-alive is not answered, or none is sent to it.
    ContactUnreachable,
    /// The PBX is too busy to take requests.
    LoadLimit,
    /// What no client of this protocol would send.
    Malformed,
    /// The PBX has no memory left for the request.
    MemoryLimit,
    /// A way to authenticate that is switched off.
    MethodRefused,
    /// A request that this account, or a stranger, may not make.
    NotAllowed,
    /// A request that the PBX understands and does not serve.
    NotSupported,
    /// An address that the account's access list does not let in.
    RefusedByAcl,
    /// Credentials were sent, and were wrong. Over UDP anybody can send such a request under a foreign address; see
    /// [`Event::is_forgeable`].
    RefusedCredentials,
    /// A phone has registered.
    Registered,
    /// The account has as many sessions as it may have.
    SessionLimit,
    /// A session that goes on from another address than it began.
    UnexpectedAddress,
    /// There is no such account. Asterisk says so of a request without credentials too, and again with each one that has some,
    /// beside [`Kind::RefusedCredentials`]; both have the same [`Event::session`].
    UnknownAccount,
    /// A phone's registration has ended.
    Unregistered,
    /// A transport that the account may not use.
    WrongTransport,
}

impl Kind {
    pub const ALL: [Self; 18] = [
        Self::Authenticated,
        Self::Challenged,
        Self::ContactReachable,
        Self::ContactUnreachable,
        Self::LoadLimit,
        Self::Malformed,
        Self::MemoryLimit,
        Self::MethodRefused,
        Self::NotAllowed,
        Self::NotSupported,
        Self::RefusedByAcl,
        Self::RefusedCredentials,
        Self::Registered,
        Self::SessionLimit,
        Self::UnexpectedAddress,
        Self::UnknownAccount,
        Self::Unregistered,
        Self::WrongTransport,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticated => "authenticated",
            Self::Challenged => "challenged",
            Self::ContactReachable => "contact-reachable",
            Self::ContactUnreachable => "contact-unreachable",
            Self::LoadLimit => "load-limit",
            Self::Malformed => "malformed",
            Self::MemoryLimit => "memory-limit",
            Self::MethodRefused => "method-refused",
            Self::NotAllowed => "not-allowed",
            Self::NotSupported => "not-supported",
            Self::RefusedByAcl => "refused-by-acl",
            Self::RefusedCredentials => "refused-credentials",
            Self::Registered => "registered",
            Self::SessionLimit => "session-limit",
            Self::UnexpectedAddress => "unexpected-address",
            Self::UnknownAccount => "unknown-account",
            Self::Unregistered => "unregistered",
            Self::WrongTransport => "wrong-transport",
        }
    }

    /// About registrations, not about an attempt.
    pub const fn is_registration(self) -> bool {
        matches!(
            self,
            Self::ContactReachable | Self::ContactUnreachable | Self::Registered | Self::Unregistered
        )
    }
}

/// The part of the PBX that speaks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Service {
    /// Asterisk's HTTP server.
    Http,
    Iax2,
    /// The manager interface itself.
    Manager,
    Other(String),
    Pjsip,
    /// chan_sip.
    Sip,
    /// FreeSWITCH's SIP.
    Sofia,
}

impl Service {
    /// As Asterisk names it.
    pub(crate) fn of(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "AMI" => Self::Manager,
            "HTTP" => Self::Http,
            "IAX2" | "IAX" => Self::Iax2,
            "PJSIP" => Self::Pjsip,
            "SIP" => Self::Sip,
            _ => Self::Other(crate::message::harmless(name)),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Http => "http",
            Self::Iax2 => "iax2",
            Self::Manager => "manager",
            Self::Other(name) => name,
            Self::Pjsip => "pjsip",
            Self::Sip => "sip",
            Self::Sofia => "sofia",
        }
    }

    pub const fn is_sip(&self) -> bool {
        matches!(self, Self::Pjsip | Self::Sip | Self::Sofia)
    }
}

/// What the attempt came over.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    Tcp,
    Tls,
    Udp,
    Ws,
    Wss,
}

impl Transport {
    pub(crate) fn of(name: &str) -> Option<Self> {
        let all = [Self::Tcp, Self::Tls, Self::Udp, Self::Ws, Self::Wss];
        all.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(name))
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Udp => "udp",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// Something that the PBX tells. Texts are at most 256 letters, in one line, and chosen by strangers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    pub kind: Kind,
    pub service: Service,
    /// Whose account was tried. `None` where the PBX does not know, or the request named none.
    pub account: Option<String>,
    /// Where the attempt came from. `None` where the PBX does not say, or says two things (see [`Event::is_doubtful`]).
    pub remote: Option<SocketAddr>,
    /// Where it arrived.
    pub local: Option<SocketAddr>,
    pub transport: Option<Transport>,
    /// By the PBX's clock, since 1970.
    pub time: Option<Duration>,
    /// What all events of one exchange share; of SIP it is the Call-ID, so that what the wire and the PBX tell can be joined.
    pub session: Option<String>,
    /// The nonce that the credentials answered, as the wire has it.
    pub nonce: Option<String>,
    /// The answer to it. With the nonce, it names one request.
    pub response: Option<String>,
    /// Whether the right credentials were a password.
    pub using_password: Option<bool>,
    /// The Contact of a registration: a claim of whoever registered, and no proof of an address.
    pub contact: Option<String>,
    /// What else the event says: an access list, a request, a transport, a profile.
    pub detail: Option<String>,
    /// Somebody wrote lines into the event that are not the PBX's. What the event says is still its own, and where it is not
    /// known which of two lines is, neither is taken.
    pub is_doubtful: bool,
}

impl Event {
    pub(crate) fn new(kind: Kind, service: Service) -> Self {
        Self {
            kind,
            service,
            account: None,
            remote: None,
            local: None,
            transport: None,
            time: None,
            session: None,
            nonce: None,
            response: None,
            using_password: None,
            contact: None,
            detail: None,
            is_doubtful: false,
        }
    }

    /// Whether somebody else than the owner of the address may be behind it. Over UDP that is so until the right credentials
    /// came: Asterisk reports wrong credentials whether or not it ever gave out the nonce in them, so only who knows the
    /// nonces that went to that address ([`Event::nonce`]) can tell. The other transports need a handshake. FreeSWITCH does not
    /// say over which transport it refused somebody, and takes a nonce from any address.
    pub fn is_forgeable(&self) -> bool {
        let has_handshake = match self.transport {
            Some(Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss) => true,
            Some(Transport::Udp) | None => false,
        };
        let has_answered = self.kind == Kind::Authenticated && self.service != Service::Sofia;
        !has_handshake && !has_answered
    }
}

/// `refused-credentials for 100 from 203.0.113.9:40000 by pjsip over tls`, in one line, as it may be logged.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if let Some(account) = &self.account {
            write!(f, " for {account}")?;
        }
        if let Some(remote) = self.remote {
            write!(f, " from {remote}")?;
        }
        write!(f, " by {}", self.service.as_str())?;
        if let Some(transport) = self.transport {
            write!(f, " over {}", transport.as_str())?;
        }
        Ok(())
    }
}
