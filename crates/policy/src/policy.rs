//! A policy file, whichever language it is written in.

use std::sync::Arc;

use crate::detection::Detection;
use crate::diagnostic::{Diagnostic, Source};
use crate::feed::Feed;
use crate::iptables;
use crate::jail::Jail;
use crate::ruleset::{Family, Networks, RuleSet, Unproven};
use crate::sensor::{Hep, Manager};
use crate::toml;
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
