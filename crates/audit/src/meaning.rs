//! What the files mean to Asterisk: endpoints, secrets, listeners, the dialplan.

mod acl;
mod dialplan;
mod exposed;
mod iax;
mod listeners;
mod pattern;
mod pjsip;
mod sip;
mod wizard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use acl::{Access, Acls, Net, is_loopback};
pub(crate) use dialplan::{Dialplan, Route};
pub(crate) use exposed::Exposed;
pub(crate) use listeners::{Http, Manager};
pub(crate) use pjsip::{Transport, of_type};
pub(crate) use sip::peers;

use crate::conf::{Config, Place, Section};
use crate::files::Files;
use crate::{Error, Here, certificate, conf};

/// The files that are read, with what they include.
const FILES: &[&str] = &[
    "acl.conf",
    "ari.conf",
    "asterisk.conf",
    "extensions.conf",
    "http.conf",
    "iax.conf",
    "logger.conf",
    "manager.conf",
    "modules.conf",
    "pjsip.conf",
    "pjsip_wizard.conf",
    "rtp.conf",
    "sip.conf",
    "voicemail.conf",
];

/// Files and the modules without which they mean nothing.
const MODULES: &[(&str, &str)] = &[
    ("sip.conf", "chan_sip"),
    ("pjsip.conf", "chan_pjsip"),
    ("pjsip_wizard.conf", "res_pjsip_config_wizard"),
    ("iax.conf", "chan_iax2"),
    ("ari.conf", "res_ari"),
    ("voicemail.conf", "app_voicemail"),
];

/// A whole PBX.
#[derive(Debug, Default)]
pub(crate) struct Pbx {
    configs: BTreeMap<&'static str, Config>,
    /// What could not be looked at, for people.
    pub(crate) notes: Vec<String>,
    pub(crate) now: Duration,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) dialplan: Dialplan,
    pub(crate) manager: Option<Manager>,
    pub(crate) http: Option<Http>,
    /// Lists of addresses that have names.
    pub(crate) acls: Acls,
    /// What runs on this host, where this is its configuration.
    pub(crate) here: Option<Here>,
}

/// Who speaks to an endpoint how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Technology {
    Iax,
    Pjsip,
    Sip,
}

/// What protects the media of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Media {
    Encrypted,
    Plain,
    /// Of IAX2, whose media is in the same connection.
    Unknown,
}

/// Somebody who may call, with or without credentials.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) technology: Technology,
    pub(crate) name: Arc<str>,
    /// Where its section begins.
    pub(crate) place: Place,
    /// Where its calls go.
    pub(crate) context: Arc<str>,
    /// Its calls have to show a secret.
    pub(crate) challenges: bool,
    /// Its calls are told by their address.
    pub(crate) by_address: bool,
    /// Its name alone is taken for a sign, too.
    pub(crate) known_by_name: bool,
    /// It registers, or is called where a contact is configured for nobody's carrier.
    pub(crate) is_phone: bool,
    pub(crate) access: Access,
    pub(crate) media: Media,
    /// Where that is said.
    pub(crate) media_place: Place,
    /// Calls without media end.
    pub(crate) has_timeout: Option<bool>,
}

/// A way in for anybody.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) technology: Technology,
    pub(crate) place: Place,
    pub(crate) section: Arc<str>,
    pub(crate) context: Arc<str>,
    pub(crate) context_place: Place,
}

/// What a secret opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opens {
    Ari,
    Endpoint,
    Mailbox,
    Manager,
    Trunk,
}

/// A secret as it stands in a file.
#[derive(Clone, Debug)]
pub(crate) enum Secret {
    /// Nothing is asked for.
    Missing,
    /// Only a digest is there, or a key.
    Hashed,
    Plain(Hidden),
}

/// A text that is never shown.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Hidden(pub(crate) Arc<str>);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// A secret and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) opens: Opens,
    /// As the beginning of a sentence: "auth `1000`".
    pub(crate) owner: String,
    /// What it must not be taken from.
    pub(crate) names: Vec<String>,
    pub(crate) secret: Secret,
    pub(crate) place: Place,
    pub(crate) section: Arc<str>,
}

/// A certificate that is shown to others.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) place: Place,
    pub(crate) section: Arc<str>,
    /// As the file names it.
    pub(crate) path: Arc<str>,
    pub(crate) ends: Duration,
}

impl Pbx {
    pub(crate) fn read(files: &dyn Files, directory: &Path, now: Duration) -> Result<Self, Error> {
        let mut pbx = Self { now, ..Self::default() };
        for name in FILES {
            if let Some(config) = Config::load(files, directory, name)? {
                pbx.configs.insert(name, config);
            }
        }
        if pbx.configs.is_empty() {
            return Err(Error::Nothing { path: directory.to_owned() });
        }
        pbx.forget_what_is_not_loaded();
        pbx.forget_what_is_not_installed(files, directory);
        let acls = Acls::read(pbx.config("acl.conf"));
        pjsip::read(&mut pbx, &acls);
        wizard::read(&mut pbx, &acls);
        sip::read(&mut pbx, &acls);
        iax::read(&mut pbx, &acls);
        listeners::read(&mut pbx, &acls);
        pbx.acls = acls;
        pbx.mailboxes();
        pbx.dialplan = Dialplan::read(pbx.config("extensions.conf"));
        pbx.look_at_certificates(files, directory);
        Ok(pbx)
    }

    pub(crate) fn config(&self, name: &str) -> Option<&Config> {
        self.configs.get(name)
    }

    /// All files, by name.
    pub(crate) fn configs(&self) -> impl Iterator<Item = &Config> {
        self.configs.values()
    }

    pub(crate) fn general(&self, name: &str) -> Option<Section> {
        self.config(name)?.merged("general")
    }

    /// A module that is not loaded does not listen, whatever its file says.
    fn forget_what_is_not_loaded(&mut self) {
        let Some(modules) = self.config("modules.conf").and_then(|config| config.merged("modules")) else {
            return;
        };
        let automatic = modules.switch("autoload").unwrap_or(false);
        let named = |key: &str, module: &str| {
            modules.all(key).any(|entry| entry.value.strip_suffix(".so").unwrap_or(&entry.value) == module)
        };
        let loaded = |module: &str| {
            let asked =
                ["load", "require", "preload", "preload-require"].iter().any(|key| named(key, module));
            !named("noload", module) && (automatic || asked)
        };
        let unloaded: Vec<&str> =
            MODULES.iter().filter(|(_, module)| !loaded(module)).map(|(file, _)| *file).collect();
        self.configs.retain(|name, _| !unloaded.contains(name));
    }

    /// Upgrades leave a sip.conf behind whose module is no longer there. That can be told only where this is the configuration
    /// of an Asterisk on this disk.
    fn forget_what_is_not_installed(&mut self, files: &dyn Files, directory: &Path) {
        let Some(places) = self.config("asterisk.conf").and_then(|config| config.merged("directories"))
        else {
            return;
        };
        let is_here = places.value("astetcdir").is_some_and(|path| Path::new(path) == directory);
        let Some(folder) = places.value("astmoddir").filter(|_| is_here) else { return };
        let Ok(modules) = files.list(Path::new(folder)) else { return };
        let is_there =
            |module: &str| modules.iter().any(|path| path.file_stem().is_some_and(|stem| stem == module));
        if is_there("chan_pjsip") && !is_there("chan_sip") {
            self.configs.remove("sip.conf");
        }
    }

    /// `1000 => 8361,Name,…` in each context of voicemail.conf.
    fn mailboxes(&mut self) {
        let Some(config) = self.configs.get("voicemail.conf") else { return };
        let contexts =
            config.real().filter(|section| !matches!(&*section.name, "general" | "zonemessages" | "aliases"));
        for section in contexts {
            for entry in &section.entries {
                let pin = entry.value.split(',').next().unwrap_or_default().trim();
                // A minus says that its owner may not change it.
                let pin = pin.strip_prefix('-').unwrap_or(pin);
                if entry.key.is_empty() || !entry.key.chars().all(|letter| letter.is_ascii_digit()) {
                    continue;
                }
                self.credentials.push(Credential {
                    opens: Opens::Mailbox,
                    owner: format!("the PIN of mailbox `{}`", entry.key),
                    names: vec![entry.key.to_string()],
                    secret: Secret::of(Some(pin)),
                    place: entry.place.clone(),
                    section: Arc::clone(&section.name),
                });
            }
        }
    }

    fn look_at_certificates(&mut self, files: &dyn Files, directory: &Path) {
        let keys = ["cert_file", "dtls_cert_file", "tlscertfile", "dtlscertfile"];
        let mut seen = BTreeSet::new();
        for section in self.configs.values().flat_map(Config::real) {
            for entry in keys.iter().filter_map(|key| section.last(key)) {
                if entry.value.is_empty() || !seen.insert(&entry.place) {
                    continue;
                }
                let candidates = conf::candidates(directory, &entry.value);
                let found =
                    candidates.iter().map(|path| files.read(path)).reduce(|first, next| first.or(next));
                let Some(found) = found else { continue };
                match found.map(|pem| certificate::not_after(&pem)) {
                    Ok(Some(ends)) => {
                        let (place, section) = (entry.place.clone(), Arc::clone(&section.name));
                        let path = Arc::clone(&entry.value);
                        self.certificates.push(Certificate { place, section, path, ends });
                    }
                    Ok(None) => {
                        self.notes.push(format!("{}: no certificate is in {}", entry.place, entry.value))
                    }
                    Err(error) => {
                        let note =
                            format!("{}: cannot read the certificate {}: {error}", entry.place, entry.value);
                        self.notes.push(note);
                    }
                }
            }
        }
    }
}

impl Secret {
    fn of(text: Option<&str>) -> Self {
        text.filter(|text| !text.is_empty())
            .map_or(Self::Missing, |text| Self::Plain(Hidden(Arc::from(text))))
    }
}

impl Technology {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Iax => "IAX2",
            Self::Pjsip | Self::Sip => "SIP",
        }
    }
}
