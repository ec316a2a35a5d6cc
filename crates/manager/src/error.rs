//! Why a session ends, and what to do about it.

/// The session is over; the connection is to be closed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error(
        "asterisk let nobody in (`{said}`): somebody else is logged in as `{user}`, and manager.conf has \
         `allowmultiplelogin = no`; give Ringfence a user of its own"
    )]
    AsteriskInUse { user: String, said: String },
    #[error(
        "asterisk refused the login of `{user}` (`{said}`): see that manager.conf has the section `[{user}]` with this \
         `secret`, and that its `permit`, `deny` and `acl` let this host in; then `asterisk -rx 'manager reload'`"
    )]
    AsteriskRefused { user: String, said: String },
    #[error("the server closed the connection{}", .said.as_ref().map_or_else(String::new, |said| format!(": `{said}`")))]
    Closed { said: Option<String> },
    #[error(
        "freeswitch lets this host not in (`{said}`): see `apply-inbound-acl` and `listen-ip` in event_socket.conf.xml"
    )]
    FreeswitchAcl { said: String },
    #[error("freeswitch gives no events (`{said}`): see that the user may have them (`esl-allowed-events`)")]
    FreeswitchNoEvents { said: String },
    #[error("freeswitch refused the login (`{said}`): see `password` in event_socket.conf.xml")]
    FreeswitchRefused { said: String },
    #[error("did not answer a ping within {seconds} s")]
    NoPing { seconds: u64 },
    #[error(
        "asterisk let `{user}` in, but shows no security events: write `read = security` into `[{user}]` of manager.conf, \
         without an `eventfilter` that hides `SuccessfulAuth`; then `asterisk -rx 'manager reload'`"
    )]
    NoSecurityEvents { user: String },
    #[error(
        "this is no manager of asterisk: it said `{said}`; the manager's port is `port` in manager.conf, 5038 unless set"
    )]
    NotAsterisk { said: String },
    #[error(
        "this is no event socket of freeswitch: it said `{said}`; its port is `listen-port` in event_socket.conf.xml, 8021 \
         unless set"
    )]
    NotFreeswitch { said: String },
    #[error(
        "said nothing that was expected within {seconds} s; is it the right port, with TLS as in the policy?"
    )]
    Silent { seconds: u64 },
    #[error("a name or secret has signs in it that cannot be sent: line ends, or none at all")]
    UnsendableLogin,
}

impl Error {
    /// It will be so again until somebody changes something.
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::AsteriskRefused { .. }
            | Self::FreeswitchAcl { .. }
            | Self::FreeswitchNoEvents { .. }
            | Self::FreeswitchRefused { .. }
            | Self::NoSecurityEvents { .. }
            | Self::NotAsterisk { .. }
            | Self::NotFreeswitch { .. }
            | Self::UnsendableLogin => true,
            // Our own last connection may be the one that is still there.
            Self::AsteriskInUse { .. } | Self::Closed { .. } | Self::NoPing { .. } | Self::Silent { .. } => {
                false
            }
        }
    }
}
