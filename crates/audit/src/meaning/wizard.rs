//! pjsip_wizard.conf: a section stands for an endpoint with its auths, aor, registration and identify.

use std::sync::Arc;

use super::pjsip::{endpoint, secret};
use super::{Acls, Credential, Opens, Pbx};
use crate::conf::Section;

pub(super) fn read(pbx: &mut Pbx, acls: &Acls) {
    let Some(config) = pbx.configs.get("pjsip_wizard.conf").cloned() else { return };
    let wizards = config
        .real()
        .filter(|section| section.value("type").is_some_and(|kind| kind.eq_ignore_ascii_case("wizard")));
    for section in wizards {
        let on = |key: &str| section.switch(key).unwrap_or(false);
        let access = acls.access_by(section, ["endpoint/permit", "endpoint/deny", "endpoint/acl"]);
        let mut endpoint = endpoint(section, "endpoint/", access);
        endpoint.challenges = on("accepts_auth") || endpoint.challenges;
        // The wizard makes an identify of the hosts, unless the peer registers.
        endpoint.by_address = section.value("remote_hosts").is_some() && !on("accepts_registrations");
        endpoint.is_phone = !endpoint.by_address && !on("sends_registrations");
        pbx.endpoints.push(endpoint);
        if on("accepts_auth") {
            pbx.credentials.push(credential(section, "inbound_auth/", Opens::Endpoint));
        }
        if on("sends_auth") {
            pbx.credentials.push(credential(section, "outbound_auth/", Opens::Trunk));
        }
    }
}

fn credential(section: &Section, prefix: &str, opens: Opens) -> Credential {
    let username = section.value(&format!("{prefix}username"));
    let (secret, place) = secret(section, prefix);
    let direction = if opens == Opens::Trunk { "outbound" } else { "inbound" };
    Credential {
        opens,
        owner: format!("the {direction} secret of `{}`", section.name),
        names: [Some(&*section.name), username].into_iter().flatten().map(str::to_owned).collect(),
        secret,
        place,
        section: Arc::clone(&section.name),
    }
}
