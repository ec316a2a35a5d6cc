//! From a PBX's events to what the engine hears.

use engine::{Fact, Testimony};
use manager::{Event, Kind, Service, Transport};

/// What an event says against or for somebody, and the line that is kept of it; `None` for what says neither.
pub(super) fn testimony(event: &Event) -> Option<(Testimony<'_>, String)> {
    // Also where somebody wrote into the event: an address that it has is the PBX's own word.
    let peer = event.remote?;
    let call = event.session.as_deref().unwrap_or_default();
    let denied = |what| Fact::Denied { what, call };
    let is_encrypted = matches!(event.transport, Some(Transport::Tls | Transport::Wss));
    let fact = match event.kind {
        Kind::Authenticated if event.service.is_sip() => Fact::Accepted { is_encrypted },
        // Of the manager interface and the web server it says nothing about a phone.
        Kind::Authenticated if matches!(event.service, Service::Manager | Service::Http) => {
            Fact::LoggedIn { is_encrypted }
        }
        Kind::Registered if event.service == Service::Sofia && !event.is_forgeable() => {
            Fact::Accepted { is_encrypted }
        }
        Kind::Malformed => denied("a request that it could not read"),
        Kind::MethodRefused => denied("its way to authenticate"),
        Kind::NotAllowed => denied("a request that it may not make"),
        Kind::RefusedByAcl => denied("its address by an access list"),
        Kind::RefusedCredentials => Fact::Refused { call },
        Kind::UnexpectedAddress => denied("a session that went on from another address"),
        Kind::UnknownAccount => Fact::Unknown,
        Kind::WrongTransport => denied("its transport"),
        Kind::Authenticated
        | Kind::Challenged
        | Kind::ContactReachable
        | Kind::ContactUnreachable
        | Kind::LoadLimit
        | Kind::MemoryLimit
        | Kind::NotSupported
        | Kind::Registered
        | Kind::SessionLimit
        | Kind::Unregistered => return None,
    };
    let testimony = Testimony {
        peer,
        is_proof: !event.is_forgeable(),
        account: event.account.as_deref().unwrap_or_default(),
        nonce: event.nonce.as_deref(),
        fact,
    };
    let transport = event.transport.map_or("", manager::Transport::as_str);
    let detail = event.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let line = format!(
        "{} {} {peer} {transport} account {}{detail}",
        event.service.as_str(),
        event.kind.as_str(),
        event.account.as_deref().unwrap_or("-"),
    );
    Some((testimony, line))
}
