//! A policy file, whichever language it is written in.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source};
use crate::iptables;
use crate::ruleset::{Family, RuleSet};

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
        let file = match language {
            Language::Iptables => iptables::parse_source(Arc::clone(&source))?,
            Language::Toml => {
                return Err(vec![Diagnostic::new(&source, 0..0, "this is not what iptables-save writes")]);
            }
        };
        let warnings = file.warnings.clone();
        let sets = [file.ipv4, file.ipv6].into_iter().flatten().collect();
        Ok(Self { source, language, sets, warnings })
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

    /// Places where the policy stands but hardly does what its author meant.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}
