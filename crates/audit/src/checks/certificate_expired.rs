//! `certificate-expired`

use super::{Check, Found, Severity};
use crate::certificate::date;
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "certificate-expired",
    severity: Severity::High,
    title: "a certificate has ended",
    why: "Phones that check it no longer connect, and people switch checking or encryption off.",
    asterisk: "put a new certificate there, have it renewed by itself (an ACME client with a hook), and \
        reload.",
    freepbx: "Admin > Certificate Management: update it, or have a Let's Encrypt certificate renewed by \
        itself.",
    about: "Told for certificates that a transport, endpoint or web server shows, in any of `cert_file`, \
        `dtls_cert_file`, `tlscertfile`, `dtlscertfile`.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for certificate in pbx.certificates.iter().filter(|certificate| certificate.ends <= pbx.now) {
        let message = format!("the certificate in {} ended on {}", certificate.path, date(certificate.ends));
        found.add(&certificate.place, Some(&certificate.section), message);
    }
}
