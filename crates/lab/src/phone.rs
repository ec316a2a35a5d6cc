//! An honest phone: sipp with scenarios of our own, digest authentication and audio.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::asterisk::Account;
use crate::error::{LabError, file};
use crate::network::Lab;
use crate::process::run;
use crate::topology::Node;

/// What the phone calls itself. Nothing in it may look like a scanner.
pub const USER_AGENT: &str = "Ringfence lab phone";
/// The extension that sends the caller's audio back.
pub const ECHO: &str = "600";
/// sipp gives up after this many seconds without a result.
const LIMIT_S: u64 = 8;

const REGISTER: &str = include_str!("../scenarios/register.xml");
const CALL: &str = include_str!("../scenarios/call.xml");
const OPTIONS: &str = include_str!("../scenarios/options.xml");

/// How SIP messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// SIP over UDP.
    Udp,
    /// SIP over one TCP connection.
    Tcp,
}

/// How a request of a phone ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As the scenario wants it.
    Done,
    /// With another final answer than hoped for.
    Refused(u16),
    /// With no answer within 8 seconds, or without a connection.
    Nothing,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// [`Answer::Done`] when it was answered, stood for its time and was hung up.
    pub answer: Answer,
    /// RTP packets that left the phone.
    pub rtp_sent: u64,
    /// RTP packets that came back to it.
    pub rtp_received: u64,
}

impl CallReport {
    /// Whether the call stood and at least nine of ten audio packets came back from the echo.
    #[must_use]
    pub fn audio_both_ways(&self) -> bool {
        self.answer == Answer::Done && self.rtp_sent > 0 && self.rtp_received * 10 >= self.rtp_sent * 9
    }
}

/// A phone on a node, with the account that it uses.
#[derive(Debug, Clone, Copy)]
pub struct Phone<'lab> {
    lab: &'lab Lab,
    node: Node,
    account: Account,
    transport: Transport,
}

impl<'lab> Phone<'lab> {
    /// A phone on a node. It does nothing by itself.
    #[must_use]
    pub const fn new(lab: &'lab Lab, node: Node, account: Account, transport: Transport) -> Self {
        Self { lab, node, account, transport }
    }

    /// Registers for two minutes.
    ///
    /// # Errors
    /// When sipp cannot be run.
    pub fn register(&self, server: SocketAddr) -> Result<Answer, LabError> {
        self.sipp(server, "register", REGISTER, &[])
    }

    /// Asks for the server's abilities. Any answer is [`Answer::Done`]: servers differ in what they tell to strangers.
    ///
    /// # Errors
    /// When sipp cannot be run.
    pub fn options(&self, server: SocketAddr) -> Result<Answer, LabError> {
        self.sipp(server, "options", OPTIONS, &[])
    }

    /// Calls an extension, sends two seconds of a tone (100 packets of 20 ms) and hangs up. The audio is counted by the
    /// phone's own kernel.
    ///
    /// # Errors
    /// When sipp or nft cannot be run.
    pub fn call(&self, server: SocketAddr, extension: &str) -> Result<CallReport, LabError> {
        let counters = RtpCounters::new(self.lab, self.node)?;
        let port = counters.port.to_string();
        let answer = self.sipp(server, "call", CALL, &["-s", extension, "-d", "2100", "-mp", &port])?;
        let (rtp_sent, rtp_received) = (counters.read("sent")?, counters.read("received")?);
        Ok(CallReport { answer, rtp_sent, rtp_received })
    }

    fn sipp(
        &self,
        server: SocketAddr,
        name: &'static str,
        scenario: &str,
        more: &[&str],
    ) -> Result<Answer, LabError> {
        let dir = self.lab.scratch(name)?;
        write_job(&dir, &self.account, scenario)?;
        let local = self.node.address_like(server.ip()).to_string();
        let limit = LIMIT_S.to_string();
        let mut command = self.lab.command(self.node, "sipp");
        command.current_dir(&dir).arg(remote(server));
        command.args(["-sf", "scenario.xml", "-inf", "users.csv", "-i", &local, "-mi", &local, "-m", "1"]);
        command.args(["-key", "agent", USER_AGENT, "-nostdin", "-timeout", &limit, "-timeout_error"]);
        command.args(["-trace_err", "-error_file", "errors.log", "-t"]);
        command.arg(match self.transport {
            Transport::Udp => "u1",
            Transport::Tcp => "t1",
        });
        command.args(more);
        let output = run(command, Duration::from_secs(2 * LIMIT_S))?;
        if output.status.success() {
            return Ok(Answer::Done);
        }
        let errors = crate::process::read_lossy(&dir.join("errors.log"));
        let silence = ["timed out", "Error on TCP connection"];
        match refusal(&errors) {
            Some(status) => Ok(Answer::Refused(status)),
            None if silence.iter().any(|words| errors.contains(words)) => Ok(Answer::Nothing),
            None => Err(LabError::Unexpected { tool: "sipp", text: output.text() + &errors }),
        }
    }
}

/// Counts RTP in the phone's own namespace, on ports of one call's own, so that calls can stand side by side.
struct RtpCounters<'lab> {
    lab: &'lab Lab,
    node: Node,
    port: u16,
    table: String,
}

impl<'lab> RtpCounters<'lab> {
    fn new(lab: &'lab Lab, node: Node) -> Result<Self, LabError> {
        let call = lab.next();
        // Even, above Asterisk's range, and not used again until 5000 calls later.
        let port = 30_000 + u16::try_from(call % 5000).unwrap_or(0) * 4;
        let counters = Self { lab, node, port, table: format!("lab_call_{call}") };
        let table = &counters.table;
        let rules = format!(
            "add table inet {table}; add counter inet {table} sent; add counter inet {table} received; \
             add chain inet {table} out {{ type filter hook output priority 0; }}; \
             add chain inet {table} in {{ type filter hook input priority 0; }}; \
             add rule inet {table} out udp sport {port} counter name sent; \
             add rule inet {table} in udp dport {port} counter name received"
        );
        lab.must(node, ["nft", &rules])?;
        Ok(counters)
    }

    fn read(&self, counter: &str) -> Result<u64, LabError> {
        let output = self.lab.must(self.node, ["nft", "list", "counter", "inet", &self.table, counter])?;
        let mut words = output.stdout.split_whitespace().skip_while(|word| *word != "packets");
        let packets = words.nth(1).and_then(|word| word.parse().ok());
        packets.ok_or(LabError::Unexpected { tool: "nft", text: output.stdout })
    }
}

impl Drop for RtpCounters<'_> {
    fn drop(&mut self) {
        self.lab.exec(self.node, ["nft", "delete", "table", "inet", &self.table]).ok();
    }
}

/// Writes into `dir` what sipp wants for a call with audio, for a machine that has no lab: `scenario.xml`, `users.csv` and `tone.ul`.
///
/// # Errors
/// When they cannot be written.
pub fn write_call(dir: &Path, account: &Account) -> Result<(), LabError> {
    write_job(dir, account, CALL)
}

fn write_job(dir: &Path, Account { user, password }: &Account, scenario: &str) -> Result<(), LabError> {
    let users = format!("SEQUENTIAL\n{user};[authentication username={user} password={password}];\n");
    write(dir, "scenario.xml", scenario.as_bytes())?;
    write(dir, "users.csv", users.as_bytes())?;
    write(dir, "tone.ul", &tone())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), LabError> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(file("write", &path))
}

fn remote(server: SocketAddr) -> String {
    match server.ip() {
        IpAddr::V4(address) => format!("{address}:{}", server.port()),
        IpAddr::V6(address) => format!("[{address}]:{}", server.port()),
    }
}

/// The status of the message that made sipp give the call up, from its error log.
fn refusal(errors: &str) -> Option<u16> {
    let (_, message) = errors.split_once("received 'SIP/2.0 ")?;
    message.split(' ').next()?.parse().ok()
}

/// Two seconds of a 400 Hz square wave in G.711 μ-law: 20 samples a period at 8000 Hz, ± a quarter of the full scale.
fn tone() -> Vec<u8> {
    const HIGH: u8 = 0x9f;
    const LOW: u8 = 0x1f;
    (0..16_000).map(|sample| if sample % 20 < 10 { HIGH } else { LOW }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_silence() {
        let log = "2026-11-23\t08:56:48\t1: Aborting call on unexpected message for Call-Id '1-2@192.0.2.20': \
                   while expecting '200' (index 3), received 'SIP/2.0 403 Forbidden\r\nVia: x";
        assert_eq!(refusal(log), Some(403));
        assert_eq!(refusal("call timed out after '8.000' seconds"), None);
    }

    #[test]
    fn audio_is_both_ways_only_with_a_full_echo() {
        let report = |rtp_sent, rtp_received| CallReport { answer: Answer::Done, rtp_sent, rtp_received };
        assert!(report(100, 98).audio_both_ways());
        assert!(!report(100, 50).audio_both_ways());
        assert!(!report(0, 0).audio_both_ways());
        assert!(!CallReport { answer: Answer::Refused(486), ..report(100, 100) }.audio_both_ways());
    }
}
