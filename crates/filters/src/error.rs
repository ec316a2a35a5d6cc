use std::path::PathBuf;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    pub file: Arc<PathBuf>,
    /// From 1; 0 where it is the whole file.
    pub line: usize,
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{problem}", self.place.as_ref().map(shown).unwrap_or_default())]
pub struct Error {
    /// Where the option is that is wrong; of several regular expressions in it, `regex` says which.
    pub place: Option<Place>,
    pub problem: String,
    /// The regular expression, after everything in it was replaced.
    pub regex: Option<String>,
    /// What can be done.
    pub help: Option<String>,
}

impl Error {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { place: None, problem: problem.into(), regex: None, help: None }
    }

    pub(crate) fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    pub(crate) fn regex(mut self, regex: &str) -> Self {
        self.regex.get_or_insert_with(|| regex.to_owned());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn shown(place: &Place) -> String {
    if place.line == 0 {
        format!("{}: ", place.file.display())
    } else {
        format!("{}:{}: ", place.file.display(), place.line)
    }
}
