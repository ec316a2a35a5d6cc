//! `international-dialling`

use super::{Check, Found, Severity};
use std::collections::BTreeMap;

use crate::conf::Place;
use crate::meaning::{Pbx, Route};

pub(super) const CHECK: Check = Check {
    id: "international-dialling",
    severity: Severity::Medium,
    title: "every phone can call every country",
    why: "One guessed password is enough for calls to numbers that pay the attacker by the minute.",
    asterisk: "let ordinary contexts include patterns of the countries that are called, and put the rest \
        behind `Authenticate` or into a context that few endpoints have.",
    freepbx: "Connectivity > Outbound Routes: replace patterns such as `X.`, `00.` and `011.` by those of \
        the countries that are called, or set a Route Password or PIN Set.",
    about: "Told for each pattern that a phone's context reaches and that sends numbers of any country to \
        a trunk. Asked for in vain: patterns of single countries, routes behind a PIN.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let mut phones: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for endpoint in pbx.endpoints.iter().filter(|endpoint| endpoint.is_phone) {
        if phones.len() < MAX_CONTEXTS || phones.contains_key(&*endpoint.context) {
            phones.entry(&endpoint.context).or_default().push(&endpoint.name);
        }
    }
    let mut routes: BTreeMap<&Place, (&Route, Vec<&str>)> = BTreeMap::new();
    for (context, names) in &phones {
        for route in pbx.dialplan.routes(context, true) {
            routes.entry(&route.place).or_insert((route, Vec::new())).1.extend(names);
        }
    }
    for (place, (route, names)) in routes {
        let shown: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
        let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
        let message =
            format!("`{}` calls any country; {}{more} can dial it", route.pattern, shown.join(", "));
        found.add(place, Some(&route.context), message);
    }
}

/// Contexts of phones; a PBX has a handful.
const MAX_CONTEXTS: usize = 500;
