//! Reads a file and what it includes, line by line.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::header::Header;
use super::strip::Comments;
use super::{Config, Entry, Exec, Place, Problem, Section, glob};
use crate::Error;
use crate::files::{Files, MAX_FILE};

/// Asterisk's own bound on files within files.
const MAX_DEPTH: usize = 10;
/// Asterisk reads so many bytes of a line at a time; what is longer becomes two lines.
const MAX_LINE: usize = 8_190;
const MAX_FILES: usize = 2_000;
const MAX_LINES: usize = 2_000_000;
const MAX_SECTIONS: usize = 200_000;
/// With those that are inherited.
const MAX_ENTRIES: usize = 4_000_000;
/// More are not told: a file that is no configuration has one in each line.
const MAX_PROBLEMS: usize = 1_000;

/// What one read of a file with its includes may cost, and what it gave.
pub(super) struct Reader<'f> {
    files: &'f dyn Files,
    directory: PathBuf,
    config: Config,
    depth: usize,
    files_read: usize,
    lines: usize,
    entries: usize,
}

/// A file that is being read.
struct Frame {
    name: Arc<str>,
    line: u32,
    /// Into which section entries go. A file that is included begins in its includer's.
    section: Option<usize>,
}

impl Frame {
    fn place(&self) -> Place {
        Place { file: Arc::clone(&self.name), line: self.line }
    }
}

impl<'f> Reader<'f> {
    pub(super) fn new(files: &'f dyn Files, directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self { files, directory, config: Config::default(), depth: 0, files_read: 0, lines: 0, entries: 0 }
    }

    pub(super) fn finish(self) -> Config {
        self.config
    }

    /// Reads the file; false where there is none.
    pub(super) fn file(&mut self, path: &Path) -> Result<bool, Error> {
        self.file_in(path, None)
    }

    fn file_in(&mut self, path: &Path, section: Option<usize>) -> Result<bool, Error> {
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) if is_no_file(error.kind()) => return Ok(false),
            Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
        };
        self.files_read += 1;
        if bytes.len() > MAX_FILE {
            return Err(Error::TooLarge { path: path.to_owned() });
        }
        let shown = path.strip_prefix(&self.directory).unwrap_or(path);
        let mut frame = Frame { name: Arc::from(shown.to_string_lossy()), line: 0, section };
        let text = String::from_utf8_lossy(&bytes);
        let mut comments = Comments::default();
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
            frame.line = frame.line.saturating_add(1);
            self.lines += 1;
            if self.lines > MAX_LINES {
                self.problem(&frame, "there are too many lines; the rest is not read");
                break;
            }
            if line.len() > MAX_LINE {
                self.problem(&frame, "the line is longer than Asterisk reads");
                continue;
            }
            let line = comments.strip(line, frame.line);
            self.line(line.trim(), &mut frame)?;
        }
        if let Some(line) = comments.unended() {
            frame.line = line;
            self.problem(
                &frame,
                "the comment that begins here with `;--` is never ended, so the rest of the file is one",
            );
        }
        Ok(true)
    }

    fn line(&mut self, line: &str, frame: &mut Frame) -> Result<(), Error> {
        if line.is_empty() {
            return Ok(());
        }
        if line.starts_with('[') {
            self.header(line, frame);
        } else if let Some(directive) = line.strip_prefix('#') {
            return self.directive(directive, frame);
        } else {
            self.entry(line, frame);
        }
        Ok(())
    }

    fn header(&mut self, line: &str, frame: &mut Frame) {
        let header = match Header::parse(line) {
            Ok(header) => header,
            Err(what) => {
                self.problem(frame, what);
                return self.lose(frame);
            }
        };
        if let Some(conditions) = &header.adds {
            let found = self.config.sections.iter().rposition(|section| {
                *section.name == *header.name
                    && conditions.iter().all(|(key, value)| section.value(key) == Some(*value))
            });
            if found.is_none() {
                let what = format!("there is no section `{}` above to which it could be added", header.name);
                self.problem(frame, what);
            }
            if let Some(found) = found {
                frame.section = Some(found);
                self.inherit(found, &header.parents, frame);
                return;
            }
        }
        if self.config.sections.len() >= MAX_SECTIONS {
            frame.section = None;
            return self.problem(frame, "there are too many sections");
        }
        self.config.sections.push(Section {
            name: Arc::from(header.name),
            place: frame.place(),
            is_template: header.is_template,
            entries: Vec::new(),
        });
        let index = self.config.sections.len() - 1;
        frame.section = Some(index);
        self.inherit(index, &header.parents, frame);
    }

    /// What follows belongs to a section that nobody knows: it is told once, not in every line.
    fn lose(&mut self, frame: &mut Frame) {
        let section =
            Section { name: Arc::from(""), place: frame.place(), is_template: true, entries: Vec::new() };
        self.config.sections.push(section);
        frame.section = Some(self.config.sections.len() - 1);
    }

    fn inherit(&mut self, index: usize, parents: &[&str], frame: &Frame) {
        for parent in parents {
            let found = self
                .config
                .sections
                .iter()
                .enumerate()
                .rev()
                .find(|(place, section)| *place != index && *section.name == **parent)
                .map(|(_, section)| section.entries.clone());
            let Some(entries) = found else {
                self.problem(
                    frame,
                    format!("there is no section `{parent}` above that it could inherit from"),
                );
                continue;
            };
            if self.entries + entries.len() > MAX_ENTRIES {
                return self.problem(frame, "too much is inherited");
            }
            self.entries += entries.len();
            if let Some(section) = self.config.sections.get_mut(index) {
                section.entries.extend(entries);
            }
        }
    }

    fn entry(&mut self, line: &str, frame: &mut Frame) {
        let Some((key, value)) = line.split_once('=') else {
            return self.problem(frame, "the line has no `=`, so Asterisk ignores it");
        };
        let Some(section) = frame.section.and_then(|index| self.config.sections.get_mut(index)) else {
            self.problem(frame, "the line stands in no section, so Asterisk does not read the file");
            return self.lose(frame);
        };
        if self.entries >= MAX_ENTRIES {
            return self.problem(frame, "there are too many lines");
        }
        self.entries += 1;
        let value = value.strip_prefix('>').unwrap_or(value).trim();
        let appended = key.strip_suffix('+').map(str::trim);
        let key = appended.unwrap_or(key).trim();
        let before = appended.and_then(|key| section.value(key)).unwrap_or_default();
        let value = format!("{before}{value}");
        section.entries.push(Entry { key: Arc::from(key), value: Arc::from(value), place: frame.place() });
    }

    fn directive(&mut self, directive: &str, frame: &Frame) -> Result<(), Error> {
        let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
        let name = unquoted(rest.trim());
        let is_needed = match word.to_ascii_lowercase().as_str() {
            "include" => true,
            "tryinclude" => false,
            "exec" => {
                let program = name.split_whitespace().next().unwrap_or_default().to_owned();
                let section = self.section_name(frame);
                self.config.execs.push(Exec { place: frame.place(), section, program });
                return Ok(());
            }
            _ => {
                self.problem(frame, "nothing is known by this name after `#`, so Asterisk ignores the line");
                return Ok(());
            }
        };
        if name.is_empty() {
            self.problem(frame, "it is not said what to include");
            return Ok(());
        }
        self.include(name, is_needed, frame)
    }

    fn include(&mut self, name: &str, is_needed: bool, frame: &Frame) -> Result<(), Error> {
        if self.depth >= MAX_DEPTH {
            self.problem(frame, "files are included too deep, or include themselves");
            return Ok(());
        }
        let mut found = false;
        for path in super::candidates(&self.directory, name) {
            let paths = if glob::is_pattern(name) { glob::expand(self.files, &path) } else { vec![path] };
            found = self.include_all(paths, frame)?;
            if found {
                break;
            }
        }
        if !found && is_needed {
            self.problem(
                frame,
                format!("`{name}` is to be included and is not there, so Asterisk does not read the file"),
            );
        }
        Ok(())
    }

    /// True if one of them is there.
    fn include_all(&mut self, paths: Vec<PathBuf>, frame: &Frame) -> Result<bool, Error> {
        let mut found = false;
        for path in paths {
            if self.files_read >= MAX_FILES {
                self.problem(frame, "too many files are included");
                return Ok(true);
            }
            self.depth += 1;
            let read = self.file_in(&path, frame.section);
            self.depth -= 1;
            found |= read?;
        }
        Ok(found)
    }

    fn problem(&mut self, frame: &Frame, what: impl Into<String>) {
        if self.config.problems.len() < MAX_PROBLEMS {
            let problem =
                Problem { place: frame.place(), section: self.section_name(frame), what: what.into() };
            self.config.problems.push(problem);
        }
    }

    fn section_name(&self, frame: &Frame) -> Option<Arc<str>> {
        frame
            .section
            .and_then(|index| self.config.sections.get(index))
            .map(|section| Arc::clone(&section.name))
    }
}

/// Folders and devices are no files either.
fn is_no_file(kind: ErrorKind) -> bool {
    [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory, ErrorKind::InvalidInput]
        .contains(&kind)
}

/// Names of files may stand in quotes of several kinds.
fn unquoted(text: &str) -> &str {
    [('"', '"'), ('<', '>'), ('\'', '\'')]
        .into_iter()
        .find_map(|(open, close)| text.strip_prefix(open)?.split_once(close))
        .map_or(text, |(name, _)| name)
}
