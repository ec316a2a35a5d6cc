//! From the packet that gives an attacker away to the ban in the kernel's map, while a flood with forged sources runs. Told twice: by
//! the daemon, from the gate's clock to the end of the call that writes the map, which is the time that Ringfence takes; and as the
//! attacker sees it, who asks until he is not heard any more. He shares a processor with the daemon and with who answers him, so that
//! his time has that of his own turns in it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use lab::{Guard, Lab, Node};

use super::bans::row;
use super::flood::sender;
use crate::install::is_root;
use crate::step::{cargo, run as step};
use crate::{target_dir, workspace};

#[derive(Debug, Args)]
pub(super) struct ReactionArgs {
    /// Attackers, one after the other
    #[arg(long, default_value_t = 150)]
    sources: u8,
}

/// `Nice=` of the unit in `packaging/systemd`.
const NICE: i32 = -5;
const PBX: Ipv4Addr = Node::Pbx.v4();
const SIP: u16 = 5060;
/// Who hears nothing for so long is not heard: an answer takes a tenth of a millisecond.
const SILENCE: Duration = Duration::from_millis(30);
/// An attacker is heard again if his question was lost in the flood and not stopped.
const DOUBTS: usize = 3;

pub(super) fn run(args: &ReactionArgs) -> Result<()> {
    ensure!(is_root(), "network namespaces need root");
    step(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
    for floods in [false, true] {
        let lab = Lab::up("bench-reaction")?;
        lab.must(Node::Net, ["ip", "route", "add", "blackhole", "default"])?;
        play(&lab, args.sources, floods)?;
    }
    Ok(())
}

fn play(lab: &Lab, sources: u8, floods: bool) -> Result<()> {
    let first = 90_u8;
    let sources: Vec<Ipv4Addr> =
        (first..first.saturating_add(sources)).map(|last| Ipv4Addr::new(203, 0, 113, last)).collect();
    for source in &sources {
        lab.must(Node::Attacker, ["ip", "address", "add", &format!("{source}/32"), "dev", Node::INTERFACE])?;
    }
    let binary = target_dir().join("release/ringfence");
    // The daemon inherits it from who starts it.
    let nice = |value| rustix::process::setpriority_process(None, value).context("cannot set the priority");
    nice(NICE)?;
    let guard = Guard::start(lab, &binary, &workspace().join("packaging/policy.toml"));
    nice(0)?;
    let guard = guard?;
    let pbx = Pbx::start(lab)?;
    let (sent, stop) = (AtomicU64::new(0), AtomicBool::new(!floods));
    let begin = Instant::now();
    let attacks = thread::scope(|scope| -> Result<_> {
        let flood = scope.spawn(|| lab.inside(Node::Attacker, || sender::flood(PBX, &sent, &stop)));
        let attacks: Result<Vec<Attack>> = {
            // The flood, if there is one, is at its height.
            thread::sleep(Duration::from_secs(1));
            sources.iter().map(|source| attack(lab, *source)).collect()
        };
        stop.store(true, Ordering::Relaxed);
        flood.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))??;
        attacks
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    drop(pbx);
    let bans = guard.command(&["bans", "--format", "json"])?.stdout.lines().count();
    let status: serde_json::Value =
        serde_json::from_str(&guard.command(&["status", "--format", "json"])?.stdout)?;
    let lost = status.pointer("/events/lost").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let reaction = |name: &str| {
        let time = status.pointer(&format!("/bans/reaction/{name}")).and_then(serde_json::Value::as_f64);
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} ms", time / 1000.0))
    };
    let mut times: Vec<f64> = attacks.iter().map(|attack| attack.heard).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let time = times.get(((times.len() - 1) as f64 * part) as usize).copied().unwrap_or(0.0);
        format!("{:.2} ms", time * 1000.0)
    };
    println!("{}, {} attackers", if floods { "\nunder a flood" } else { "at rest" }, times.len());
    if floods {
        row("forged packets a second", format!("{:.0}", sent.load(Ordering::Relaxed) as f64 / seconds));
    }
    row("from the gate to the ban in its map: median", reaction("median_us"));
    row("99 of 100", reaction("of_hundred_99_us"));
    row("slowest", reaction("longest_us"));
    row("from the attacker's packet to silence: median", at(0.5));
    row("99 of 100", at(0.99));
    row("slowest", at(1.0));
    row("banned; the others limited, as the answer to them was not seen", bans.to_string());
    row(
        "had to give themselves away again",
        attacks.iter().filter(|attack| attack.tries > 1).count().to_string(),
    );
    row("events that found no room", lost.to_string());
    Ok(())
}

/// How long an attacker was heard after he first gave himself away, in seconds, and how often he did.
struct Attack {
    heard: f64,
    tries: u32,
}

fn attack(lab: &Lab, source: Ipv4Addr) -> Result<Attack> {
    let socket = lab.inside(Node::Attacker, || UdpSocket::bind((source, 0)))??;
    socket.connect((IpAddr::V4(PBX), SIP))?;
    socket.set_read_timeout(Some(SILENCE))?;
    // The limit of all strangers together does not hold for him once he has shown that the address is his.
    let nonce = challenge(&socket, source, "none", None)?;
    let nonce = challenge(&socket, source, "guess", Some(&nonce))?;
    let mut questions = Questions { socket: &socket, asked: 0 };
    let proven = Instant::now();
    while !(0..DOUBTS).all(|_| questions.is_heard().is_ok_and(|heard| heard)) {
        ensure!(proven.elapsed() < Duration::from_secs(5), "{source} is not heard before it is banned");
    }
    let written = Instant::now();
    for tries in 1..=10 {
        // svcrack of SIPVicious writes the guess into From's tag: `100:1`, a byte 1, ten digits.
        let tag = format!("3130303a3{tries:x}0132333738333139323131", tries = tries % 10);
        socket.send(register(source, &tag, Some(&nonce)).as_bytes())?;
        if let Some(heard) = silent_after(&mut questions, written, Duration::from_secs(u64::from(tries)))? {
            return Ok(Attack { heard, tries });
        }
    }
    anyhow::bail!("{source} is not banned")
}

/// Seconds from `written` to the first of the questions that nobody answers.
fn silent_after(questions: &mut Questions<'_>, written: Instant, most: Duration) -> Result<Option<f64>> {
    while written.elapsed() < most {
        let asked = Instant::now();
        let mut heard = false;
        for _ in 0..DOUBTS {
            heard = heard || questions.is_heard()?;
        }
        if !heard {
            return Ok(Some((asked - written).as_secs_f64()));
        }
    }
    Ok(None)
}

/// Asks until the PBX challenges; its nonce.
fn challenge(socket: &UdpSocket, source: Ipv4Addr, tag: &str, nonce: Option<&str>) -> Result<String> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        socket.send(register(source, tag, nonce).as_bytes())?;
        let mut buffer = [0; 1000];
        let Some(length) = answer(socket, &mut buffer)? else { continue };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        if let Some((_, rest)) = text.split_once("nonce=\"")
            && let Some((nonce, _)) = rest.split_once('"')
        {
            return Ok(nonce.to_owned());
        }
    }
    anyhow::bail!("{source} gets no challenge")
}

/// Questions of one attacker: empty lines, which the PBX of this measurement sends back, in each question another number of them. So
/// an answer that comes late is not taken for one to the question after.
struct Questions<'s> {
    socket: &'s UdpSocket,
    asked: usize,
}

impl Questions<'_> {
    fn is_heard(&mut self) -> Result<bool> {
        self.asked += 1;
        let question = b"\r\n".repeat(2 + self.asked % 50);
        self.socket.send(&question)?;
        let begin = Instant::now();
        let mut buffer = [0; 1000];
        while begin.elapsed() < SILENCE {
            if answer(self.socket, &mut buffer)? == Some(question.len()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn answer(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<usize>> {
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn register(source: Ipv4Addr, tag: &str, nonce: Option<&str>) -> String {
    let credentials = nonce.map_or_else(String::new, |nonce| {
        format!(
            "Authorization: Digest username=\"100\",realm=\"asterisk\",nonce=\"{nonce}\",uri=\"sip:{PBX}\",\
             response=\"0123456789abcdef0123456789abcdef\",algorithm=MD5\r\n"
        )
    });
    let cseq = 1 + u32::from(nonce.is_some());
    format!(
        "REGISTER sip:{PBX} SIP/2.0\r\nVia: SIP/2.0/UDP {source}:5060;branch=z9hG4bK{tag}{cseq};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:100@{PBX}>;tag={tag}\r\nTo: <sip:100@{PBX}>\r\nCall-ID: {tag}@{source}\r\nCSeq: {cseq} REGISTER\r\n\
         Contact: <sip:100@{source}>\r\nUser-Agent: Acme Phone 5.2\r\n{credentials}Content-Length: 0\r\n\r\n"
    )
}

/// Challenges every REGISTER and sends empty lines back, as long as the value lives.
struct Pbx {
    stop: Arc<AtomicBool>,
}

impl Drop for Pbx {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Pbx {
    fn start(lab: &Lab) -> Result<Self> {
        let socket = lab.inside(Node::Pbx, || UdpSocket::bind((IpAddr::V4(PBX), SIP)))??;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let mut buffer = [0; 2000];
            let mut challenges = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let text = buffer.get(..length).unwrap_or_default();
                if text.iter().all(|byte| b"\r\n".contains(byte)) {
                    // Who is gone is gone.
                    let _ = socket.send_to(text, from);
                } else if text.starts_with(b"REGISTER ") {
                    challenges += 1;
                    let _ = socket.send_to(refusal(text, challenges).as_bytes(), from);
                }
            }
        });
        Ok(Self { stop })
    }
}

/// 401 with a nonce of its own.
fn refusal(request: &[u8], number: u64) -> String {
    let request = String::from_utf8_lossy(request);
    let kept: String = request
        .split("\r\n")
        .filter(|line| ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{line}\r\n"))
        .collect();
    format!(
        "SIP/2.0 401 Unauthorized\r\n{kept}To: <sip:100@{PBX}>;tag=pbx{number}\r\n\
         WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"1777629600/{number:032x}\",algorithm=MD5\r\nContent-Length: 0\r\n\r\n"
    )
}
