//! What attackers and a phone do, and what they get.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use lab::asterisk::{PHONE, WEAK};
use lab::attack::{self, FoundDevice, Port};
use lab::phone::{Answer, ECHO, Phone, Transport};
use lab::probe::{self, IcmpError, Listener, TcpProbe};
use lab::{Asterisk, Lab, Node};

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);

/// One thing that was tried.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) title: &'static str,
    /// What came of it, in words.
    pub(super) outcome: String,
    /// Whether it worked for the one who tried.
    pub(super) good: bool,
    /// Whether the one who tried is honest, so that it must work behind Ringfence too.
    honest: bool,
    /// SIP messages from there that Asterisk's own log has, where it says something.
    pub(super) seen: Option<usize>,
}

impl Scene {
    /// Whether it ought to work.
    pub(super) const fn expected(&self, guarded: bool) -> bool {
        self.honest || !guarded
    }
}

/// A web and an SSH server's stand-ins.
pub(super) fn listeners(lab: &Lab) -> Result<[Listener; 2]> {
    Ok([Listener::tcp(lab, Node::Pbx, 22)?, Listener::tcp(lab, Node::Pbx, 80)?])
}

/// Plays all scenes, one after the other.
pub(super) fn play(lab: &Lab, asterisk: &Asterisk) -> Result<Vec<Scene>> {
    let mut stage = Stage { lab, asterisk, scenes: Vec::new() };
    stage.scanners()?;
    stage.closed_port()?;
    stage.honest_people()?;
    Ok(stage.scenes)
}

struct Stage<'lab> {
    lab: &'lab Lab,
    asterisk: &'lab Asterisk,
    scenes: Vec<Scene>,
}

impl Stage<'_> {
    fn scanners(&mut self) -> Result<()> {
        let lab = self.lab;
        self.attack("svmap: look for SIP servers", || {
            let found = attack::svmap(lab, Node::Attacker, PBX)?;
            // "Asterisk PBX 22.10.1+dfsg+…": Debian's additions to the version tell nothing here.
            let name = |device: &FoundDevice| device.user_agent.split('+').next().map(str::to_owned);
            Ok(found.first().and_then(name).map(|name| format!("found {name}")))
        })?;
        self.attack("svwar: walk the extensions", || {
            let found = attack::svwar(lab, Node::Attacker, PBX, "100-102,1000-1002", "INVITE")?;
            let names: Vec<String> = found.into_iter().map(|found| found.extension).collect();
            Ok((!names.is_empty()).then(|| format!("found {}", names.join(", "))))
        })?;
        self.attack("svcrack: guess a password", || {
            let found = attack::svcrack(lab, Node::Attacker, PBX, WEAK.user, "100-110")?;
            Ok(found.map(|password| format!("{} has the password {password}", WEAK.user)))
        })?;
        self.attack("sipsak: send one OPTIONS", || {
            Ok(attack::sipsak(lab, Node::Attacker, SIP, ECHO)?.map(|status| format!("answer {status}")))
        })
    }

    /// A closed TCP port: a bare host says itself that nobody listens, a guarded one that it is forbidden to ask.
    fn closed_port(&mut self) -> Result<()> {
        let ports = attack::nmap_tcp(self.lab, Node::Attacker, PBX, "22,80,443")?;
        let said = |port: &Port| match port.state.as_str() {
            "open" => format!("{} open", port.port),
            _ => format!("{} {}", port.port, port.reason),
        };
        let said: Vec<String> = ports.iter().map(said).collect();
        let open = |wanted| ports.iter().any(|port| port.port == wanted && port.state == "open");
        self.push("nmap: TCP ports", said.join(", "), open(22) && open(80), true, None);
        let closed = probe::tcp(self.lab, Node::Attacker, (PBX, 443).into(), Duration::from_secs(2))?;
        let outcome = match closed {
            TcpProbe::Open => "open".to_owned(),
            TcpProbe::RefusedRst => "RST: the host answers".to_owned(),
            TcpProbe::Icmp(IcmpError::HostProhibited) => "ICMP host prohibited".to_owned(),
            TcpProbe::Icmp(other) => format!("ICMP {other:?}"),
            TcpProbe::Timeout => "no answer".to_owned(),
        };
        let answered = closed == TcpProbe::RefusedRst;
        self.push("connect to a closed port", outcome, answered, false, None);
        Ok(())
    }

    fn honest_people(&mut self) -> Result<()> {
        let pong = probe::ping(self.lab, Node::Phone, PBX)?;
        self.push("ping", if pong { "answered" } else { "no answer" }.to_owned(), pong, true, None);
        let phone = Phone::new(self.lab, Node::Phone, PHONE, Transport::Udp);
        let before = self.seen(Node::Phone)?;
        let registered = phone.register(SIP)?;
        let seen = self.seen(Node::Phone)? - before;
        let good = registered == Answer::Done;
        self.push("a phone registers", in_words(&registered, "registered"), good, true, Some(seen));
        let call = phone.call(SIP, ECHO)?;
        let seen = self.seen(Node::Phone)? - before - seen;
        let outcome = format!(
            "{}, audio {} out, {} back",
            in_words(&call.answer, "answered"),
            call.rtp_sent,
            call.rtp_received
        );
        self.push("and calls the echo test", outcome, call.audio_both_ways(), true, Some(seen));
        Ok(())
    }

    fn attack(&mut self, title: &'static str, work: impl FnOnce() -> Result<Option<String>>) -> Result<()> {
        let before = self.seen(Node::Attacker)?;
        let gained = work()?;
        let seen = self.seen(Node::Attacker)? - before;
        // What reached Asterisk is a success for the attacker even when the tool made nothing of it.
        let good = gained.is_some() || seen > 0;
        self.push(title, gained.unwrap_or_else(|| "found nothing".to_owned()), good, false, Some(seen));
        Ok(())
    }

    fn push(&mut self, title: &'static str, outcome: String, good: bool, honest: bool, seen: Option<usize>) {
        println!("   {title}: {outcome}");
        self.scenes.push(Scene { title, outcome, good, honest, seen });
    }

    /// Messages from a node in Asterisk's log so far, once the log is up to date.
    fn seen(&self, node: Node) -> Result<usize> {
        self.asterisk.settle()?;
        Ok(self.asterisk.seen_from(IpAddr::V4(node.v4())))
    }
}

fn in_words(answer: &Answer, done: &str) -> String {
    match answer {
        Answer::Done => done.to_owned(),
        Answer::Refused(status) => format!("refused with {status}"),
        Answer::Nothing => "no answer".to_owned(),
    }
}
