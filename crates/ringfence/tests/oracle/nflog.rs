//! What the kernel says about each packet: copies through NFLOG, whose prefix names the rule that made them.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::namespace::{Network, wait_until};

/// A packet as a rule saw it.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) time: Duration,
    pub(crate) prefix: String,
    pub(crate) datagram: Vec<u8>,
}

/// A running `tcpdump` in the host's namespace.
#[derive(Debug)]
pub(crate) struct Recorder {
    child: Child,
    file: tempfile::TempDir,
}

impl Recorder {
    /// Records what arrives at `interface`; `nflog:5` for the copies of group 5.
    pub(crate) fn start(network: &Network, interface: &str) -> Self {
        let file = tempfile::tempdir().expect("directory");
        let path = file.path().join("out.pcap");
        let log = file.path().join("log");
        let child = network
            // On a busy machine it must not fall behind, for the kernel keeps little for it.
            .host_command("nice")
            .args([
                "-n",
                "-20",
                "tcpdump",
                "-i",
                interface,
                "-n",
                "-U",
                "--immediate-mode",
                "-s",
                "65535",
                "-B",
                "65536",
            ])
            .args(["-Z", "root", "-w"])
            .arg(&path)
            .stderr(std::fs::File::create(&log).expect("log"))
            .stdout(Stdio::null())
            .spawn()
            .expect("tcpdump");
        wait_until("tcpdump", Duration::from_secs(10), || {
            std::fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on"))
        });
        Self { child, file }
    }

    /// Ends the recording; the directory holds `out.pcap`.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        // The last copies may still be on their way to tcpdump.
        std::thread::sleep(Duration::from_millis(300));
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("signal");
        self.child.wait().expect("ends");
        let mut log = String::new();
        std::fs::File::open(self.file.path().join("log"))
            .expect("log")
            .read_to_string(&mut log)
            .expect("text");
        assert!(log.contains("\n0 packets dropped by kernel"), "the recording has gaps: {log}");
        std::mem::replace(&mut self.file, tempfile::tempdir().expect("directory"))
    }

    /// Ends the recording of an NFLOG group.
    pub(crate) fn logged(self) -> Vec<Logged> {
        let directory = self.stop();
        read(&directory.path().join("out.pcap"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Reads link type 239: a header of four bytes, then attributes of length, type and value.
fn read(path: &Path) -> Vec<Logged> {
    let mut reader = capture::Reader::open(path).expect("a capture");
    let mut logged = Vec::new();
    while let Some(frame) = reader.next_frame() {
        assert_eq!(frame.link, 239);
        let mut entry = Logged { time: frame.time, prefix: String::new(), datagram: Vec::new() };
        let mut rest = &frame.data[4..];
        while rest.len() >= 4 {
            let len = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
            let value = &rest[4..len];
            match u16::from_ne_bytes([rest[2], rest[3]]) {
                9 => entry.datagram = value.to_vec(),
                10 => entry.prefix = String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
                _ => {}
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        logged.push(entry);
    }
    assert_eq!(reader.take_problems(), []);
    logged
}
