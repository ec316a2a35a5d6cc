//! Records with fields, as systemd's journal takes them (systemd.io, "Native Journal Protocol").

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{FACILITY, connect};

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A writer that never blocks.
#[derive(Debug)]
pub(super) struct Native {
    socket: Option<UnixDatagram>,
    path: PathBuf,
}

impl Native {
    pub(super) fn at(path: &Path) -> Self {
        Self { socket: None, path: path.to_owned() }
    }

    /// The journal, if systemd connected our stderr to it: only then somebody looks for us there.
    pub(super) fn found() -> Option<Self> {
        let told = std::env::var("JOURNAL_STREAM").ok()?;
        let stderr = rustix::fs::fstat(io::stderr().as_fd()).ok()?;
        (told == format!("{}:{}", stderr.st_dev, stderr.st_ino)).then(|| Self::at(Path::new(SOCKET)))
    }

    /// Whether the journal took it.
    pub(super) fn send(&mut self, level: u8, text: &str, fields: &[(&str, &str)]) -> bool {
        let record = record(level, text, fields);
        // It may have been restarted: one new connection is tried.
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = connect(&self.path);
            }
            match self.socket.as_ref().map(|socket| socket.send(&record)) {
                Some(Ok(_)) => return true,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Some(Err(_)) => self.socket = None,
                None => return false,
            }
        }
        false
    }
}

/// One record. Names are ours: capital letters, digits and `_`.
fn record(level: u8, text: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut record = Vec::new();
    let (priority, facility) = (level.min(7).to_string(), FACILITY.to_string());
    let pid = std::process::id().to_string();
    let ours = [
        ("MESSAGE", text),
        ("PRIORITY", &priority),
        ("SYSLOG_FACILITY", &facility),
        ("SYSLOG_IDENTIFIER", "ringfence"),
        ("SYSLOG_PID", &pid),
    ];
    for (name, value) in ours.iter().chain(fields) {
        record.extend(name.as_bytes());
        if value.contains('\n') {
            // What has several lines comes with its length, so that none of them can pass for a field.
            record.push(b'\n');
            record.extend((value.len() as u64).to_le_bytes());
        } else {
            record.push(b'=');
        }
        record.extend(value.as_bytes());
        record.push(b'\n');
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_lines_stays_one_value() {
        let record = record(9, "one\nPRIORITY=0", &[("RINGFENCE_SOURCE", "203.0.113.66")]);
        let begin = [
            b"MESSAGE\n".as_slice(),
            &14u64.to_le_bytes(),
            b"one\nPRIORITY=0\nPRIORITY=7\nSYSLOG_FACILITY=3\n",
        ]
        .concat();
        assert!(record.starts_with(&begin), "{}", String::from_utf8_lossy(&record));
        assert!(record.ends_with(b"\nRINGFENCE_SOURCE=203.0.113.66\n"));
    }
}
