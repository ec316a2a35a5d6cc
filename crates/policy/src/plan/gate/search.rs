//! What the gate can search a packet for.

use gate::layout::Output;

use crate::plan::automaton::{self, Needle};
use crate::ruleset::{HeaderPattern, HeaderText, Match, Text};

/// A signature, from either policy language.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Search {
    Text(Text),
    Header(HeaderText),
}

impl Search {
    /// The signature of a match that is one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other match looks at headers of the network only"
    )]
    pub(super) fn of(one: &Match) -> Option<Self> {
        match one {
            Match::Text(text) => Some(Self::Text(text.clone())),
            Match::Header(header) => Some(Self::Header(header.clone())),
            _ => None,
        }
    }

    pub(super) fn is_negated(&self) -> bool {
        match self {
            Self::Text(text) => text.negated,
            Self::Header(_) => false,
        }
    }

    /// For logs, where the policy gives it no name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Text(text) => super::printable(&text.pattern),
            Self::Header(header) => {
                let (HeaderPattern::Text(text) | HeaderPattern::Regex(text)) = header.pattern();
                super::printable(text.as_bytes())
            }
        }
    }

    pub(super) fn needle(&self, signature: usize, group: usize) -> Needle {
        let number = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
        let output =
            Output { signature: number(signature), group: number(group), length: 0, from: 0, to: u16::MAX };
        match self {
            Self::Text(text) => Needle {
                pattern: automaton::literal(&text.pattern, text.icase),
                output: Output { length: number(text.pattern.len()), from: text.from, to: text.to, ..output },
            },
            Self::Header(header) => Needle { pattern: header.needle().clone(), output },
        }
    }
}
