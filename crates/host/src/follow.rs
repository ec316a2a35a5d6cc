//! Log files, read line by line as they grow: through rotation, truncation, replacement and late appearance, each line once.
//!
//! A `Place` says how far a file was read, by what the file *is* (device and inode) and what it *holds* (its first bytes, and
//! those before the place). So a file is known again under another name, a copy goes on where the original was read to, and a
//! file that was emptied and filled again is a new one.

mod place;
mod watch;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub use self::place::{Place, PlaceError};
pub use self::watch::Watch;

/// Bytes of a line that are kept; the rest of it is passed over.
pub const MAX_LINE: usize = 64 * 1024;
/// Bytes that are read at a time.
const CHUNK: usize = 64 * 1024;
/// Files that are known to be read.
const MAX_DONE: usize = 8;
/// Files of one name that are looked at for what was not read before a rotation.
const MAX_SIBLINGS: usize = 1000;

/// One line, without its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Line<'a> {
    pub bytes: &'a [u8],
    /// It was longer than [`MAX_LINE`].
    pub is_cut: bool,
    /// An earlier run read it.
    pub is_old: bool,
}

/// A file that is followed by its name.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    open: Option<Open>,
    /// What was read before; used once, when the first file is opened.
    before: Option<Place>,
    /// Bytes before the place (or before the end of a file that was never read) that are read again.
    history: u64,
    /// Files that hold what was not read before they were renamed, oldest last.
    left: Vec<Open>,
    /// Ends of the files that were read last, so that none is read again under its new name.
    done: VecDeque<Place>,
    /// What changed about the file, for people.
    news: Vec<String>,
}

/// A file that is read.
#[derive(Debug)]
struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// Of the next byte to read.
    offset: u64,
    /// Lines that end before it were read by an earlier run.
    old_until: u64,
    /// The begin of a line whose end is not there yet.
    partial: Vec<u8>,
    /// Of that line the rest is passed over.
    is_cut: bool,
    head: place::Head,
    /// Behind the last whole line, as the file was when that was read.
    place: Place,
}

/// How far one turn came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    pub lines: u64,
    /// There is more to read.
    pub has_more: bool,
}

impl Follower {
    /// Follows `path`, which need not exist. `before` is where an earlier run stopped; of what comes before it, or of a file
    /// that was never read, up to `history` bytes are read too: as old lines, or as new ones.
    #[must_use]
    pub fn new(path: &Path, before: Option<Place>, history: u64) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
            before,
            history,
            left: Vec::new(),
            done: VecDeque::new(),
            news: Vec::new(),
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How far was read: behind the last whole line. `None` before there was a file.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        // What is left of an older file comes first.
        let open = self.left.last().or(self.open.as_ref())?;
        Some(open.place)
    }

    /// Bytes that are there and were not read yet.
    #[must_use]
    pub fn unread(&self) -> u64 {
        let of = |open: &Open| open.file.metadata().map_or(0, |file| file.len().saturating_sub(open.offset));
        self.left.iter().chain(&self.open).map(of).sum()
    }

    /// What happened to the file since the last call, for people.
    pub fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// Reads on: at most about `most` bytes. Each whole line is given to `each`; one that has no end yet waits for it.
    ///
    /// # Errors
    /// The file is there and cannot be read. Nothing is lost: the next turn goes on at the same place.
    pub fn read(&mut self, most: usize, mut each: impl FnMut(Line<'_>)) -> io::Result<Progress> {
        let mut progress = Progress::default();
        let mut budget = most;
        if self.left.is_empty() {
            self.look()?;
        }
        while let Some(old) = self.left.last_mut() {
            if old.read(&mut budget, &mut progress, &mut each)? {
                progress.has_more = true;
                return Ok(progress);
            }
            // Nobody writes its last line on.
            old.finish(&mut progress, &mut each);
            if self.done.len() == MAX_DONE {
                self.done.pop_front();
            }
            self.done.push_back(old.place);
            self.left.pop();
        }
        if let Some(open) = &mut self.open {
            progress.has_more = open.read(&mut budget, &mut progress, &mut each)?;
        }
        Ok(progress)
    }

    /// Finds out what the name stands for now.
    fn look(&mut self) -> io::Result<()> {
        let file = match open(&self.path) {
            Ok(file) => file,
            // A file that was renamed is read on until another takes its name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let Some(open) = &mut self.open else { return self.first(file, &metadata) };
        let is_same = open.device == metadata.dev() && open.inode == metadata.ino();
        if is_same {
            if metadata.len() >= open.offset && open.head.still_begins(&file) {
                return Ok(());
            }
            self.news.push("it was emptied".to_owned());
            let place = open.place;
            // Whoever copies a file and empties it may have copied lines that were not read yet.
            let copies = siblings(&self.path, |other| place.is_copied_to(other)).into_iter().take(1);
            self.left = copies.filter_map(|(file, _)| Open::at(file, &place).ok()).collect();
            self.open = Some(Open::new(file, 0)?);
            return Ok(());
        }
        let place = open.place;
        if place.is_copied_to(&file) {
            self.news.push("it was replaced by a copy of itself".to_owned());
            self.open = Some(Open::at(file, &place)?);
            return Ok(());
        }
        self.news.push("it was rotated".to_owned());
        let next = Open::new(file, 0)?;
        let old = self.open.replace(next);
        let others = self.newer_than(&metadata, &place);
        self.left = others;
        self.left.extend(old);
        Ok(())
    }

    /// The first file of this run.
    fn first(&mut self, file: File, metadata: &std::fs::Metadata) -> io::Result<()> {
        let Some(place) = self.before.take() else {
            let from = metadata.len().saturating_sub(self.history);
            self.open = Some(Open::new(file, 0)?.skip_to(from)?);
            return Ok(());
        };
        let again = |file: File| {
            let from = place.offset().saturating_sub(self.history);
            Open::at(file, &place)?.from(from)
        };
        if place.is_of(&file) || place.is_copied_to(&file) {
            self.open = Some(again(file)?);
            return Ok(());
        }
        // It was rotated meanwhile: what was not read is in a file with another name.
        let old = siblings(&self.path, |other| place.is_of(other) || place.is_copied_to(other));
        if let Some((old, _)) = old.into_iter().next() {
            self.news.push("it was rotated while nobody read it".to_owned());
            self.left = self.newer_than(metadata, &place);
            self.left.push(again(old)?);
        } else {
            self.news.push("where it was read to is gone; it is read from its begin".to_owned());
        }
        self.open = Some(Open::new(file, 0)?);
        Ok(())
    }

    /// Files that were rotated in between: newer than the one of `place`, and not the one that has the name now; newest first.
    fn newer_than(&self, current: &std::fs::Metadata, place: &Place) -> Vec<Open> {
        let is_between = |file: &File| {
            let Ok(metadata) = file.metadata() else { return false };
            let is_current = (metadata.dev(), metadata.ino()) == (current.dev(), current.ino());
            let is_done = || self.done.iter().any(|done| done.is_of(file) || done.is_copied_to(file));
            !is_current && !place.is_of(file) && !place.is_copied_to(file) && !is_done()
        };
        let old = siblings(&self.path, |file| place.is_of(file) || place.is_copied_to(file));
        let Some((_, since)) = old.first() else { return Vec::new() };
        let newer = siblings(&self.path, is_between).into_iter().filter(|(_, time)| time >= since);
        newer.filter_map(|(file, _)| Open::new(file, 0).ok()).collect()
    }
}

impl Open {
    fn new(file: File, offset: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        let head = place::Head::of(&file)?;
        Ok(Self {
            place: Place::new((device, inode), offset, &head, &file),
            device,
            inode,
            head,
            file,
            offset,
            old_until: 0,
            partial: Vec::new(),
            is_cut: false,
        })
    }

    /// Goes on at a place.
    fn at(file: File, place: &Place) -> io::Result<Self> {
        Ok(Self { old_until: place.offset(), ..Self::new(file, place.offset())? })
    }

    /// Begins earlier, behind the end of a line.
    fn from(self, offset: u64) -> io::Result<Self> {
        if offset < self.offset { self.skip_to(offset) } else { Ok(self) }
    }

    /// Goes to the first line that begins at or behind `offset`.
    fn skip_to(mut self, offset: u64) -> io::Result<Self> {
        self.offset = offset;
        let Some(before) = offset.checked_sub(1) else { return Ok(self) };
        let mut at = before;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = self.file.read_at(&mut buffer, at)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', bytes) {
                self.offset = at + as_u64(end) + 1;
                self.note();
                return Ok(self);
            }
            at += as_u64(count);
            if count == 0 {
                self.offset = at;
                self.note();
                return Ok(self);
            }
        }
    }

    /// Notes where it was read to.
    fn note(&mut self) {
        self.head.grow(&self.file);
        // Of a line that is too long what was passed over is behind the place.
        let offset = self.offset.saturating_sub(as_u64(self.partial.len()));
        if offset != self.place.offset() {
            self.place = Place::new((self.device, self.inode), offset, &self.head, &self.file);
        }
    }

    /// Reads what there is; whether there is more.
    fn read(
        &mut self,
        budget: &mut usize,
        progress: &mut Progress,
        each: &mut impl FnMut(Line<'_>),
    ) -> io::Result<bool> {
        let has_more = self.read_lines(budget, progress, each);
        self.note();
        has_more
    }

    fn read_lines(
        &mut self,
        budget: &mut usize,
        progress: &mut Progress,
        each: &mut impl FnMut(Line<'_>),
    ) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        loop {
            if *budget == 0 {
                return Ok(true);
            }
            let want = CHUNK.min(*budget);
            let chunk = buffer.get_mut(..want).unwrap_or_default();
            let count = match self.file.read_at(chunk, self.offset) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            *budget -= count;
            self.take(buffer.get(..count).unwrap_or_default(), progress, each);
        }
    }

    /// Divides bytes into lines.
    fn take(&mut self, mut bytes: &[u8], progress: &mut Progress, each: &mut impl FnMut(Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            self.offset += as_u64(end) + 1;
            if self.partial.is_empty() && !self.is_cut {
                self.tell(line, false, progress, each);
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.partial);
                let is_cut = std::mem::take(&mut self.is_cut);
                self.tell(&whole, is_cut, progress, each);
            }
        }
        self.offset += as_u64(bytes.len());
        self.keep(bytes);
    }

    /// Keeps a piece of a line, as far as there is room.
    fn keep(&mut self, piece: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.is_cut |= piece.len() > room;
        self.partial.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn tell(&self, line: &[u8], is_cut: bool, progress: &mut Progress, each: &mut impl FnMut(Line<'_>)) {
        // Whoever empties a file that another writes on leaves a hole at its begin.
        let holes = line.iter().take_while(|byte| **byte == 0).count();
        let line = line.get(holes..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_cut = is_cut || line.len() > MAX_LINE;
        let bytes = line.get(..MAX_LINE).unwrap_or(line);
        progress.lines += 1;
        each(Line { bytes, is_cut, is_old: self.offset <= self.old_until });
    }

    /// The file ended for good.
    fn finish(&mut self, progress: &mut Progress, each: &mut impl FnMut(Line<'_>)) {
        let last = std::mem::take(&mut self.partial);
        if !last.is_empty() {
            self.tell(&last, self.is_cut, progress, each);
        }
        self.note();
    }
}

/// Files beside `path` that were rotated from it and are as asked for; newest first. Packed ones are not read.
fn siblings(path: &Path, is_wanted: impl Fn(&File) -> bool) -> Vec<(File, std::time::SystemTime)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_rotated(name, &entry.file_name()) && !is_packed(&entry.path()))
        .take(MAX_SIBLINGS)
        .map(|entry| entry.path())
        .filter(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file()))
        .filter_map(|path| open(&path).ok())
        .filter(|file| is_wanted(file))
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file)))
        .map(|(time, file)| (file, time))
        .collect();
    found.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    found
}

/// Whether `other` is a name that rotation gives to the file `name`: `auth.log.1`, `auth.log-20261128`, `auth-20261128.log`.
#[must_use]
pub fn is_rotated(name: &OsStr, other: &OsStr) -> bool {
    let (name, other) = (name.as_encoded_bytes(), other.as_encoded_bytes());
    let is_number = |rest: &[u8]| match rest {
        [b'.' | b'-', number @ ..] => number.first().is_some_and(u8::is_ascii_digit),
        _ => false,
    };
    let dot = name.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0);
    let before_ending = dot.is_some_and(|dot| {
        let (stem, ending) = name.split_at(dot);
        let middle = other.strip_prefix(stem).and_then(|rest| rest.strip_suffix(ending));
        middle.is_some_and(is_number)
    });
    other.strip_prefix(name).is_some_and(is_number) || before_ending
}

/// Whether a file's name says that it is packed.
#[must_use]
pub fn is_packed(path: &Path) -> bool {
    const PACKED: [&str; 4] = ["gz", "xz", "bz2", "zst"];
    path.extension().is_some_and(|extension| PACKED.iter().any(|packed| extension == *packed))
}

/// A pipe of that name does not wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
