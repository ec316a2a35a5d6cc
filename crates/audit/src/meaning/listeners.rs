//! manager.conf, http.conf and ari.conf.

use std::sync::Arc;

use super::{Access, Acls, Credential, Opens, Pbx, Secret};
use crate::conf::{Place, Section};

/// The manager interface, if it listens.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    /// Where its address is said, else where it is switched on.
    pub(crate) place: Place,
    /// Others than this host reach its port without encryption.
    pub(crate) is_plain_outside: bool,
    /// Others reach one of its ports.
    pub(crate) is_outside: bool,
    pub(crate) users: Vec<ManagerUser>,
}

/// Who may log in.
#[derive(Clone, Debug)]
pub(crate) struct ManagerUser {
    pub(crate) name: Arc<str>,
    pub(crate) place: Place,
    pub(crate) access: Access,
}

/// The built-in web server, if it listens.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) place: Place,
    pub(crate) is_plain_outside: bool,
    pub(crate) is_outside: bool,
    /// Users of ARI, if that is on.
    pub(crate) ari_users: Vec<(Arc<str>, Place)>,
}

pub(super) fn read(pbx: &mut Pbx, acls: &Acls) {
    pbx.manager = manager(pbx, acls);
    pbx.http = http(pbx);
    let users = ari(pbx);
    let over_web = pbx.general("manager.conf").and_then(|general| general.switch("webenabled")) == Some(true);
    if let (Some(manager), Some(http)) = (&mut pbx.manager, &pbx.http) {
        // The web server lets in whom the manager does.
        manager.is_outside |= over_web && http.is_outside;
    }
    if let Some(http) = &mut pbx.http {
        http.ari_users = users;
    }
}

/// Whether others reach the plain, and whether they reach the encrypted port. Without an address the manager listens
/// everywhere, and the web server nowhere.
fn outside(general: &Section, default: &str) -> (bool, bool) {
    let plain = general.value("bindaddr").unwrap_or(default);
    let is_plain_outside = !super::is_loopback(plain);
    let encrypted = general.value("tlsbindaddr").unwrap_or(plain);
    let is_tls_outside = general.switch("tlsenable").unwrap_or(false) && !super::is_loopback(encrypted);
    (is_plain_outside, is_tls_outside)
}

fn listens_at(general: &Section) -> Place {
    let key = if general.last("bindaddr").is_some() { "bindaddr" } else { "enabled" };
    general.place_of(key).clone()
}

fn manager(pbx: &mut Pbx, acls: &Acls) -> Option<Manager> {
    let config = pbx.configs.get("manager.conf")?.clone();
    let general = config.merged("general")?;
    if !general.switch("enabled").unwrap_or(false) {
        return None;
    }
    let mut users = Vec::new();
    for section in config.real().filter(|section| &*section.name != "general") {
        users.push(ManagerUser {
            name: Arc::clone(&section.name),
            place: section.place.clone(),
            access: acls.access(section),
        });
        pbx.credentials.push(Credential {
            opens: Opens::Manager,
            owner: format!("the secret of manager user `{}`", section.name),
            names: vec![section.name.to_string()],
            secret: Secret::of(section.value("secret")),
            place: section.place_of("secret").clone(),
            section: Arc::clone(&section.name),
        });
    }
    let (is_plain_outside, is_tls_outside) = outside(&general, "0.0.0.0");
    Some(Manager {
        place: listens_at(&general),
        is_plain_outside,
        is_outside: is_plain_outside || is_tls_outside,
        users,
    })
}

fn http(pbx: &Pbx) -> Option<Http> {
    let general = pbx.general("http.conf")?;
    let (is_plain_outside, is_tls_outside) = outside(&general, "127.0.0.1");
    let is_enabled = general.switch("enabled").unwrap_or(false);
    let is_tls = general.switch("tlsenable").unwrap_or(false);
    (is_enabled || is_tls).then(|| Http {
        place: listens_at(&general),
        is_plain_outside: is_enabled && is_plain_outside,
        is_outside: (is_enabled && is_plain_outside) || is_tls_outside,
        ari_users: Vec::new(),
    })
}

fn ari(pbx: &mut Pbx) -> Vec<(Arc<str>, Place)> {
    let Some(config) = pbx.configs.get("ari.conf").cloned() else { return Vec::new() };
    if config.merged("general").is_some_and(|general| general.switch("enabled") == Some(false)) {
        return Vec::new();
    }
    let mut users = Vec::new();
    let sections = config.real().filter(|section| {
        &*section.name != "general"
            && section.value("type").is_some_and(|kind| kind.eq_ignore_ascii_case("user"))
    });
    for section in sections {
        users.push((Arc::clone(&section.name), section.place.clone()));
        let hashed = section.value("password_format").is_some_and(|how| how.eq_ignore_ascii_case("crypt"));
        let secret = Secret::of(section.value("password"));
        pbx.credentials.push(Credential {
            opens: Opens::Ari,
            owner: format!("the password of ARI user `{}`", section.name),
            names: vec![section.name.to_string()],
            secret: if hashed { Secret::Hashed } else { secret },
            place: section.place_of("password").clone(),
            section: Arc::clone(&section.name),
        });
    }
    users
}
