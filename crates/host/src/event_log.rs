//! Events as JSON, one object a line, in files of bounded size and number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use policy::watch::EventFiles;

use crate::error::Error;

/// The files of this daemon: `events.jsonl`, and before it `events.jsonl.1`, `events.jsonl.2` and so on.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: BufWriter<File>,
    /// Of `events.jsonl`, with what is buffered.
    bytes: u64,
    bounds: EventFiles,
    /// Lines that could not be written.
    lost: u64,
}

impl EventLog {
    /// Opens `events.jsonl` in `folder` at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder or file cannot be made.
    pub fn open(folder: &Path, bounds: EventFiles) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = folder.join("events.jsonl");
        let file = append(&path).map_err(Error::io("open", &path))?;
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
        let log = Self { path, file: BufWriter::new(file), bytes, bounds, lost: 0 };
        log.forget_more_than_kept();
        Ok(log)
    }

    /// Keeps to other bounds from now on.
    pub fn follow(&mut self, bounds: EventFiles) {
        self.bounds = bounds;
        self.forget_more_than_kept();
    }

    /// Adds a line. A full disk must not stop the guard: what cannot be written is counted.
    pub fn line(&mut self, event: &serde_json::Value) {
        let mut text = event.to_string();
        text.push('\n');
        let length = text.len() as u64;
        // What was there before may be longer than a smaller bound allows; a line alone goes into a file of its own.
        if self.bytes > 0
            && self.bytes.saturating_add(length) > self.bounds.max_bytes
            && self.rotate().is_err()
        {
            self.lost += 1;
            return;
        }
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => self.bytes = self.bytes.saturating_add(length),
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

    /// Begins a new file. Each step is a rename, so that whatever happens between two of them no line is lost but the oldest.
    /// If it fails, the file that is written stays, and what is not there yet is done the next time.
    fn rotate(&mut self) -> io::Result<()> {
        if self.path.exists() {
            self.make_room()?;
            self.file.flush()?;
            fs::rename(&self.path, self.numbered(1))?;
        }
        self.file = BufWriter::new(append(&self.path)?);
        self.bytes = 0;
        Ok(())
    }

    /// Frees the number 1: each file takes the next one, up to the first that is free. Without any the oldest is gone, and on a
    /// disk that is full with it the want of room.
    fn make_room(&self) -> io::Result<()> {
        let keep = self.bounds.keep;
        let free = (1..=keep).find(|number| !self.numbered(*number).exists());
        if free.is_none() {
            fs::remove_file(self.numbered(keep))?;
        }
        (1..free.unwrap_or(keep))
            .rev()
            .try_for_each(|number| fs::rename(self.numbered(number), self.numbered(number + 1)))
    }

    /// Files of a time when more were kept.
    fn forget_more_than_kept(&self) {
        let mut number = self.bounds.keep;
        loop {
            number = number.saturating_add(1);
            if fs::remove_file(self.numbered(number)).is_err() {
                return;
            }
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests;
