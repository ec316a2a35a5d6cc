//! Filters on the disk, and the lines of logs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use filters::{Files, MAX_FILE, MAX_LINE};
use flate2::bufread::MultiGzDecoder;
use policy::diagnostic::{Diagnostic, Source};

use crate::exit::Exit;

/// Folders with filters, if nothing else is said; the first that has one of a name decides.
pub(crate) const FILTER_FOLDERS: [&str; 2] = ["/etc/ringfence/filter.d", "/etc/fail2ban/filter.d"];

/// The disk, as the place where filters are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        // One byte more than is allowed, so that too much is seen.
        File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn list(&self, folder: &Path, extension: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut paths: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|is| is == extension)).collect();
        paths.sort();
        paths
    }
}

/// A filter's mistake with the line where it is.
pub(crate) fn told(error: &filters::Error) -> Exit {
    let Some(place) = &error.place else {
        let help = error.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
        return Exit::No(format!("{error}{help}"));
    };
    let text = Disk.read(&place.file).unwrap_or_default();
    // Of an option of several lines the one that is meant, if it stands there as it is.
    let first = place.line.saturating_sub(1);
    let regex = error.regex.as_deref().unwrap_or_default();
    let is_meant = |line: &str| !regex.is_empty() && line.trim_end().ends_with(regex);
    let further = text.lines().skip(first).position(is_meant).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(first + further).map(str::len).sum();
    let line = text.get(before..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let source = Source::new(place.file.display().to_string(), text.as_str());
    let mut mistake = Diagnostic::new(&source, before..before + line.len(), error.problem.clone());
    if let Some(regex) = &error.regex {
        mistake = mistake.with_label(format!("in `{}`", shortened(regex, 300)));
    }
    if let Some(help) = &error.help {
        mistake = mistake.with_help(help.clone());
    }
    Exit::Policy(vec![mistake])
}

/// A text that a terminal may be given: on one line, not too long, without what it would obey.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(most)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// The lines of a log, of which the end of very long ones is left out.
pub(crate) struct LogLines {
    input: Box<dyn BufRead>,
    /// A line that does not lie in the buffer as a whole.
    line: Vec<u8>,
    /// Bytes of the buffer that were given away as the last line.
    given: usize,
}

impl LogLines {
    /// Opens a file, plain or gzip, or stdin for `-`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let plain: Box<dyn Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
        let mut plain = BufReader::with_capacity(1 << 16, plain);
        let packed = plain.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn BufRead> = if packed {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { input, line: Vec::new(), given: 0 })
    }

    /// The next line without its end, or with one byte more than [`MAX_LINE`] where it is longer.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.input.consume(std::mem::take(&mut self.given));
        let end = memchr::memchr(b'\n', self.input.fill_buf()?);
        if let Some(end) = end.filter(|end| *end <= MAX_LINE) {
            self.given = end + 1;
            return Ok(self.input.fill_buf()?.get(..end));
        }
        self.line.clear();
        let mut begun = false;
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(begun.then_some(self.line.as_slice()));
            }
            begun = true;
            let end = memchr::memchr(b'\n', bytes);
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            let room = (MAX_LINE + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(&self.line));
            }
        }
    }
}
