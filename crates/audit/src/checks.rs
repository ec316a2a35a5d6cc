//! What is looked for, one file each. The registry is the one source for the documentation and the ids.

mod account_enumeration;
mod anonymous_endpoint;
mod ari_exposed;
mod broken_configuration;
mod certificate_expired;
mod certificate_expiring;
mod control_exposed;
mod database_exposed;
mod endpoint_without_auth;
mod exec_include;
mod guest_reaches_trunk;
mod guests_allowed;
mod http_plaintext;
mod international_dialling;
mod manager_exposed;
mod manager_plaintext;
mod missing_secret;
mod no_tls;
mod old_tls;
mod plain_media;
mod provisioning_exposed;
mod rtp_policy;
mod rtp_range;
mod rtp_timeout;
mod security_log_off;
mod shared_secret;
mod sip_plaintext;
mod strict_rtp_off;
mod unused_protocol;
mod weak_secret;

use crate::conf::Place;
use crate::meaning::{Exposed, Pbx};
use crate::report::Report;

/// How soon something should be done.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Strangers call at your cost, or take the PBX over.
    High,
    /// Who listens, guesses or floods gets further than he should.
    Medium,
    /// Damage that something else began gets larger.
    Low,
}

impl Severity {
    /// The worst first.
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// One kind of weakness.
#[derive(Debug)]
pub struct Check {
    pub id: &'static str,
    pub severity: Severity,
    /// A line.
    pub title: &'static str,
    /// A sentence.
    pub why: &'static str,
    /// What to do in Asterisk's files.
    pub asterisk: &'static str,
    /// What to do in FreePBX's pages.
    pub freepbx: &'static str,
    /// When it is told, and when not.
    pub about: &'static str,
    pub(crate) look: fn(&Pbx, &mut Found<'_>),
}

impl Check {
    /// What mends it, both ways.
    #[must_use]
    pub fn fix(&self) -> String {
        format!("Asterisk: {} FreePBX: {}", self.asterisk, self.freepbx)
    }
}

/// All of them, by id.
pub const REGISTRY: &[Check] = &[
    account_enumeration::CHECK,
    anonymous_endpoint::CHECK,
    ari_exposed::CHECK,
    broken_configuration::CHECK,
    certificate_expired::CHECK,
    certificate_expiring::CHECK,
    control_exposed::CHECK,
    database_exposed::CHECK,
    endpoint_without_auth::CHECK,
    exec_include::CHECK,
    guest_reaches_trunk::CHECK,
    guests_allowed::CHECK,
    http_plaintext::CHECK,
    international_dialling::CHECK,
    manager_exposed::CHECK,
    manager_plaintext::CHECK,
    missing_secret::CHECK,
    no_tls::CHECK,
    old_tls::CHECK,
    plain_media::CHECK,
    provisioning_exposed::CHECK,
    rtp_policy::CHECK,
    rtp_range::CHECK,
    rtp_timeout::CHECK,
    security_log_off::CHECK,
    shared_secret::CHECK,
    sip_plaintext::CHECK,
    strict_rtp_off::CHECK,
    unused_protocol::CHECK,
    weak_secret::CHECK,
];

/// The one of this id.
#[must_use]
pub fn named(id: &str) -> Option<&'static Check> {
    REGISTRY.iter().find(|check| check.id == id)
}

/// Where a check puts what it finds.
pub(crate) struct Found<'r> {
    pub(crate) check: &'static Check,
    pub(crate) report: &'r mut Report,
}

impl Found<'_> {
    /// The message must hold no secret; what a terminal would obey is taken out of it.
    pub(crate) fn add(&mut self, place: &Place, section: Option<&str>, message: impl AsRef<str>) {
        self.report.add(self.check, place.clone(), section, message.as_ref());
    }

    /// The same about a port of this host, whose section is the program.
    pub(crate) fn add_socket(&mut self, open: &Exposed<'_>, message: impl AsRef<str>) {
        let place = Place::socket(open.socket);
        self.add(&place, open.socket.program.as_deref(), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_in_order_and_says_everything() {
        assert!(REGISTRY.windows(2).all(|pair| pair[0].id < pair[1].id));
        for check in REGISTRY {
            for text in [check.title, check.why, check.asterisk, check.freepbx, check.about] {
                assert!(
                    text.len() > 10 && !text.contains('\n') && !text.contains("  "),
                    "{}: {text:?}",
                    check.id
                );
            }
            assert!(
                check.why.ends_with('.') && check.asterisk.ends_with('.') && check.freepbx.ends_with('.')
            );
        }
    }
}
