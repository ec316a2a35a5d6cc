//! What the PBX can tell of who tries to get in: its manager interface, and its log of security events.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use super::bind;
use crate::conf::Place;
use crate::meaning::{Hidden, Pbx};

/// The manager interface, as this host reaches it.
#[derive(Clone, Debug)]
pub struct Manager {
    pub address: IpAddr,
    pub port: u16,
    pub place: Place,
    pub logins: Vec<Login>,
}

impl Manager {
    /// Address and port, as a policy has them.
    #[must_use]
    pub fn address(&self) -> String {
        SocketAddr::new(self.address, self.port).to_string()
    }
}

/// A user of the manager interface.
#[derive(Clone, Debug)]
pub struct Login {
    pub name: Arc<str>,
    pub place: Place,
    /// It is shown security events.
    pub hears_security: bool,
    /// This host may log in as it.
    pub from_here: bool,
    secret: Option<Hidden>,
}

impl Login {
    /// Whether this is its secret.
    #[must_use]
    pub fn has_secret(&self, secret: &str) -> bool {
        self.secret.as_ref().is_some_and(|own| *own.0 == *secret)
    }
}

/// A log with the level `security`, in a form that filters read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecurityLog {
    /// Its whole path.
    pub path: String,
    pub place: Place,
}

/// Where Asterisk's packages put logs.
const LOGS: &str = "/var/log/asterisk";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn manager(pbx: &Pbx) -> Option<Manager> {
    let config = pbx.config("manager.conf")?;
    let general = config.merged("general")?;
    general.switch("enabled").unwrap_or(false).then_some(())?;
    let port = general.value("port").and_then(|port| port.parse().ok()).unwrap_or(5038);
    let (address, port) = bind(general.value("bindaddr").unwrap_or_default(), port);
    let logins =
        config.real().filter(|section| !section.name.eq_ignore_ascii_case("general")).map(|section| {
            let levels = section.all("read").flat_map(|entry| entry.value.split(','));
            Login {
                name: Arc::clone(&section.name),
                place: section.place.clone(),
                hears_security: levels.map(str::trim).any(|level| matches!(level, "security" | "all")),
                from_here: pbx.acls.admits(section, &HERE),
                secret: section.value("secret").map(|secret| Hidden(Arc::from(secret))),
            }
        });
    Some(Manager {
        address: address.unwrap_or(HERE),
        port,
        place: general.place_of("enabled").clone(),
        logins: logins.collect(),
    })
}

pub(super) fn security_log(pbx: &Pbx) -> Option<SecurityLog> {
    let files = pbx.config("logger.conf")?.merged("logfiles")?;
    let has = |entry: &&crate::conf::Entry, wanted: &[&str]| {
        let is_file = !entry.key.eq_ignore_ascii_case("console") && !entry.key.starts_with("syslog");
        // `[json]` is a form that no filter reads.
        let levels = entry.value.trim().strip_prefix("[default]").unwrap_or(&entry.value);
        is_file
            && !levels.starts_with('[')
            && levels.split(',').any(|level| wanted.contains(&level.trim().to_ascii_lowercase().as_str()))
    };
    let named = files.entries.iter().find(|entry| has(entry, &["security"]));
    let entry = named.or_else(|| files.entries.iter().find(|entry| has(entry, &["*"])))?;
    let places = pbx.config("asterisk.conf").and_then(|config| config.merged("directories"));
    let folder = places.as_ref().and_then(|places| places.value("astlogdir")).unwrap_or(LOGS);
    let path = Path::new(folder).join(&*entry.key).to_string_lossy().into_owned();
    Some(SecurityLog { path, place: entry.place.clone() })
}
