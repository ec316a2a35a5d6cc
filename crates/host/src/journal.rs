//! systemd's journal, through `journalctl`, which knows its format and comes with it.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::Value;

/// Bytes of an entry as `journalctl` writes it.
const MAX_ENTRY: u64 = 1 << 20;
/// Entries that wait to be taken.
const MAX_WAITING: usize = 1000;

/// An entry, as the line that a syslog file would have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What stands for it in this journal.
    pub cursor: String,
    /// Since the epoch.
    pub time: Duration,
    /// `host program[123]: message`
    pub line: String,
}

/// What is written to the journal, as it comes. `journalctl` ends with it.
#[derive(Debug)]
pub struct Journal {
    child: Child,
    lines: Receiver<io::Result<Vec<u8>>>,
}

impl Journal {
    /// Follows the journal from `since` (time since the epoch) on. Each of `matches` is one alternative, its words what must
    /// hold (`journalctl`'s own matches); none: everything.
    ///
    /// # Errors
    ///
    /// There is no `journalctl`.
    pub fn open(matches: &[String], since: Duration) -> io::Result<Self> {
        let mut command = Command::new("journalctl");
        command
            .args(["--follow", "--output=json", "--no-pager", "--quiet", "--no-tail", "--all"])
            .arg(format!("--since=@{}.{:06}", since.as_secs(), since.subsec_micros()))
            .arg("--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_COMM,SYSLOG_PID,_PID,_HOSTNAME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (place, alternative) in matches.iter().enumerate() {
            if place > 0 {
                command.arg("+");
            }
            // A word that looks like an option is none.
            command.args(
                alternative
                    .split_whitespace()
                    .filter(|word| *word == "+" || word.contains('='))
                    .filter(|word| !word.starts_with('-')),
            );
        }
        let mut child = command.spawn()?;
        let Some(output) = child.stdout.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let (sender, lines) = sync_channel(MAX_WAITING);
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let mut line = Vec::new();
                let read = io::Read::take(&mut output, MAX_ENTRY).read_until(b'\n', &mut line);
                let is_end = matches!(read, Ok(0) | Err(_));
                let sent = match read {
                    Ok(0) => sender.send(Err(io::Error::other("journalctl ended"))),
                    Ok(_) => sender.send(Ok(line)),
                    Err(error) => sender.send(Err(error)),
                };
                if is_end || sent.is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { child, lines })
    }

    /// The next entry, if one comes within the time.
    ///
    /// # Errors
    ///
    /// `journalctl` ended.
    pub fn next(&mut self, most: Duration) -> io::Result<Option<Entry>> {
        loop {
            match self.lines.recv_timeout(most) {
                Ok(line) => {
                    if let Some(entry) = entry(&line?) {
                        return Ok(Some(entry));
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("journalctl ended")),
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of `journalctl --output=json`.
fn entry(line: &[u8]) -> Option<Entry> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |key: &str| match value.get(key)? {
        Value::String(text) => Some(text.clone()),
        // What is no text in UTF-8 stands there as numbers.
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let time = Duration::from_micros(text("__REALTIME_TIMESTAMP")?.parse().ok()?);
    let cursor = text("__CURSOR")?;
    let mut line = text("_HOSTNAME").unwrap_or_default();
    if let Some(program) = text("SYSLOG_IDENTIFIER").or_else(|| text("_COMM")) {
        line = format!("{line} {program}");
        if let Some(pid) = text("SYSLOG_PID").or_else(|| text("_PID")) {
            line = format!("{line}[{pid}]");
        }
        line.push(':');
    }
    // One entry is one line, whatever its sender wrote.
    let message = text("MESSAGE")?.replace(['\n', '\r'], " ");
    Some(Entry { cursor, time, line: format!("{} {message}", line.trim_start()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_the_line_that_syslog_would_write() {
        let text = br#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1777629600123456","_HOSTNAME":"pbx","SYSLOG_IDENTIFIER":"sshd","_PID":"77","MESSAGE":"Failed password\nfor root"}"#;
        let entry = entry(text).unwrap();
        assert_eq!(entry.line, "pbx sshd[77]: Failed password for root");
        assert_eq!((entry.time.as_micros(), entry.cursor.as_str()), (1_777_629_600_123_456, "s=1;i=2"));
    }

    #[test]
    fn bytes_that_are_no_text_and_what_is_no_entry() {
        let text = br#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","_COMM":"x","MESSAGE":[97,255,98]}"#;
        assert_eq!(entry(text).unwrap().line, "x: a\u{fffd}b");
        for text in
            [&b""[..], b"{", b"[]", br#"{"MESSAGE":"x"}"#, br#"{"__CURSOR":"c","__REALTIME_TIMESTAMP":"x"}"#]
        {
            assert_eq!(entry(text), None);
        }
    }
}
