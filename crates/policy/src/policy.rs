//! A policy file, whichever language it is written in.

use std::sync::Arc;

use crate::detection::Detection;
use crate::diagnostic::{Diagnostic, Source};
use crate::feed::Feed;
use crate::iptables;
use crate::jail::Jail;
use crate::ruleset::{Family, Networks, RuleSet, Unproven};
use crate::sensor::{Hep, Manager};
use crate::toml::{self, Action, Service};
use crate::watch::{EventFiles, Metrics};

/// The language of a policy file, told by its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// What `iptables-save` and `ip6tables-save` write.
    Iptables,
    Toml,
}

impl Language {
    /// The first line that says something decides: `*filter`, a chain or a rule, or else TOML.
    pub fn of(text: &str) -> Self {
        let first = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#'));
        let rules = first.is_some_and(|line| line.starts_with(['*', ':', '-']) || line.trim() == "COMMIT");
        if rules { Self::Iptables } else { Self::Toml }
    }
}

/// A checked policy.
#[derive(Clone, Debug)]
pub struct Policy {
    source: Arc<Source>,
    language: Language,
    sets: Vec<RuleSet>,
    networks: Networks,
    trusted_names: Vec<String>,
    services: Vec<Service>,
    default: Option<Action>,
    unproven: Unproven,
    detection: Detection,
    feeds: Vec<Feed>,
    jails: Vec<Jail>,
    managers: Vec<Manager>,
    hep: Option<Hep>,
    metrics: Option<Metrics>,
    events: EventFiles,
    warnings: Vec<Diagnostic>,
}

impl Policy {
    /// Reads and checks a policy. `name` is what the user called the file.
    ///
    /// # Errors
    ///
    /// Every mistake in it, in the order of lines. A policy is used whole or not at all.
    pub fn parse(name: &str, bytes: Vec<u8>) -> Result<Self, Vec<Diagnostic>> {
        let source = Source::from_bytes(name, bytes).map_err(|mistake| vec![mistake])?;
        let language = Language::of(source.text());
        match language {
            Language::Iptables => {
                let file = iptables::parse_source(Arc::clone(&source))?;
                let sets: Vec<RuleSet> = [file.ipv4, file.ipv6].into_iter().flatten().collect();
                Ok(Self {
                    source,
                    language,
                    detection: Detection::of_rules(&sets),
                    sets,
                    networks: Networks::default(),
                    trusted_names: Vec::new(),
                    services: Vec::new(),
                    default: None,
                    unproven: Unproven::default(),
                    feeds: Vec::new(),
                    jails: Vec::new(),
                    managers: Vec::new(),
                    hep: None,
                    metrics: None,
                    events: EventFiles::SHIPPED,
                    warnings: file.warnings,
                })
            }
            Language::Toml => {
                let toml = toml::parse(&source)?;
                Ok(Self {
                    source,
                    language,
                    sets: toml.sets.into(),
                    networks: toml.networks,
                    trusted_names: toml.trusted_names,
                    services: toml.services,
                    default: Some(toml.default),
                    unproven: toml.unproven,
                    detection: toml.detection,
                    feeds: toml.feeds,
                    jails: toml.jails,
                    managers: toml.managers,
                    hep: toml.hep,
                    metrics: toml.metrics,
                    events: toml.events,
                    warnings: toml.warnings,
                })
            }
        }
    }

    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    pub fn language(&self) -> Language {
        self.language
    }

    /// One rule set per family that the policy speaks of.
    pub fn sets(&self) -> &[RuleSet] {
        &self.sets
    }

    /// The rule set that judges packets of this family; without one everything of the family is accepted.
    pub fn set(&self, family: Family) -> Option<&RuleSet> {
        self.sets.iter().find(|set| set.family == family)
    }

    /// Networks that the rule sets accept or drop before they look at anything else.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// DNS names that are never banned, in small letters; whoever enforces the policy follows their addresses. A file of
    /// iptables-save has none.
    pub fn trusted_names(&self) -> &[String] {
        &self.trusted_names
    }

    /// What is open, as written; a file of iptables-save has none.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// What happens to what nothing allows; a file of iptables-save has its chains' policies instead.
    pub fn default_action(&self) -> Option<Action> {
        self.default
    }

    /// What is taken in from sources that have not shown that their address is their own.
    pub fn unproven(&self) -> &Unproven {
        &self.unproven
    }

    /// What the engine is to look for.
    pub fn detection(&self) -> &Detection {
        &self.detection
    }

    /// Block lists to ask for; a file of iptables-save has none.
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Logs to search; a file of iptables-save has none.
    pub fn jails(&self) -> &[Jail] {
        &self.jails
    }

    /// PBXs that tell who tries to get in; a file of iptables-save has none.
    pub fn managers(&self) -> &[Manager] {
        &self.managers
    }

    /// Copies of SIP messages, if the policy has any to do with them.
    pub fn hep(&self) -> Option<&Hep> {
        self.hep.as_ref()
    }

    /// Where metrics are served; a file of iptables-save serves none.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// How large the file of events may become.
    pub fn event_files(&self) -> EventFiles {
        self.events
    }

    /// Places where the policy stands but hardly does what its author meant.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// Whether a text may be a DNS name (RFC 1123 section 2.1, with the underscore that SRV names have).
pub fn is_dns_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
    };
    let last_is_number = text
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && text.trim_end_matches('.').split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_wrong_addresses() {
        for name in ["sip.example.net", "carrier", "_sip._udp.example.net.", "a1.b2"] {
            assert!(is_dns_name(name), "{name}");
        }
        for wrong in
            ["", "203.0.113.300", "203.0.113", "a..b", "-a.example", "a b", "exämple.net", "203.0.113.0/33"]
        {
            assert!(!is_dns_name(wrong), "{wrong}");
        }
    }
}
