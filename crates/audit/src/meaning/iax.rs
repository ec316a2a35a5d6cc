//! iax.conf.

use std::sync::Arc;

use super::sip::{peers, registration};
use super::{Access, Acls, Credential, Endpoint, Guest, Media, Opens, Pbx, Secret, Technology};
use crate::conf::Section;

/// Calls without a name are given to this user first.
const GUEST: &str = "guest";

pub(super) fn read(pbx: &mut Pbx, acls: &Acls) {
    let Some(config) = pbx.configs.get("iax.conf").cloned() else { return };
    if let Some(general) = config.merged("general") {
        for entry in general.all("register") {
            if let Some((owner, secret)) = registration(entry) {
                let names = entry.value.split([':', '@']).next().map(str::to_owned).into_iter().collect();
                let (place, section) = (entry.place.clone(), Arc::clone(&general.name));
                pbx.credentials.push(Credential {
                    opens: Opens::Trunk,
                    owner,
                    names,
                    secret,
                    place,
                    section,
                });
            }
        }
    }
    for section in peers(&config) {
        let takes_calls = !section.value("type").is_some_and(|kind| kind.eq_ignore_ascii_case("peer"));
        let credential = credential(section);
        let access = acls.access(section);
        if takes_calls && credential.is_none() && access == Access::Everybody && &*section.name == GUEST {
            pbx.guests.push(guest(section));
            continue;
        }
        if takes_calls {
            pbx.endpoints.push(endpoint(section, credential.is_some(), access));
        }
        pbx.credentials.extend(credential);
    }
}

fn guest(section: &Section) -> Guest {
    Guest {
        technology: Technology::Iax,
        place: section.place.clone(),
        section: Arc::clone(&section.name),
        context: Arc::from(section.value("context").unwrap_or("default")),
        context_place: section.place_of("context").clone(),
    }
}

fn endpoint(section: &Section, challenges: bool, access: Access) -> Endpoint {
    let is_dynamic = section.value("host").is_none_or(|host| host.eq_ignore_ascii_case("dynamic"));
    Endpoint {
        technology: Technology::Iax,
        name: Arc::clone(&section.name),
        place: section.place.clone(),
        context: Arc::from(section.value("context").unwrap_or("default")),
        challenges,
        by_address: false,
        known_by_name: true,
        is_phone: is_dynamic,
        access,
        media: Media::Unknown,
        media_place: section.place.clone(),
        has_timeout: None,
    }
}

fn credential(section: &Section) -> Option<Credential> {
    let has_key = section.value("inkeys").is_some()
        || section.value("dbsecret").is_some()
        || section.value("auth").is_some_and(|how| how.eq_ignore_ascii_case("rsa"));
    let secret = match section.value("secret") {
        Some(secret) => Secret::of(Some(secret)),
        None if has_key => Secret::Hashed,
        None => return None,
    };
    let is_dynamic = section.value("host").is_none_or(|host| host.eq_ignore_ascii_case("dynamic"));
    Some(Credential {
        opens: if is_dynamic { Opens::Endpoint } else { Opens::Trunk },
        owner: format!("the IAX2 secret of `{}`", section.name),
        names: [Some(&*section.name), section.value("username")]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect(),
        secret,
        place: section.place_of("secret").clone(),
        section: Arc::clone(&section.name),
    })
}
