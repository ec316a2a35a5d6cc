//! Asterisk's configuration format: sections, templates, inheritance, additions, includes, comments.
//!
//! What Asterisk would do with a line is `main/config.c`; where it would refuse the whole file, the line is told and the rest is
//! still read, because a weak secret below a typing error is weak nevertheless.

mod glob;
mod header;
mod reader;
mod strip;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::files::Files;
use crate::socket::Socket;
use reader::Reader;

/// Where Asterisk's packages and FreePBX put the configuration.
pub(crate) const USUAL: &str = "/etc/asterisk";

/// Where a file may be that is named in the configuration. The directory may be a copy, in which whole paths name what is in it.
pub(crate) fn candidates(directory: &Path, name: &str) -> Vec<PathBuf> {
    let path = directory.join(name);
    match Path::new(name).strip_prefix(USUAL) {
        Ok(rest) if directory != Path::new(USUAL) => vec![directory.join(rest), path],
        _ => vec![path],
    }
}

/// A line in a file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Relative to the configuration directory, if it is in there.
    pub file: Arc<str>,
    /// From 1; 0 where it is no line of a file.
    pub line: u32,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn file(name: &str) -> Self {
        Self { file: Arc::from(name), line: 0 }
    }

    /// A port of this host: `tcp/3306`.
    pub(crate) fn socket(socket: &Socket) -> Self {
        Self::file(&format!("{}/{}", socket.protocol.as_str(), socket.port))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A key and its value.
#[derive(Clone, Eq, PartialEq)]
pub struct Entry {
    pub key: Arc<str>,
    pub value: Arc<str>,
    pub place: Place,
}

/// Values may be secrets, and what is debugged lands in logs.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.key, self.place)
    }
}

/// A section with what it inherited, in the order in which Asterisk sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Section {
    pub name: Arc<str>,
    pub place: Place,
    pub is_template: bool,
    pub entries: Vec<Entry>,
}

impl Section {
    /// The last entry with this key: for all settings that can be given once, the one that counts.
    #[must_use]
    pub fn last(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key))
    }

    /// Its value, without those that are empty.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.last(key).map(|entry| &*entry.value).filter(|value| !value.is_empty())
    }

    /// All entries with this key.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.key.eq_ignore_ascii_case(key))
    }

    /// A switch; `None` where it is not set, or is neither on nor off.
    #[must_use]
    pub fn switch(&self, key: &str) -> Option<bool> {
        switch(self.value(key)?)
    }

    /// Where the key is set, else where the section begins.
    #[must_use]
    pub fn place_of(&self, key: &str) -> &Place {
        self.last(key).map_or(&self.place, |entry| &entry.place)
    }
}

/// Words for on and off.
#[must_use]
pub fn switch(value: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(&["yes", "true", "y", "t", "1", "on"]) {
        Some(true)
    } else if is(&["no", "false", "n", "f", "0", "off"]) {
        Some(false)
    } else {
        None
    }
}

/// A line with which Asterisk can do nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    pub place: Place,
    pub section: Option<Arc<str>>,
    /// What is wrong; never the line itself, which may hold a secret.
    pub what: String,
}

/// A program whose output Asterisk would read. It is not run here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exec {
    pub place: Place,
    pub section: Option<Arc<str>>,
    /// The path of the program, without its arguments.
    pub program: String,
}

/// A file with all that it includes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// As in the file; what has the same name stands there as often.
    pub sections: Vec<Section>,
    pub problems: Vec<Problem>,
    pub execs: Vec<Exec>,
}

impl Config {
    /// Reads a file of the directory; `None` where it is not there.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn load(files: &dyn Files, directory: &Path, name: &str) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(files, directory);
        let path: PathBuf = directory.join(name);
        Ok(reader.file(&path)?.then(|| reader.finish()))
    }

    /// Sections that stand for something, templates left out.
    pub fn real(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| !section.is_template)
    }

    /// The section of this name, with all of them as one: as Asterisk reads `[general]` and dialplan contexts.
    #[must_use]
    pub fn merged(&self, name: &str) -> Option<Section> {
        let mut of_name = self.real().filter(|section| section.name.eq_ignore_ascii_case(name));
        let mut merged = of_name.next()?.clone();
        of_name.for_each(|section| merged.entries.extend(section.entries.iter().cloned()));
        Some(merged)
    }
}
