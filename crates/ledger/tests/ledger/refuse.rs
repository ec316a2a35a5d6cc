//! Files that are no ledger and disks that take none: a clear error each, and the file stays as it was.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ledger::{Change, Error, Ledger, Reader};
use rusqlite::Connection;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use tempfile::TempDir;

use crate::sample::{ban, fresh, net, seconds};

/// A ledger with some bans, closed.
fn written() -> (TempDir, PathBuf) {
    let (directory, path, mut ledger) = fresh();
    let bans: Vec<_> = (0..2000)
        .map(|number| Change::Ban(ban(&format!("10.0.{}.{}", number / 250, number % 250))))
        .collect();
    ledger.apply(&bans).unwrap();
    drop(ledger);
    (directory, path)
}

/// That a writer does not open it and leaves it alone; returns what it says.
fn is_damaged(path: &Path) -> String {
    let before = fs::read(path).ok();
    let error = Ledger::open(path).unwrap_err();
    assert_eq!(fs::read(path).ok(), before);
    let text = error.to_string();
    assert!(text.contains(".recover") && text.contains("move it away"), "{text}");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    text
}

#[test]
fn what_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    fs::write(&path, "bans:\n  203.0.113.9\n".repeat(500)).unwrap();
    assert!(is_damaged(&path).contains("file is not a database"));
    assert!(matches!(Reader::open(&path), Err(Error::Damaged { .. })));
    fs::write(&path, "").unwrap();
    assert!(is_damaged(&path).contains("the file is empty"));
    assert!(matches!(Reader::open(&path), Err(Error::Damaged { .. })));
}

#[test]
fn a_database_of_another_program_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE cookies (x)").unwrap();
    assert!(is_damaged(&path).contains("it is an SQLite file, but not one of Ringfence"));
}

#[test]
fn pages_that_were_overwritten_are_damage() {
    let (_directory, path) = written();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let pages = path.metadata().unwrap().len() / 4096;
    for page in (pages / 3)..(pages / 2) {
        file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
    }
    is_damaged(&path);
}

#[test]
fn a_file_that_was_cut_is_damaged() {
    for keep in [100, 4096, 50_000, 150_001] {
        let (_directory, path) = written();
        assert!(path.metadata().unwrap().len() > 200_000);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        is_damaged(&path);
    }
}

#[test]
fn a_log_without_its_file_is_not_played_into_a_new_one() {
    let (_directory, path, mut ledger) = fresh();
    ledger.apply(&[Change::Ban(ban("203.0.113.9"))]).unwrap();
    fs::rename(&path, path.with_extension("away")).unwrap();
    let what = is_damaged(&path);
    assert!(what.contains("the file is missing"), "{what}");
    assert!(!path.exists());
}

#[test]
fn a_row_that_the_ledger_does_not_write_is_damage() {
    let (_directory, path) = written();
    Connection::open(&path).unwrap().execute("UPDATE ban SET scope = 9", ()).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let error = ledger.read().story(net("10.0.0.1"), seconds(0)).unwrap_err();
    assert!(matches!(&error, Error::Damaged { what, .. } if what.contains('9')), "{error}");
}

#[test]
fn a_newer_one_is_for_a_newer_program() {
    let (_directory, path) = written();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = Error::Newer { path: path.clone(), found: 99, known: 2 };
    assert_eq!(Ledger::open(&path).unwrap_err(), newer);
    assert_eq!(Reader::open(&path).unwrap_err(), newer);
    assert!(newer.to_string().contains("made by a newer Ringfence"));
}

#[test]
fn who_writes_at_the_same_time_waits_and_then_says_so() {
    let (_directory, path, mut ledger) = fresh();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let bans = [Change::Ban(ban("203.0.113.9"))];
    assert_eq!(ledger.apply(&bans), Err(Error::Locked { path }));
    other.execute_batch("COMMIT").unwrap();
    ledger.apply(&bans).unwrap();
}

#[test]
fn a_directory_that_may_not_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let read_only = Error::ReadOnly { path: path.clone() };
    if rustix::process::geteuid().is_root() {
        let disk = Disk::mount(directory.path(), "size=1m");
        drop(Ledger::open(&path).unwrap());
        mount_remount(&disk.0, MountFlags::RDONLY, "").unwrap();
        assert_eq!(Ledger::open(&path).unwrap_err(), read_only);
        let path = disk.0.join("other.db");
        assert_eq!(Ledger::open(&path).unwrap_err(), Error::ReadOnly { path });
    } else {
        drop(Ledger::open(&path).unwrap());
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o500)).unwrap();
        assert_eq!(Ledger::open(&path).unwrap_err(), read_only);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn a_disk_that_is_full() {
    if !rustix::process::geteuid().is_root() {
        writeln!(std::io::stderr(), "SKIPPED a_disk_that_is_full: needs root").ok();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(directory.path(), "size=1m");
    let path = disk.0.join("ledger.db");
    let full = Error::Full { path: path.clone() };
    let filler = disk.0.join("filler");

    fill(&filler, 0);
    assert_eq!(Ledger::open(&path).unwrap_err(), full, "no room for an empty one");
    fs::remove_file(&filler).unwrap();
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0, "nothing half made is left");

    let mut ledger = Ledger::open(&path).unwrap();
    fill(&filler, 256 * 1024);
    let mut written = 0;
    let error = loop {
        let bans: Vec<_> =
            (0..50).map(|host| Change::Ban(ban(&format!("10.0.{}.{host}", written / 50)))).collect();
        match ledger.apply(&bans) {
            Ok(()) => written += 50,
            Err(error) => break error,
        }
    };
    assert_eq!(error, full);
    assert!(written > 0);
    let count = |ledger: &Ledger| ledger.read().counts(seconds(0)).unwrap().total;
    assert_eq!(count(&ledger), written, "what was confirmed is there, and nothing of the rest");
    fs::remove_file(&filler).unwrap();
    ledger.apply(&[Change::Ban(ban("10.9.9.9"))]).unwrap();
    drop(ledger);

    fill(&filler, 0);
    assert_eq!(Ledger::open(&path).unwrap_err(), full, "no room for the files beside it");
    fs::remove_file(&filler).unwrap();
    assert_eq!(count(&Ledger::open(&path).unwrap()), written + 1);
}

/// Takes all the space but so many bytes.
fn fill(filler: &Path, leave: u64) {
    let mut file = fs::File::create(filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let len = file.metadata().unwrap().len();
    file.set_len(len - leave).unwrap();
}

/// A file system in memory, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(directory: &Path, options: &str) -> Self {
        let options = std::ffi::CString::new(options).unwrap();
        mount("tmpfs", directory, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
        Self(directory.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).ok();
    }
}
