use std::collections::BTreeMap;

use serde_json::json;
use tempfile::TempDir;

use super::*;

const SMALL: EventFiles = EventFiles { max_bytes: 1000, keep: 3 };

fn event(number: u32) -> serde_json::Value {
    json!({ "type": "packet", "frame": number })
}

/// What is in each file of a folder, by name.
fn files(folder: &TempDir) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

/// The numbers of the events in files, oldest first; each line has to be whole.
fn numbers(files: &BTreeMap<String, String>) -> Vec<u64> {
    let oldest_first = files.iter().rev();
    let lines = oldest_first.flat_map(|(_, text)| text.lines());
    lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["frame"].as_u64().unwrap())
        .collect()
}

#[test]
fn files_are_bounded_in_size_and_number_and_have_the_last_lines_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = EventLog::open(folder.path(), SMALL).unwrap();
    for number in 0..400 {
        log.line(&event(number));
    }
    log.flush();
    let files = files(&folder);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["events.jsonl", "events.jsonl.1", "events.jsonl.2", "events.jsonl.3"]);
    assert!(files.values().all(|text| text.len() <= 1000), "{files:?}");
    let kept = numbers(&files);
    let expected: Vec<u64> = (400 - kept.len() as u64..400).collect();
    assert_eq!(kept, expected, "none is missing, none is twice");
    assert!(kept.len() > 90 && log.lost() == 0);
}

#[test]
fn a_restart_goes_on_and_a_stop_in_the_middle_of_a_rotation_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for begin in [0, 50] {
        let mut log = EventLog::open(folder.path(), SMALL).unwrap();
        (begin..begin + 50).for_each(|number| log.line(&event(number)));
        log.flush();
    }
    assert_eq!(numbers(&files(&folder)), (0..100).collect::<Vec<u64>>());
    // As a stop after the first rename leaves it.
    fs::rename(folder.path().join("events.jsonl.2"), folder.path().join("events.jsonl.3")).unwrap();
    let mut log = EventLog::open(folder.path(), SMALL).unwrap();
    (100..120).for_each(|number| log.line(&event(number)));
    log.flush();
    assert_eq!(numbers(&files(&folder)), (0..120).collect::<Vec<u64>>());
}

#[test]
fn fewer_files_are_kept_when_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = EventLog::open(folder.path(), SMALL).unwrap();
    (0..400).for_each(|number| log.line(&event(number)));
    log.follow(EventFiles { max_bytes: 500, keep: 1 });
    assert_eq!(files(&folder).len(), 2);
    (400..460).for_each(|number| log.line(&event(number)));
    log.flush();
    let files = files(&folder);
    assert_eq!(files.len(), 2);
    assert!(files.values().all(|text| text.len() <= 500), "{files:?}");
    assert_eq!(numbers(&files).last(), Some(&459));
}

#[test]
fn what_cannot_be_rotated_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody can give a file the name of a folder with something in it.
    let blocked = folder.path().join("events.jsonl.1");
    fs::create_dir_all(blocked.join("something")).unwrap();
    let bounds = EventFiles { max_bytes: 1000, keep: 1 };
    let mut log = EventLog::open(folder.path(), bounds).unwrap();
    (0..100).for_each(|number| log.line(&event(number)));
    log.flush();
    let length = || fs::metadata(folder.path().join("events.jsonl")).unwrap().len();
    assert!((900..=1000).contains(&length()), "{}", length());
    assert!(log.lost() > 50, "{}", log.lost());
    fs::remove_dir_all(blocked).unwrap();
    log.line(&event(100));
    log.flush();
    assert!(length() < 100, "it goes on as soon as it can");
}

#[test]
fn a_full_disk_is_counted_and_gone_on_after() {
    if !rustix::process::geteuid().is_root() {
        lab::skip::skip("a_full_disk", "needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let small = SmallDisk::mount(folder.path());
    let bounds = EventFiles { max_bytes: 1 << 20, keep: 3 };
    let mut log = EventLog::open(folder.path(), bounds).unwrap();
    (0..10_000).for_each(|number| log.line(&event(number)));
    log.flush();
    assert!(log.lost() > 0);
    let lost = log.lost();
    fs::remove_file(small.0.join("ballast")).unwrap();
    log.line(&event(10_000));
    log.flush();
    assert_eq!(log.lost(), lost);
    let text = fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect();
    assert_eq!(lines.last().unwrap()["frame"], 10_000);
}

/// A file system of 256 KiB, half of it taken.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Self {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", path, "tmpfs", flags, Some(c"size=256k")).unwrap();
        fs::write(path.join("ballast"), vec![0; 128 << 10]).unwrap();
        Self(path.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
