//! `endpoint-without-auth`

use super::{Check, Found, Severity};
use crate::meaning::{Access, Pbx, Technology};

pub(super) const CHECK: Check = Check {
    id: "endpoint-without-auth",
    severity: Severity::High,
    title: "calls are taken without a password",
    why: "Whoever sends this name as his own calls as this account, at your cost.",
    asterisk: "give it an `auth` section (`secret` in sip.conf and iax.conf); a carrier that has no password \
        gets an `identify` section, or `permit` and `deny`.",
    freepbx: "Applications > Extensions: set a Secret; for a trunk, Connectivity > Trunks > pjsip Settings: \
        Authentication Both or Inbound, or fill in Match (Permit).",
    about: "Told for endpoints without auth that are known neither by address nor by an access list; for \
        those known by an address, too, if their context reaches trunks, because chan_pjsip takes the \
        name alone for a sign unless `identify_by` says otherwise.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let open =
        pbx.endpoints.iter().filter(|endpoint| !endpoint.challenges && endpoint.access == Access::Everybody);
    for endpoint in open {
        let name = &endpoint.name;
        if !endpoint.by_address {
            let technology = endpoint.technology.as_str();
            let message =
                format!("{technology} endpoint `{name}` is asked for no password and bound to no address");
            found.add(&endpoint.place, Some(name), message);
        } else if endpoint.technology == Technology::Pjsip
            && endpoint.known_by_name
            && !pbx.dialplan.routes(&endpoint.context, false).is_empty()
        {
            let message = format!(
                "endpoint `{name}` is known by its address, but also by its name alone, and its context `{}` reaches a trunk; \
                 set `identify_by=ip`",
                endpoint.context
            );
            found.add(&endpoint.place, Some(name), message);
        }
    }
}
