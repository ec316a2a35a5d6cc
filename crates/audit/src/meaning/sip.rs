//! sip.conf, of the channel driver that Asterisk had before 21.

use std::sync::Arc;

use super::{Access, Acls, Credential, Endpoint, Guest, Media, Opens, Pbx, Secret, Technology, Transport};
use crate::conf::{Config, Entry, Section};

pub(super) fn read(pbx: &mut Pbx, acls: &Acls) {
    let Some(config) = pbx.configs.get("sip.conf").cloned() else { return };
    let general = config.merged("general");
    if let Some(general) = &general {
        read_general(pbx, general);
    }
    for section in peers(&config) {
        let (endpoint, credential) = peer(section, general.as_ref(), acls);
        pbx.endpoints.push(endpoint);
        pbx.credentials.extend(credential);
    }
}

/// Sections that stand for somebody.
pub(crate) fn peers(config: &Config) -> impl Iterator<Item = &Section> {
    config.real().filter(|section| {
        let kind = section.value("type").unwrap_or_default().to_ascii_lowercase();
        &*section.name != "general" && matches!(kind.as_str(), "peer" | "user" | "friend")
    })
}

/// `register => user:secret@host`: whom it names, and the secret.
pub(super) fn registration(entry: &Entry) -> Option<(String, Secret)> {
    let (account, host) = entry.value.rsplit_once('@')?;
    let account = account.split_once('?').map_or(account, |(_, rest)| rest);
    let account = account.split_once("://").map_or(account, |(_, rest)| rest);
    let (user, secret) = account.split_once(':')?;
    let secret = secret.split(':').next().unwrap_or_default();
    let user = user.split('@').next().unwrap_or_default();
    let host = host.split(['/', '~']).next().unwrap_or_default();
    let owner = format!("the secret of the registration of `{user}` with `{host}`");
    // A name in brackets is a key's.
    let secret = if secret.starts_with('[') { Secret::Hashed } else { Secret::of(Some(secret)) };
    Some((owner, secret))
}

fn read_general(pbx: &mut Pbx, general: &Section) {
    if general.switch("allowguest").unwrap_or(true) {
        pbx.guests.push(Guest {
            technology: Technology::Sip,
            place: general.place_of("allowguest").clone(),
            section: Arc::clone(&general.name),
            context: Arc::from(general.value("context").unwrap_or("default")),
            context_place: general.place_of("context").clone(),
        });
    }
    let bind = general.value("udpbindaddr").or_else(|| general.value("bindaddr")).unwrap_or("0.0.0.0");
    pbx.transports.push(Transport {
        technology: Technology::Sip,
        name: Arc::clone(&general.name),
        place: general.place_of("tlsenable").clone(),
        is_encrypted: general.switch("tlsenable").unwrap_or(false),
        is_loopback: super::is_loopback(bind),
    });
    for entry in general.all("register") {
        if let Some((owner, secret)) = registration(entry) {
            let names =
                entry.value.split([':', '@', '?', '/']).next().map(str::to_owned).into_iter().collect();
            let (place, section) = (entry.place.clone(), Arc::clone(&general.name));
            pbx.credentials.push(Credential { opens: Opens::Trunk, owner, names, secret, place, section });
        }
    }
}

fn peer(section: &Section, general: Option<&Section>, acls: &Acls) -> (Endpoint, Option<Credential>) {
    let value = |key: &str| section.value(key).or_else(|| general.and_then(|general| general.value(key)));
    let is_dynamic = section.value("host").is_none_or(|host| host.eq_ignore_ascii_case("dynamic"));
    let is_peer = section.value("type").is_some_and(|kind| kind.eq_ignore_ascii_case("peer"));
    let by_address = is_peer && !is_dynamic;
    let hashed = section.value("md5secret").is_some();
    let key = if section.value("secret").is_some() { "secret" } else { "remotesecret" };
    let secret = section.value(key);
    let encrypted = value("encryption").is_some_and(|how| crate::conf::switch(how) != Some(false))
        || value("dtlsenable").is_some_and(|how| crate::conf::switch(how) == Some(true));
    let invites_freely =
        value("insecure").is_some_and(|how| how.split(',').any(|word| word.trim() == "invite"));
    let endpoint = Endpoint {
        technology: Technology::Sip,
        name: Arc::clone(&section.name),
        place: section.place.clone(),
        context: Arc::from(value("context").unwrap_or("default")),
        challenges: hashed || (section.value("secret").is_some() && !(invites_freely && is_dynamic)),
        by_address,
        known_by_name: false,
        is_phone: is_dynamic,
        access: if by_address { Access::Some } else { acls.access(section) },
        media: if encrypted { Media::Encrypted } else { Media::Plain },
        media_place: section.place_of("encryption").clone(),
        has_timeout: Some(value("rtptimeout").and_then(|value| value.parse::<u64>().ok()).unwrap_or(0) > 0),
    };
    let names = [
        Some(&*section.name),
        section.value("defaultuser"),
        section.value("username"),
        section.value("fromuser"),
    ];
    let credential = secret.filter(|_| !hashed).map(|secret| Credential {
        opens: if is_dynamic { Opens::Endpoint } else { Opens::Trunk },
        owner: format!("the secret of `{}`", section.name),
        names: names.into_iter().flatten().map(str::to_owned).collect(),
        secret: Secret::of(Some(secret)),
        place: section.place_of(key).clone(),
        section: Arc::clone(&section.name),
    });
    (endpoint, credential)
}
