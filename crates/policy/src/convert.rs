//! From a rule file to the TOML policy that says the same, and a list of what it says differently.
//!
//! What the TOML means, as far as the conversion relies on it; packets to this host meet, in this order:
//!
//! 1. loopback is accepted;
//! 2. all from `[trust]` networks is accepted, then all from `[block]` networks dropped (passing through this host, too);
//! 3. packets to services with `inspect` are searched for `[[signatures]]`, hits are logged and dropped;
//! 4. packets of known connections (ESTABLISHED, RELATED) are accepted;
//! 5. `icmp` accepts all, what the network needs (`essential`), or leaves it to `default`;
//! 6. services are accepted: TCP when it opens a connection (NEW), UDP in any state;
//! 7. `default` does the rest; packets through this host meet `forward`, its own leave freely.
//!
//! IPv6 always gets its neighbour discovery.
//!
//! A rule is taken over, or implied by that order, or named as a difference; none is lost without a word.

mod classify;
mod draft;
mod flatten;
mod write;

use self::draft::Draft;
use crate::iptables::IptablesFile;
use crate::ruleset::{Family, Line};

/// A policy as TOML text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Converted {
    /// With the comments of the rule file, and the differences as `# differs:` at its top.
    pub toml: String,
    /// In the order of the rules.
    pub differences: Vec<Difference>,
}

/// Something that the TOML does not say as the rule file does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// The rule, where one is at fault.
    pub line: Option<Line>,
    /// What the file does, and what the TOML does instead.
    pub text: String,
    /// What the rule file says about a rule that is left out.
    pub comments: Vec<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(Line(line)) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Converts a checked rule file.
pub fn convert(file: &IptablesFile) -> Converted {
    let mut draft = Draft::new(file.source());
    for family in [Family::Ipv4, Family::Ipv6] {
        if let Some(rules) = file.family(family) {
            classify::rule_set(rules, &mut draft);
        }
    }
    match (&file.ipv4, &file.ipv6) {
        (Some(_), None) => draft.differs(
            None,
            "the file has no rules for IPv6, so that all of it passes; the TOML judges IPv6 as it does IPv4",
        ),
        (None, Some(_)) => draft.differs(
            None,
            "the file has no rules for IPv4, so that all of it passes; the TOML judges IPv4 as it does IPv6",
        ),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if !draft.block.is_empty() && draft.forward.value == Some(draft::Action::Accept) {
        draft.differs(None, "the file lets blocked networks send through this host; the TOML does not");
    }
    let families: Vec<Family> =
        [&file.ipv4, &file.ipv6].into_iter().flatten().map(|rules| rules.family).collect();
    draft.finish(&families);
    draft.closing.clone_from(&file.closing_comments);
    let toml = write::toml(&draft, file.source().name());
    Converted { toml, differences: draft.differences }
}

#[cfg(test)]
mod tests;
