use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::*;

/// A log in a folder of its own.
struct Log {
    folder: tempfile::TempDir,
    written: u64,
}

impl Log {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), written: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("auth.log")
    }

    fn named(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Appends so many numbered lines.
    fn write(&mut self, count: u64) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        let text: String =
            (self.written..self.written + count).map(|line| format!("line {line}\n")).collect();
        self.written += count;
        file.write_all(text.as_bytes()).unwrap();
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rotate(&self, to: &str) {
        fs::rename(self.path(), self.named(to)).unwrap();
    }
}

fn read(follower: &mut Follower) -> Vec<String> {
    let mut lines = Vec::new();
    while follower
        .read(1000, |line| {
            let mark = if line.is_old { "old " } else { "" };
            lines.push(format!("{mark}{}", String::from_utf8_lossy(line.bytes)));
        })
        .unwrap()
        .has_more
    {}
    lines
}

fn numbered(from: u64, to: u64) -> Vec<String> {
    (from..to).map(|line| format!("line {line}")).collect()
}

/// As a restart does: only the text of the place goes over.
fn restart(follower: &Follower) -> Option<Place> {
    follower.place().map(|place| place.to_string().parse().unwrap())
}

#[test]
fn lines_come_once_and_whole() {
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    assert_eq!(read(&mut follower), [] as [&str; 0], "it is not there yet");
    log.write(500);
    assert_eq!(read(&mut follower), numbered(0, 500));
    log.append("half a ");
    assert_eq!(read(&mut follower), [] as [&str; 0]);
    log.append("line\r\nand\n");
    assert_eq!(read(&mut follower), ["half a line", "and"]);
}

#[test]
fn a_rotated_file_is_read_to_its_end_first() {
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    log.write(10);
    assert_eq!(read(&mut follower).len(), 10);
    log.write(5);
    log.rotate("auth.log.1");
    assert_eq!(read(&mut follower), numbered(10, 15), "under its new name");
    log.append("");
    fs::OpenOptions::new().append(true).open(log.named("auth.log.1")).unwrap().write_all(b"late\n").unwrap();
    log.write(3);
    assert_eq!(read(&mut follower), ["late", "line 15", "line 16", "line 17"]);
    // Twice between two looks.
    log.write(1);
    log.rotate("auth.log.2");
    log.write(1);
    log.rotate("auth.log.3");
    log.write(1);
    assert_eq!(read(&mut follower), numbered(18, 21));
}

#[test]
fn an_emptied_file_is_read_from_its_begin() {
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    log.write(10);
    read(&mut follower);
    OpenOptions::new().write(true).open(log.path()).unwrap().set_len(0).unwrap();
    assert_eq!(read(&mut follower), [] as [&str; 0]);
    log.write(2);
    assert_eq!(read(&mut follower), numbered(10, 12));
    // Emptied and longer than before when it is looked at again.
    OpenOptions::new().write(true).open(log.path()).unwrap().set_len(0).unwrap();
    log.write(100);
    assert_eq!(read(&mut follower), numbered(12, 112));
}

#[test]
fn what_was_copied_before_it_was_emptied_is_read_from_the_copy() {
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    log.write(10);
    read(&mut follower);
    log.write(5);
    fs::copy(log.path(), log.named("auth.log.1")).unwrap();
    OpenOptions::new().write(true).open(log.path()).unwrap().set_len(0).unwrap();
    log.write(1);
    assert_eq!(read(&mut follower), numbered(10, 16));
}

#[test]
fn what_was_copied_before_anything_of_it_was_read_is_not_lost_either() {
    let mut log = Log::new();
    log.write(10);
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    // It is opened, and nothing is read.
    follower.read(0, |_| ()).unwrap();
    fs::copy(log.path(), log.named("auth.log.1")).unwrap();
    OpenOptions::new().write(true).open(log.path()).unwrap().set_len(0).unwrap();
    log.write(1);
    assert_eq!(read(&mut follower), numbered(0, 11));
}

#[test]
fn a_file_that_an_editor_replaced_is_not_read_twice() {
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    log.write(10);
    read(&mut follower);
    fs::copy(log.path(), log.named("auth.log.new")).unwrap();
    fs::rename(log.named("auth.log.new"), log.path()).unwrap();
    log.write(2);
    assert_eq!(read(&mut follower), numbered(10, 12));
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let mut log = Log::new();
    log.write(10);
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    read(&mut follower);
    log.append("half ");
    read(&mut follower);
    let place = restart(&follower);
    log.append("a line\n");
    log.write(5);
    let mut follower = Follower::new(&log.path(), place, 0);
    let mut expected = vec!["half a line".to_owned()];
    expected.extend(numbered(10, 15));
    assert_eq!(read(&mut follower), expected);

    // What counted before is read again, as old.
    let mut follower = Follower::new(&log.path(), place, 20);
    assert_eq!(read(&mut follower)[..3], ["old line 8", "old line 9", "half a line"]);
}

#[test]
fn a_restart_finds_what_was_rotated_meanwhile() {
    let mut log = Log::new();
    log.write(10);
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    read(&mut follower);
    let place = restart(&follower);
    let pause = || std::thread::sleep(std::time::Duration::from_millis(20));
    log.write(2);
    log.rotate("auth.log.2");
    pause();
    log.write(2);
    log.rotate("auth.log.1");
    pause();
    log.write(2);
    fs::write(log.named("auth.log.3.gz"), "packed").unwrap();
    let mut follower = Follower::new(&log.path(), place, 0);
    assert_eq!(read(&mut follower), numbered(10, 16));
    assert_eq!(follower.news(), ["it was rotated while nobody read it"]);
    // Stopped in the middle of it.
    let mut follower = Follower::new(&log.path(), place, 0);
    let mut some = Vec::new();
    follower.read(8, |line| some.push(line.bytes.to_vec())).unwrap();
    assert_eq!(some, [b"line 10"]);
    let mut follower = Follower::new(&log.path(), restart(&follower), 0);
    assert_eq!(read(&mut follower), numbered(11, 16));
}

#[test]
fn a_new_log_is_read_from_not_too_long_ago() {
    let mut log = Log::new();
    log.write(1000);
    let mut follower = Follower::new(&log.path(), None, 25);
    assert_eq!(read(&mut follower), numbered(998, 1000));
}

#[test]
fn a_line_without_end_takes_no_more_than_its_room() {
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    log.append(&"x".repeat(10 * MAX_LINE));
    log.append("\nshort\n");
    log.write(1);
    let mut seen = Vec::new();
    while follower.read(5000, |line| seen.push((line.bytes.len(), line.is_cut))).unwrap().has_more {}
    assert_eq!(seen, [(MAX_LINE, true), (5, false), (6, false)]);
    log.write(1);
    assert_eq!(read(&mut Follower::new(&log.path(), restart(&follower), 0)), ["line 1"]);
}

#[test]
fn other_logs_are_not_taken_for_rotated_ones() {
    for (other, is) in [
        ("access.log.1", true),
        ("access.log-20261128", true),
        ("access-20261128.log", true),
        ("access.1.log", true),
        ("access.log", false),
        ("access_ssl.log", false),
        ("access-ssl.log", false),
        ("access.logs.1", false),
        ("access.log.new", false),
        ("access.info", false),
    ] {
        assert_eq!(is_rotated(OsStr::new("access.log"), OsStr::new(other)), is, "{other}");
    }
    let mut log = Log::new();
    let mut follower = Follower::new(&log.path(), None, u64::MAX);
    log.write(3);
    read(&mut follower);
    log.rotate("auth.log.1");
    fs::write(log.named("auth_ssl.log"), "of another log\n").unwrap();
    fs::write(log.named("auth.info"), "of another log\n").unwrap();
    log.write(1);
    assert_eq!(read(&mut follower), ["line 3"]);
}

#[test]
fn a_hole_at_the_begin_is_passed_over() {
    let log = Log::new();
    fs::write(log.path(), b"\0\0\0\0after\n").unwrap();
    assert_eq!(read(&mut Follower::new(&log.path(), None, u64::MAX)), ["after"]);
}

#[test]
fn what_is_no_file_is_an_error() {
    let log = Log::new();
    fs::create_dir(log.path()).unwrap();
    let error = Follower::new(&log.path(), None, 0).read(10, |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "it is no regular file");
}

#[test]
fn places_that_are_none_are_refused() {
    for text in ["", "1:2", "1:2 3", "1:2 3 4:x 5:6", "a:2 3 4:5 6:7", "1:2 3 999:5 6:7"] {
        text.parse::<Place>().unwrap_err();
    }
}

#[test]
fn the_kernel_says_that_a_log_grew() {
    let mut log = Log::new();
    let mut watch = Watch::new().unwrap();
    watch.add(log.folder.path());
    log.write(1);
    assert!(watch.wait(Duration::from_secs(5)));
    while watch.wait(Duration::from_millis(1)) {}
    assert!(!watch.wait(Duration::from_millis(20)));
}

use std::time::Duration;
