//! pjsip.conf.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Access, Acls, Credential, Endpoint, Guest, Media, Opens, Pbx, Secret, Technology};
use crate::conf::{Config, Place, Section};

/// Who matches no other endpoint is this one, if it is there.
const ANONYMOUS: &str = "anonymous";

/// What listens for SIP.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) technology: Technology,
    pub(crate) name: Arc<str>,
    pub(crate) place: Place,
    pub(crate) is_encrypted: bool,
    pub(crate) is_loopback: bool,
}

/// Sections by their type.
struct Sections<'a> {
    config: &'a Config,
}

impl<'a> Sections<'a> {
    fn of(&self, wanted: &'static str) -> impl Iterator<Item = &'a Section> + use<'a> {
        of_type(self.config, wanted)
    }
}

/// The sections of a type.
pub(crate) fn of_type<'a>(
    config: &'a Config,
    wanted: &'static str,
) -> impl Iterator<Item = &'a Section> + use<'a> {
    config
        .real()
        .filter(move |section| section.value("type").is_some_and(|kind| kind.eq_ignore_ascii_case(wanted)))
}

pub(super) fn read(pbx: &mut Pbx, acls: &Acls) {
    let Some(config) = pbx.configs.get("pjsip.conf").cloned() else { return };
    let sections = Sections { config: &config };
    pbx.transports.extend(sections.of("transport").map(transport));
    let lists = sections.of("acl").map(|section| acls.access(section));
    let everywhere = lists.fold(Access::Everybody, Access::min);
    let known = known_by_address(&sections);
    let order = sections.of("global").last().and_then(|global| global.value("endpoint_identifier_order"));
    let takes = |way: &str| order.is_none_or(|order| order.split(',').any(|word| word.trim() == way));
    for section in sections.of("endpoint") {
        if section.name.eq_ignore_ascii_case(ANONYMOUS) {
            if takes(ANONYMOUS)
                && section.value("auth").is_none()
                && everywhere.min(acls.access(section)) == Access::Everybody
            {
                pbx.guests.push(guest(section));
            }
            continue;
        }
        let mut endpoint = endpoint(section, "", everywhere.min(acls.access(section)));
        endpoint.by_address = known.contains(&section.name);
        endpoint.known_by_name &= takes("username");
        endpoint.is_phone = !endpoint.by_address && section.value("outbound_auth").is_none();
        pbx.endpoints.push(endpoint);
    }
    credentials(pbx, &sections);
}

/// An endpoint of pjsip.conf, or of a wizard, where its keys have a prefix.
pub(super) fn endpoint(section: &Section, prefix: &str, access: Access) -> Endpoint {
    let key = |name: &str| format!("{prefix}{name}");
    let is_set = |name: &str| section.value(&key(name)).is_some();
    let web = section.switch(&key("webrtc")).unwrap_or(false);
    let encrypted =
        section.value(&key("media_encryption")).is_some_and(|how| !how.eq_ignore_ascii_case("no"));
    let seconds = section.value(&key("rtp_timeout")).and_then(|value| value.parse::<u64>().ok());
    Endpoint {
        technology: Technology::Pjsip,
        name: Arc::clone(&section.name),
        place: section.place.clone(),
        context: Arc::from(section.value(&key("context")).unwrap_or("default")),
        challenges: is_set("auth"),
        by_address: false,
        known_by_name: section
            .value(&key("identify_by"))
            .is_none_or(|ways| ways.split(',').any(|way| way.trim().eq_ignore_ascii_case("username"))),
        is_phone: true,
        access,
        media: if web || encrypted { Media::Encrypted } else { Media::Plain },
        media_place: section.place_of(&key("media_encryption")).clone(),
        has_timeout: Some(seconds.unwrap_or(0) > 0),
    }
}

/// A credential of an `auth` section, or of a wizard.
pub(super) fn secret(section: &Section, prefix: &str) -> (Secret, Place) {
    let key = |name: &str| format!("{prefix}{name}");
    let kind = section.value(&key("auth_type")).unwrap_or("userpass").to_ascii_lowercase();
    let password = section.value(&key("password"));
    let hashed = ["md5_cred", "password_digest", "refresh_token"]
        .iter()
        .any(|name| section.value(&key(name)).is_some());
    let secret = match password {
        Some(password) if kind != "md5" => Secret::of(Some(password)),
        _ if hashed || kind.contains("oauth") => Secret::Hashed,
        _ => Secret::Missing,
    };
    (secret, section.place_of(&key("password")).clone())
}

fn transport(section: &Section) -> Transport {
    let protocol = section.value("protocol").unwrap_or("udp").to_ascii_lowercase();
    Transport {
        technology: Technology::Pjsip,
        name: Arc::clone(&section.name),
        place: section.place.clone(),
        is_encrypted: matches!(protocol.as_str(), "tls" | "wss"),
        is_loopback: section.value("bind").is_some_and(super::is_loopback),
    }
}

fn guest(section: &Section) -> Guest {
    Guest {
        technology: Technology::Pjsip,
        place: section.place.clone(),
        section: Arc::clone(&section.name),
        context: Arc::from(section.value("context").unwrap_or("default")),
        context_place: section.place_of("context").clone(),
    }
}

/// Endpoints that an `identify` or a registration with a line ties to certain peers.
fn known_by_address(sections: &Sections<'_>) -> BTreeSet<Arc<str>> {
    let identified = sections.of("identify").filter(|section| {
        let all =
            section.all("match").any(|entry| entry.value.split(',').any(|net| net.trim().ends_with("/0")));
        let some =
            ["match", "match_header", "match_request_uri"].iter().any(|key| section.value(key).is_some());
        some && !all
    });
    let lines = sections.of("registration").filter(|section| section.switch("line") == Some(true));
    identified.chain(lines).filter_map(|section| section.value("endpoint")).map(Arc::from).collect()
}

fn credentials(pbx: &mut Pbx, sections: &Sections<'_>) {
    let mut users: BTreeMap<String, (Vec<String>, bool)> = BTreeMap::new();
    for section in sections.of("endpoint").chain(sections.of("registration")) {
        for (key, is_incoming) in [("auth", true), ("outbound_auth", false)] {
            for name in section.value(key).unwrap_or_default().split(',').map(str::trim) {
                let user = users.entry(name.to_owned()).or_default();
                user.0.push(section.name.to_string());
                user.1 |= is_incoming;
            }
        }
    }
    for section in sections.of("auth") {
        let user = users.get(&*section.name);
        let is_trunk = user.is_some_and(|(_, is_incoming)| !is_incoming);
        let mut names = vec![section.name.to_string()];
        names.extend(section.value("username").map(str::to_owned));
        names.extend(user.into_iter().flat_map(|(names, _)| names.iter().take(10).cloned()));
        let (secret, place) = secret(section, "");
        pbx.credentials.push(Credential {
            opens: if is_trunk { Opens::Trunk } else { Opens::Endpoint },
            owner: format!(
                "the secret of auth `{}`{}",
                section.name,
                if is_trunk { ", a trunk's," } else { "" }
            ),
            names,
            secret,
            place,
            section: Arc::clone(&section.name),
        });
    }
}
