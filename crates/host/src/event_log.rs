//! Events as JSON, one object a line, in a file of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// `events.jsonl` is renamed to `events.jsonl.1` when it reaches this size; what was there before is gone.
pub const MAX_BYTES: u64 = 16 << 20;

/// The file of this daemon.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    max: u64,
    /// Lines that could not be written.
    lost: u64,
}

impl EventLog {
    /// Opens `events.jsonl` in `folder` at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder or file cannot be made.
    pub fn open(folder: &Path, max: u64) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = folder.join("events.jsonl");
        let file = append(&path)?;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        Ok(Self { path, file: BufWriter::new(file), bytes, max, lost: 0 })
    }

    /// Adds a line. A full disk must not stop the guard: what cannot be written is counted.
    pub fn line(&mut self, event: &serde_json::Value) {
        let mut text = event.to_string();
        text.push('\n');
        if self.bytes.saturating_add(text.len() as u64) > self.max {
            self.rotate();
        }
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => self.bytes = self.bytes.saturating_add(text.len() as u64),
            Err(_) => self.lost += 1,
        }
    }

    /// Hands what is buffered to the kernel.
    pub fn flush(&mut self) {
        if self.file.flush().is_err() {
            self.lost += 1;
        }
    }

    /// Lines that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn rotate(&mut self) {
        self.flush();
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        if fs::rename(&self.path, old).is_ok()
            && let Ok(file) = append(&self.path)
        {
            self.file = BufWriter::new(file);
            self.bytes = 0;
        }
    }
}

fn append(path: &Path) -> Result<File, Error> {
    OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_stay_below_twice_the_bound() {
        let folder = std::env::temp_dir().join(format!("ringfence-events-{}", std::process::id()));
        let mut log = EventLog::open(&folder, 1000).unwrap();
        for number in 0..200 {
            log.line(&serde_json::json!({ "type": "packet", "frame": number }));
        }
        log.flush();
        let size = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
        assert!(size("events.jsonl") <= 1000 && size("events.jsonl.1") <= 1000);
        let last = fs::read_to_string(folder.join("events.jsonl")).unwrap();
        assert!(last.ends_with("{\"type\":\"packet\",\"frame\":199}\n"), "{last}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
