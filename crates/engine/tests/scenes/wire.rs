//! The cast: a PBX that challenges as Asterisk does, peers that talk to it, and the engine between.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use engine::{
    Command, Direction, Enforcer, Engine, Fact, Fate, Kind, Limits, Observation, Segment, Settings, Stop,
    Testimony, Transport,
};
use sip::{Carrier, Message, Method, View};

pub(crate) const PBX: &str = "198.51.100.1:5060";

/// A PBX, the engine before it, and everything that was said.
pub(crate) struct World {
    pub(crate) engine: Engine,
    enforcer: Enforcer,
    pub(crate) now: Duration,
    pub(crate) commands: Vec<Command>,
    pub(crate) passwords: BTreeMap<String, String>,
    nonces: BTreeSet<String>,
    /// Unknown accounts get a 404 instead of a challenge.
    pub(crate) tells_missing: bool,
    /// Addresses whose calls are taken without credentials.
    pub(crate) carriers: BTreeSet<std::net::IpAddr>,
    counter: u64,
    pub(crate) connections: BTreeMap<SocketAddr, (u32, u32)>,
    /// Datagrams are told as copies instead.
    pub(crate) copies: Option<Transport>,
    /// What the PBX says of media when it takes a call.
    pub(crate) media: String,
}

/// What a peer sends.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) uri: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) tag: String,
    pub(crate) to_tag: Option<String>,
    pub(crate) call: String,
    pub(crate) cseq: u32,
    pub(crate) branch: String,
    pub(crate) agent: String,
    pub(crate) credentials: Option<(String, String, String)>,
    pub(crate) extra: String,
    pub(crate) body: String,
}

impl Ask {
    /// A request from `user` to `target`, with fresh identifiers made from `id`.
    pub(crate) fn new(method: &'static str, user: &str, target: &str, id: &str) -> Self {
        let uri = if method == "REGISTER" {
            "sip:pbx.example.com".to_owned()
        } else {
            format!("sip:{target}@pbx.example.com")
        };
        Self {
            method,
            uri,
            from: format!("<sip:{user}@pbx.example.com>"),
            to: format!("<sip:{target}@pbx.example.com>"),
            tag: format!("t{id}"),
            to_tag: None,
            call: format!("c{id}@phone.example"),
            cseq: 1,
            branch: format!("z9hG4bK{id}x"),
            agent: "Acme Phone 5.2".to_owned(),
            credentials: None,
            extra: String::new(),
            body: String::new(),
        }
    }

    pub(crate) fn register(user: &str, id: &str) -> Self {
        Self::new("REGISTER", user, user, id)
    }

    /// The same, again, with credentials.
    pub(crate) fn with_credentials(&self, nonce: &str, user: &str, password: &str) -> Self {
        let mut ask = self.clone();
        ask.cseq += 1;
        ask.branch = format!("{}a", self.branch);
        ask.credentials = Some((user.to_owned(), nonce.to_owned(), password.to_owned()));
        ask
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { method, uri, from, to, tag, call, cseq, branch, agent, extra, body, .. } = self;
        let to_tag = self.to_tag.as_ref().map_or_else(String::new, |tag| format!(";tag={tag}"));
        let credentials = self.credentials.as_ref().map_or_else(String::new, |(user, nonce, password)| {
            format!(
                "Authorization: Digest username=\"{user}\",realm=\"asterisk\",nonce=\"{nonce}\",uri=\"{uri}\",\
                 response=\"{password}-{nonce}-{method}\",algorithm=MD5\r\n"
            )
        });
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: {from};tag={tag}\r\nTo: {to}{to_tag}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:x@192.0.2.10:5060>\r\nUser-Agent: {agent}\r\n{credentials}{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// A status, and the nonce of a challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) nonce: Option<String>,
    pub(crate) tag: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&Settings::default())
    }

    pub(crate) fn with(settings: &Settings) -> Self {
        Self {
            engine: Engine::new(settings, Limits::default(), Vec::new(), 7),
            enforcer: Enforcer::new(settings, 10_000),
            now: Duration::from_secs(1_777_629_600),
            commands: Vec::new(),
            passwords: BTreeMap::new(),
            nonces: BTreeSet::new(),
            tells_missing: false,
            carriers: BTreeSet::new(),
            counter: 0,
            connections: BTreeMap::new(),
            copies: None,
            media: String::new(),
        }
    }

    pub(crate) fn account(&mut self, name: &str, password: &str) {
        self.passwords.insert(name.to_owned(), password.to_owned());
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.engine.handle_timeout(self.now);
        self.collect();
    }

    /// Sends a datagram to the PBX; its answer, if it got there.
    pub(crate) fn ask(&mut self, peer: &str, ask: &Ask) -> Option<Reply> {
        self.say(peer, &ask.bytes())
    }

    /// Sends bytes; the PBX answers if they are a request that it gets.
    pub(crate) fn say(&mut self, peer: &str, bytes: &[u8]) -> Option<Reply> {
        let peer: SocketAddr = peer.parse().expect("an address");
        let passed = self.deliver(peer, bytes, Transport::Udp);
        let (reply, text) = self.pbx(peer, bytes)?;
        if !passed {
            return None;
        }
        self.now += Duration::from_millis(2);
        self.observe(peer, Direction::Out, text.as_bytes(), Transport::Udp, Fate::Passed);
        Some(reply)
    }

    pub(crate) fn deliver(&mut self, peer: SocketAddr, bytes: &[u8], transport: Transport) -> bool {
        self.now += Duration::from_millis(1);
        let stop = self.enforcer.judge(peer.ip(), self.now);
        let fate = match stop {
            Some(Stop::Banned) => Fate::Banned,
            Some(Stop::Limited) => Fate::Refused,
            None => Fate::Passed,
        };
        self.observe(peer, Direction::In, bytes, transport, fate);
        stop.is_none()
    }

    pub(crate) fn observe(
        &mut self,
        peer: SocketAddr,
        direction: Direction,
        bytes: &[u8],
        transport: Transport,
        fate: Fate,
    ) {
        let pbx: SocketAddr =
            if peer.is_ipv4() { PBX } else { "[2001:db8::1]:5060" }.parse().expect("an address");
        let transport = self.copies.unwrap_or(transport);
        let (source, destination) = match direction {
            Direction::In => (peer, pbx),
            Direction::Out => (pbx, peer),
        };
        let observation =
            Observation { source, destination, direction, transport, bytes, fate, frame: 0, is_cut: false };
        self.engine.handle_packet(&observation, self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(command) = self.engine.next_command() {
            self.enforcer.apply(&command);
            self.commands.push(command);
        }
    }

    /// Somebody else says something about a peer.
    pub(crate) fn testify(&mut self, peer: &str, is_proof: bool, account: &str, fact: Fact<'_>) {
        let peer = peer.parse().expect("an address");
        self.now += Duration::from_millis(1);
        self.engine.handle_testimony(&Testimony { peer, is_proof, nonce: None, account, fact }, self.now);
        self.collect();
    }

    /// Somebody else saw a message, too.
    pub(crate) fn tell_copy(&mut self, peer: &str, direction: Direction, bytes: &[u8]) {
        let transport = Transport::Copy { is_connection: false };
        self.observe(peer.parse().expect("an address"), direction, bytes, transport, Fate::Passed);
    }

    /// Sends bytes over the connection that nobody answers.
    pub(crate) fn say_tcp(&mut self, peer: &str, bytes: &[u8]) {
        let peer: SocketAddr = peer.parse().expect("an address");
        let (theirs, ours) = self.connections[&peer];
        let segment =
            Segment { sequence: theirs, acknowledgment: ours, syn: false, ack: true, fin: false, rst: false };
        self.deliver(peer, bytes, Transport::Tcp(segment));
        let next = theirs + u32::try_from(bytes.len()).expect("short");
        self.connections.insert(peer, (next, ours));
    }

    /// Opens a TCP connection.
    pub(crate) fn connect(&mut self, peer: &str) {
        let peer: SocketAddr = peer.parse().expect("an address");
        let segment = |sequence, acknowledgment, syn, ack| {
            Transport::Tcp(Segment { sequence, acknowledgment, syn, ack, fin: false, rst: false })
        };
        self.deliver(peer, b"", segment(1000, 0, true, false));
        self.observe(peer, Direction::Out, b"", segment(5000, 1001, true, true), Fate::Passed);
        self.deliver(peer, b"", segment(1001, 5001, false, true));
        self.connections.insert(peer, (1001, 5001));
    }

    /// Sends a request over the connection.
    pub(crate) fn ask_tcp(&mut self, peer: &str, ask: &Ask) -> Option<Reply> {
        let peer: SocketAddr = peer.parse().expect("an address");
        let bytes = ask.bytes();
        let (theirs, ours) = self.connections[&peer];
        let data = |sequence, acknowledgment| {
            Transport::Tcp(Segment {
                sequence,
                acknowledgment,
                syn: false,
                ack: true,
                fin: false,
                rst: false,
            })
        };
        let passed = self.deliver(peer, &bytes, data(theirs, ours));
        let (reply, text) = self.pbx(peer, &bytes)?;
        if !passed {
            return None;
        }
        let theirs = theirs + u32::try_from(bytes.len()).expect("short");
        self.observe(peer, Direction::Out, text.as_bytes(), data(ours, theirs), Fate::Passed);
        self.connections.insert(peer, (theirs, ours + u32::try_from(text.len()).expect("short")));
        Some(reply)
    }

    /// What the PBX answers.
    fn pbx(&mut self, peer: SocketAddr, bytes: &[u8]) -> Option<(Reply, String)> {
        let view = View::parse(bytes, Carrier::Datagram).ok()?;
        let message = Message::read(&view);
        let method = message.method();
        if message.status().is_some() || method == Method::Ack {
            return None;
        }
        self.counter += 1;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let to = message.to.and_then(|to| to.account()).map(text).unwrap_or_default();
        let tag = format!("as{:08x}", self.counter);
        let mut nonce = None;
        let status = match (method, message.credentials) {
            (Method::Options, _) => {
                if self.passwords.contains_key(&to) {
                    200
                } else {
                    404
                }
            }
            (Method::Invite, _) if self.carriers.contains(&peer.ip()) => 200,
            (_, Some(credentials)) => {
                let user = credentials.username.map(text).unwrap_or_default();
                let given = credentials.nonce.map(text).unwrap_or_default();
                let expected = self
                    .passwords
                    .get(&user)
                    .map(|password| format!("{password}-{given}-{}", method.as_str()));
                let good = expected == credentials.response.map(text) && self.nonces.contains(&given);
                if good { 200 } else { 401 }
            }
            _ if self.tells_missing && !self.passwords.contains_key(&to) => 404,
            _ => 401,
        };
        let mut challenge = String::new();
        if status == 401 {
            let fresh = format!("{}/{:032x}", 1_700_000_000 + self.counter, self.counter * 7919);
            challenge =
                format!("WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"{fresh}\",algorithm=MD5\r\n");
            self.nonces.insert(fresh.clone());
            nonce = Some(fresh);
        }
        let value = |name| {
            view.get(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        let body = if status == 200 && method == Method::Invite { self.media.as_str() } else { "" };
        use sip::HeaderName as Name;
        let answer = format!(
            "SIP/2.0 {status} x\r\nVia: {};received={}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{challenge}\
             Content-Length: {}\r\n\r\n{body}",
            value(Name::Via),
            peer.ip(),
            value(Name::From),
            value(Name::To),
            value(Name::CallId),
            value(Name::Cseq),
            body.len(),
        );
        Some((Reply { status, nonce, tag }, answer))
    }

    /// A phone that knows its password registers; whether it succeeded.
    pub(crate) fn phone_registers(&mut self, peer: &str, user: &str, id: &str) -> bool {
        let ask = Ask::register(user, id);
        let Some(Reply { nonce: Some(nonce), .. }) = self.ask(peer, &ask) else { return false };
        let password = self.passwords[user].clone();
        self.ask(peer, &ask.with_credentials(&nonce, user, &password))
            .is_some_and(|reply| reply.status == 200)
    }

    /// One guess of a password; whether the PBX got it.
    pub(crate) fn guess(&mut self, peer: &str, user: &str, password: &str, id: &str) -> bool {
        let ask = Ask::register(user, id);
        let Some(Reply { nonce: Some(nonce), .. }) = self.ask(peer, &ask) else { return false };
        self.ask(peer, &ask.with_credentials(&nonce, user, password)).is_some()
    }

    pub(crate) fn bans(&self) -> Vec<(String, Kind)> {
        let ban = |command: &Command| {
            let Command::Ban { source, reason, .. } = command else { return None };
            Some((source.to_string(), *reason))
        };
        self.commands.iter().filter_map(ban).collect()
    }

    pub(crate) fn limits(&self) -> Vec<(String, Kind)> {
        let limit = |command: &Command| {
            let Command::Limit { source, reason, .. } = command else { return None };
            Some((source.to_string(), *reason))
        };
        self.commands.iter().filter_map(limit).collect()
    }

    pub(crate) fn evidence(&self, kind: Kind) -> Vec<String> {
        let evidence = |command: &Command| {
            let Command::Evidence { detector, detail, .. } = command else { return None };
            (*detector == kind).then(|| detail.clone())
        };
        self.commands.iter().filter_map(evidence).collect()
    }

    pub(crate) fn alerts(&self) -> Vec<String> {
        let alert = |command: &Command| {
            let Command::Alert { detail, .. } = command else { return None };
            Some(detail.clone())
        };
        self.commands.iter().filter_map(alert).collect()
    }

    /// Nobody is banned.
    #[track_caller]
    pub(crate) fn nobody_is_banned(&self) {
        assert_eq!(self.bans(), [], "{:#?}", self.commands);
    }
}
