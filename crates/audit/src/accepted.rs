//! Findings that somebody accepted, with the reason.

use crate::checks;
use crate::report::Finding;

/// The most lines of a list.
const MAX_LINES: usize = 10_000;

/// A line that cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct AcceptedError {
    pub line: usize,
    pub problem: String,
}

#[derive(Clone, Debug)]
struct Rule {
    line: usize,
    id: String,
    file: Option<String>,
    section: Option<String>,
    used: bool,
}

/// Lines such as `plain-media pjsip.conf:trunk # the carrier has no SRTP`.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    rules: Vec<Rule>,
}

impl Accepted {
    /// Reads a list.
    ///
    /// # Errors
    /// The first line that is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, AcceptedError> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let wrong = |problem: String| AcceptedError { line: number, problem };
            if number > MAX_LINES {
                return Err(wrong(format!("more than {MAX_LINES} lines")));
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (what, reason) = line.split_once('#').unwrap_or((line, ""));
            if reason.trim().is_empty() {
                return Err(wrong("it is not said why: end the line with `# reason`".to_owned()));
            }
            let what = what.trim();
            let (id, place) = what.split_once(char::is_whitespace).unwrap_or((what, ""));
            if checks::named(id).is_none() {
                return Err(wrong(format!("no finding is called `{id}`")));
            }
            let place = place.trim();
            let (file, section) = match place.split_once(':') {
                Some((file, section)) => (file, Some(section.to_owned())),
                None => (place, None),
            };
            let file = Some(file.to_owned()).filter(|file| !file.is_empty());
            rules.push(Rule { line: number, id: id.to_owned(), file, section, used: false });
        }
        Ok(Self { rules })
    }

    /// Lines that silenced nothing.
    pub fn unused(&self) -> impl Iterator<Item = (usize, &str)> {
        self.rules.iter().filter(|rule| !rule.used).map(|rule| (rule.line, rule.id.as_str()))
    }

    pub(crate) fn covers(&mut self, finding: &Finding) -> bool {
        let mut covered = false;
        for rule in &mut self.rules {
            let covers = rule.id == finding.check.id
                && rule.file.as_deref().is_none_or(|file| file == &*finding.place.file)
                && rule.section.as_deref().is_none_or(|section| finding.section.as_deref() == Some(section));
            rule.used |= covers;
            covered |= covers;
        }
        covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_required() {
        for (text, problem) in [
            ("weak-secret", "line 1: it is not said why: end the line with `# reason`"),
            ("\nweak-secret pjsip.conf #  ", "line 2: it is not said why: end the line with `# reason`"),
            ("weak-secrets # x", "line 1: no finding is called `weak-secrets`"),
        ] {
            assert_eq!(Accepted::parse(text).unwrap_err().to_string(), problem);
        }
        let accepted = Accepted::parse("# all\n\nweak-secret iax.conf:carrier # theirs, not ours").unwrap();
        assert_eq!(accepted.unused().collect::<Vec<_>>(), [(3, "weak-secret")]);
    }
}
