//! Lines for the system's log, through the socket that journald and every syslog daemon serve, at a bounded rate.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// `LOG_DAEMON` of RFC 5424 section 6.2.1.
const FACILITY: u8 = 3;

/// Lines that may be written at once after silence.
const BURST: u32 = 50;
/// Lines a second in the long run.
const RATE: u32 = 10;
const SECOND: u64 = 1_000_000_000;

/// A writer that never blocks: what the socket does not take at once is counted as suppressed. Where there is no log
/// daemon, lines go to stderr.
#[derive(Debug)]
pub struct Syslog {
    socket: Option<UnixDatagram>,
    path: PathBuf,
    tokens: u32,
    /// Nanoseconds up to which tokens were given.
    refilled: u64,
    suppressed: u64,
}

impl Syslog {
    /// A writer to `/dev/log`.
    pub fn new(now: u64) -> Self {
        Self::at(Path::new("/dev/log"), now)
    }

    /// A writer to the socket at `path`.
    pub fn at(path: &Path, now: u64) -> Self {
        Self { socket: None, path: path.to_owned(), tokens: BURST, refilled: now, suppressed: 0 }
    }

    /// Writes one line at `level` (0-7), or counts it. `now` is in nanoseconds of a clock that does not jump.
    ///
    /// Returns whether it was written. The first line after a pause says how many were left out.
    pub fn line(&mut self, level: u8, text: &str, now: u64) -> bool {
        let earned = now.saturating_sub(self.refilled).saturating_mul(u64::from(RATE)) / SECOND;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(BURST);
            self.refilled = now;
        }
        if self.tokens == 0 {
            self.suppressed += 1;
            return false;
        }
        self.tokens -= 1;
        if self.suppressed > 0 {
            let text = format!("{} lines about dropped packets were suppressed", self.suppressed);
            if self.send(6, &text) {
                self.suppressed = 0;
            }
        }
        let sent = self.send(level, text);
        if !sent {
            self.suppressed += 1;
        }
        sent
    }

    /// Lines that were not written since the last one that said so.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    fn send(&mut self, level: u8, text: &str) -> bool {
        let record = format!("<{}>ringfence[{}]: {text}", FACILITY * 8 + level.min(7), std::process::id());
        // The log daemon may have been restarted: one new connection is tried.
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = connect(&self.path);
            }
            match self.socket.as_ref().map(|socket| socket.send(record.as_bytes())) {
                Some(Ok(_)) => return true,
                Some(Err(_)) => self.socket = None,
                None => break,
            }
        }
        use std::io::Write as _;
        self.socket.is_none() && writeln!(std::io::stderr(), "{text}").is_ok()
    }
}

fn connect(path: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(path).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_cut_is_told() {
        let folder = std::env::temp_dir().join(format!("ringfence-syslog-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut syslog = Syslog::at(&path, 0);
        let mut lines = Vec::new();
        let mut read = || {
            let mut buffer = [0; 256];
            while let Ok(count) = receiver.recv(&mut buffer) {
                lines.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
            }
            std::mem::take(&mut lines)
        };
        let mut written = Vec::new();
        for number in 0..200 {
            if syslog.line(6, &format!("drop {number}"), 1) {
                written.extend(read());
            }
        }
        assert_eq!(written.len(), 50);
        assert!(written[0].starts_with("<30>ringfence["), "{}", written[0]);
        assert_eq!(syslog.suppressed(), 150);
        assert!(syslog.line(6, "later", SECOND + 1));
        let later = read();
        assert!(later[0].ends_with("150 lines about dropped packets were suppressed"), "{later:?}");
        assert!(later[1].ends_with(": later"), "{later:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
