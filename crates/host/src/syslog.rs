//! Lines for the system's log, through the socket that journald and every syslog daemon serve, at a bounded rate.

/// systemd's journal.
mod native;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use self::native::Native;

/// `LOG_DAEMON` of RFC 5424 section 6.2.1.
const FACILITY: u8 = 3;

/// Lines that may be written at once after silence.
const BURST: u32 = 50;
/// Lines a second in the long run.
const RATE: u32 = 10;
const SECOND: u64 = 1_000_000_000;

/// Lines that wait for a stderr that nobody reads; what comes then is suppressed.
const WAITING: usize = 256;
/// How long the last lines may take to reach stderr when the writer is dropped.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A writer that never blocks: what the socket does not take at once is counted as suppressed. Where there is no log
/// daemon, lines go to stderr, through a thread that may be stuck in our place.
#[derive(Debug)]
pub struct Syslog {
    socket: Option<UnixDatagram>,
    path: PathBuf,
    /// Takes records with fields, where there is one.
    journal: Option<Native>,
    fallback: Fallback,
    tokens: u32,
    /// Nanoseconds up to which tokens were given.
    refilled: u64,
    suppressed: u64,
}

impl Syslog {
    /// A writer to `/dev/log`, and to systemd's journal for what has fields, if stderr is that.
    pub fn new(now: u64) -> Self {
        let mut syslog = Self::at(Path::new("/dev/log"), now);
        syslog.journal = Native::found();
        syslog
    }

    /// A writer to the socket at `path`.
    pub fn at(path: &Path, now: u64) -> Self {
        Self::with_fallback(path, Fallback::Unused, now)
    }

    fn with_fallback(path: &Path, fallback: Fallback, now: u64) -> Self {
        Self {
            socket: None,
            path: path.to_owned(),
            journal: None,
            fallback,
            tokens: BURST,
            refilled: now,
            suppressed: 0,
        }
    }

    /// The same with systemd's journal at another place.
    #[must_use]
    pub fn with_journal(mut self, path: &Path) -> Self {
        self.journal = Some(Native::at(path));
        self
    }

    /// Writes one line at `level` (0-7), or counts it. `now` is in nanoseconds of a clock that does not jump.
    ///
    /// Returns whether it was written. The first line after a pause says how many were left out.
    pub fn line(&mut self, level: u8, text: &str, now: u64) -> bool {
        self.record(level, text, &[], now)
    }

    /// As [`Syslog::line`]; systemd's journal gets the fields, too.
    pub fn record(&mut self, level: u8, text: &str, fields: &[(&str, &str)], now: u64) -> bool {
        if !self.take_token(now) {
            self.suppressed += 1;
            return false;
        }
        self.tell_suppressed();
        let journal = self.journal.as_mut().filter(|_| !fields.is_empty());
        let sent = journal.is_some_and(|journal| journal.send(level, text, fields)) || self.send(level, text);
        if !sent {
            self.suppressed += 1;
        }
        sent
    }

    /// Says how many lines were left out, if any were and the rate allows it: a flood that ends is told, too.
    pub fn flush(&mut self, now: u64) {
        if self.suppressed > 0 && self.take_token(now) {
            self.tell_suppressed();
        }
    }

    /// Lines that were not written since the last one that said so.
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    fn take_token(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.refilled).saturating_mul(u64::from(RATE)) / SECOND;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(BURST);
            self.refilled = now;
        }
        let granted = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        granted
    }

    /// Costs no token by itself: otherwise a lasting flood would be told, but none of its lines.
    fn tell_suppressed(&mut self) {
        if self.suppressed == 0 {
            return;
        }
        let text = format!("{} lines about dropped packets were suppressed", self.suppressed);
        if self.send(6, &text) {
            self.suppressed = 0;
        }
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
                // The log daemon is there, but slow.
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Some(Err(_)) => self.socket = None,
                None => return self.fallback.send(text),
            }
        }
        false
    }
}

impl Drop for Syslog {
    /// The last chance to tell; the rate no longer matters.
    fn drop(&mut self) {
        self.tell_suppressed();
    }
}

fn connect(path: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(path).ok()?;
    Some(socket)
}

/// Where lines go without a log daemon.
#[derive(Debug)]
enum Fallback {
    /// The thread starts with the first line.
    Unused,
    Running(Writer),
    /// There is no stderr or no thread to be had.
    Failed,
}

impl Fallback {
    /// Hands a line over; whether there was room for it.
    fn send(&mut self, text: &str) -> bool {
        if let Self::Unused = self {
            // A duplicate: a thread that is stuck must not hold the lock of `io::stderr`.
            let stderr = io::stderr().as_fd().try_clone_to_owned();
            let writer = stderr.and_then(|stderr| Writer::start(File::from(stderr)));
            *self = writer.map_or(Self::Failed, Self::Running);
        }
        match self {
            Self::Running(writer) => writer.send(text),
            Self::Unused | Self::Failed => false,
        }
    }
}

/// A thread that writes lines to a file which may block. At most [`WAITING`] lines wait for it; newer ones are refused.
#[derive(Debug)]
struct Writer {
    lines: Option<mpsc::SyncSender<String>>,
    /// Closed when the thread has ended.
    ended: mpsc::Receiver<()>,
}

impl Writer {
    fn start(mut file: File) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(WAITING);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new().name("stderr".to_owned()).spawn(move || {
            for line in waiting {
                // Nobody is left who could be told of a failure.
                let _ = file.write_all(line.as_bytes());
            }
            drop(end);
        })?;
        Ok(Self { lines: Some(lines), ended })
    }

    fn send(&self, text: &str) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.try_send(format!("{text}\n")).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.lines = None;
        // An error either way: the thread has ended, or it is stuck and ends with the process.
        let _ = self.ended.recv_timeout(LAST_WORDS);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Instant;

    use super::*;

    /// A log daemon in a folder of its own.
    struct Daemon {
        folder: PathBuf,
        receiver: UnixDatagram,
    }

    impl Daemon {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ringfence-syslog-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let receiver = UnixDatagram::bind(folder.join("log")).unwrap();
            receiver.set_nonblocking(true).unwrap();
            Self { folder, receiver }
        }

        fn path(&self) -> PathBuf {
            self.folder.join("log")
        }

        fn read(&self) -> Vec<String> {
            let mut lines = Vec::new();
            let mut buffer = [0; 256];
            while let Ok(count) = self.receiver.recv(&mut buffer) {
                lines.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
            }
            lines
        }
    }

    impl Drop for Daemon {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    /// Writes 200 lines at once to a daemon that reads; those that were written.
    fn flood(syslog: &mut Syslog, daemon: &Daemon) -> Vec<String> {
        let mut written = Vec::new();
        for number in 0..200 {
            if syslog.line(6, &format!("drop {number}"), 1) {
                written.extend(daemon.read());
            }
        }
        written
    }

    #[test]
    fn a_flood_is_cut_and_the_cut_is_told() {
        let daemon = Daemon::new("cut");
        let mut syslog = Syslog::at(&daemon.path(), 0);
        let written = flood(&mut syslog, &daemon);
        assert_eq!(written.len(), 50);
        assert!(written[0].starts_with("<30>ringfence["), "{}", written[0]);
        assert_eq!(syslog.suppressed(), 150);
        assert!(syslog.line(6, "later", SECOND + 1));
        let later = daemon.read();
        assert!(later[0].ends_with("150 lines about dropped packets were suppressed"), "{later:?}");
        assert!(later[1].ends_with(": later"), "{later:?}");
    }

    #[test]
    fn a_flood_that_lasts_is_shown_at_the_rate() {
        let daemon = Daemon::new("lasts");
        let mut syslog = Syslog::at(&daemon.path(), 0);
        flood(&mut syslog, &daemon);
        let mut shown = 0;
        for millisecond in 0..10_000 {
            syslog.line(6, "drop", SECOND + millisecond * SECOND / 1000);
            if millisecond % 1000 == 999 {
                syslog.flush(SECOND + millisecond * SECOND / 1000);
            }
            shown += daemon.read().iter().filter(|line| line.ends_with(": drop")).count();
        }
        assert!((90..=110).contains(&shown), "{shown} lines in ten seconds");
    }

    #[test]
    fn a_flood_that_stops_is_told() {
        let daemon = Daemon::new("stops");
        let mut syslog = Syslog::at(&daemon.path(), 0);
        flood(&mut syslog, &daemon);
        syslog.flush(2);
        assert_eq!(daemon.read(), [""; 0], "no token is left");
        syslog.flush(SECOND + 1);
        let told = daemon.read();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("150 lines about dropped packets were suppressed"), "{told:?}");
        syslog.flush(2 * SECOND);
        assert_eq!(daemon.read(), [""; 0], "it is told once");
    }

    #[test]
    fn what_has_fields_goes_to_the_journal_and_without_one_to_the_log() {
        let (daemon, journal) = (Daemon::new("plain"), Daemon::new("journal"));
        let mut syslog = Syslog::at(&daemon.path(), 0).with_journal(&journal.path());
        syslog.record(5, "ban", &[("RINGFENCE_SOURCE", "203.0.113.66")], 1);
        syslog.line(6, "drop", 1);
        let [record] = journal.read().try_into().unwrap();
        for field in
            ["MESSAGE=ban", "PRIORITY=5", "SYSLOG_IDENTIFIER=ringfence", "RINGFENCE_SOURCE=203.0.113.66"]
        {
            assert!(record.lines().any(|line| line == field), "{field}: {record}");
        }
        assert!(matches!(daemon.read().as_slice(), [line] if line.ends_with(": drop")));
        drop(journal);
        syslog.record(5, "ban", &[("RINGFENCE_SOURCE", "203.0.113.66")], 1);
        assert!(matches!(daemon.read().as_slice(), [line] if line.ends_with(": ban")));
    }

    #[test]
    fn what_is_pending_at_the_end_is_told() {
        let daemon = Daemon::new("end");
        let mut syslog = Syslog::at(&daemon.path(), 0);
        flood(&mut syslog, &daemon);
        drop(syslog);
        assert!(daemon.read()[0].ends_with("150 lines about dropped packets were suppressed"));
    }

    /// A writer whose stderr is a pipe, and the end to read it from.
    fn without_daemon() -> (Syslog, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        let writer = Writer::start(File::from(std::os::fd::OwnedFd::from(writer))).unwrap();
        (Syslog::with_fallback(Path::new("/nonexistent/log"), Fallback::Running(writer), 0), reader)
    }

    #[test]
    fn without_a_log_daemon_lines_go_to_stderr() {
        let (mut syslog, mut reader) = without_daemon();
        assert!(syslog.line(6, "one", 1));
        assert!(syslog.line(6, "two", 1));
        drop(syslog);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn a_stderr_that_nobody_reads_delays_nobody() {
        let (mut syslog, reader) = without_daemon();
        let start = Instant::now();
        // A pipe holds 65 of these (64 KiB), the queue the rest of what is taken.
        let text = "x".repeat(1000);
        let written = (1..1000u64).filter(|second| syslog.line(6, &text, second * SECOND)).count();
        assert!((WAITING..WAITING + 100).contains(&written), "{written} lines were taken");
        drop(syslog);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        drop(reader);
    }

    #[test]
    fn a_log_daemon_that_does_not_read_costs_lines_and_not_the_connection() {
        let daemon = Daemon::new("slow");
        let mut syslog = Syslog::at(&daemon.path(), 0);
        let written = (1..1000u64).filter(|second| syslog.line(6, "drop", second * SECOND)).count();
        assert!((1..900).contains(&written), "{written} lines were taken");
        assert!(syslog.socket.is_some());
        assert!(matches!(syslog.fallback, Fallback::Unused), "stderr got lines");
        let suppressed = syslog.suppressed();
        assert_eq!(u64::try_from(written).unwrap() + suppressed, 999);
        daemon.read();
        syslog.flush(2000 * SECOND);
        let told = format!("{suppressed} lines about dropped packets were suppressed");
        assert!(daemon.read()[0].ends_with(&told));
    }
}
