//! Findings, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::accepted::Accepted;
use crate::checks::{Check, Severity};
use crate::conf::Place;

/// More places of one kind are only counted in the text; programs get them all.
const SHOWN: usize = 10;
/// A message's length in letters.
const MAX_MESSAGE: usize = 400;

/// Something that is weak.
#[derive(Clone, Debug)]
pub struct Finding {
    pub check: &'static Check,
    pub place: Place,
    /// The section in which it is, for those who accept it there only.
    pub section: Option<String>,
    /// What is weak here; one line that a terminal may be given.
    pub message: String,
}

/// Whether there may be colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    Plain,
    Terminal,
}

/// What an audit found, the worst first.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub notes: Vec<String>,
    /// How many were accepted.
    pub accepted: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'static str,
    severity: &'static str,
    file: &'a str,
    line: u32,
    message: &'a str,
    fix: String,
}

impl Report {
    pub(crate) fn new(notes: Vec<String>) -> Self {
        Self { findings: Vec::new(), notes, accepted: 0 }
    }

    pub(crate) fn add(&mut self, check: &'static Check, place: Place, section: Option<&str>, message: &str) {
        let message = harmless(message);
        let section = section.map(harmless);
        self.findings.push(Finding { check, place, section, message });
    }

    /// The worst first, then as in the registry, then by place; nothing twice.
    pub(crate) fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            let key = |finding: &Finding| (finding.check.severity, finding.check.id);
            key(a).cmp(&key(b)).then_with(|| (&a.place, &a.message).cmp(&(&b.place, &b.message)))
        });
        self.findings
            .dedup_by(|a, b| a.check.id == b.check.id && a.place == b.place && a.message == b.message);
    }

    /// Takes out what somebody accepted.
    pub fn accept(&mut self, accepted: &mut Accepted) {
        let before = self.findings.len();
        self.findings.retain(|finding| !accepted.covers(finding));
        self.accepted += before - self.findings.len();
    }

    /// One JSON object a line.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let line = Line {
                id: finding.check.id,
                severity: finding.check.severity.as_str(),
                file: &finding.place.file,
                line: finding.place.line,
                message: &finding.message,
                fix: finding.check.fix(),
            };
            text += &serde_json::to_string(&line).unwrap_or_default();
            text.push('\n');
        }
        text
    }

    /// For people.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for group in self.findings.chunk_by(|a, b| a.check.id == b.check.id) {
            let Some(Finding { check, .. }) = group.first() else { continue };
            let severity = paint(check.severity, style);
            let _ = writeln!(text, "{severity}  {}  [{}]", check.title, check.id);
            for finding in group.iter().take(SHOWN) {
                let _ = writeln!(text, "  {}  {}", finding.place, finding.message);
            }
            if let Some(more) = group.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                let _ = writeln!(text, "  and {more} more; `--format json` shows them all");
            }
            let _ = writeln!(text, "  Why: {}", check.why);
            let _ = writeln!(text, "  Asterisk: {}", check.asterisk);
            let _ = writeln!(text, "  FreePBX: {}\n", check.freepbx);
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let accepted = match self.accepted {
            0 => String::new(),
            count => format!(" ({count} accepted)"),
        };
        if self.findings.is_empty() {
            return format!("nothing needs attention{accepted}\n");
        }
        let counts: Vec<String> = Severity::ALL
            .iter()
            .map(|severity| {
                (severity, self.findings.iter().filter(|f| f.check.severity == *severity).count())
            })
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| format!("{count} {}", severity.as_str()))
            .collect();
        format!("{} to look at: {}{accepted}\n", self.findings.len(), counts.join(", "))
    }
}

fn paint(severity: Severity, style: Style) -> String {
    let word = severity.as_str().to_uppercase();
    let colour = match severity {
        Severity::High => 31,
        Severity::Medium => 33,
        Severity::Low => 36,
    };
    match style {
        Style::Plain => word,
        Style::Terminal => format!("\u{1b}[1;{colour}m{word}\u{1b}[0m"),
    }
}

/// Names come from files: on one line, not too long, without what a terminal would obey.
fn harmless(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_MESSAGE)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if text.chars().nth(MAX_MESSAGE).is_some() {
        shown.push('…');
    }
    shown
}
