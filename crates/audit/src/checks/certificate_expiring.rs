//! `certificate-expiring`

use super::{Check, Found, Severity};
use std::time::Duration;

use crate::certificate::date;
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "certificate-expiring",
    severity: Severity::Medium,
    title: "a certificate ends within 30 days",
    why: "When it has ended, phones that check it no longer connect.",
    asterisk: "put a new certificate there, have it renewed by itself (an ACME client with a hook), and \
        reload.",
    freepbx: "Admin > Certificate Management: update it, or have a Let's Encrypt certificate renewed by \
        itself.",
    about: "Told from 30 days before until the end.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for certificate in pbx
        .certificates
        .iter()
        .filter(|certificate| certificate.ends > pbx.now && certificate.ends <= pbx.now + SOON)
    {
        let message = format!("the certificate in {} ends on {}", certificate.path, date(certificate.ends));
        found.add(&certificate.place, Some(&certificate.section), message);
    }
}

const SOON: Duration = Duration::from_secs(30 * 86_400);
