//! Requests and answers one by one, where the answer takes its time or is no usual one.

use std::net::SocketAddr;

use engine::{Direction, Fate, Segment, Transport};

use super::wire::{Ask, World};

impl World {
    /// A request that is not answered yet; whether it got through. Over the connection, if there is one.
    pub(crate) fn arrive(&mut self, peer: &str, ask: &Ask) -> bool {
        let peer: SocketAddr = peer.parse().expect("an address");
        let bytes = ask.bytes();
        let Some(&(theirs, ours)) = self.connections.get(&peer) else {
            return self.deliver(peer, &bytes, Transport::Udp);
        };
        let passed = self.deliver(peer, &bytes, segment(theirs, ours));
        self.connections.insert(peer, (theirs + length(&bytes), ours));
        passed
    }

    /// What the PBX answers to it; the tag and, if it is a challenge, the nonce.
    pub(crate) fn reply(&mut self, peer: &str, ask: &Ask, status: u16) -> (String, String) {
        let Ask { method, from, to, tag, call, cseq, branch, .. } = ask;
        let (ours, nonce) = (format!("as-{call}"), format!("n-{call}-{cseq}"));
        let challenge = match status {
            401 => format!("WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"{nonce}\"\r\n"),
            407 => format!("Proxy-Authenticate: Digest realm=\"asterisk\",nonce=\"{nonce}\"\r\n"),
            _ => String::new(),
        };
        let text = format!(
            "SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch={branch}\r\nFrom: {from};tag={tag}\r\n\
             To: {to};tag={ours}\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n{challenge}Content-Length: 0\r\n\r\n"
        );
        let address: SocketAddr = peer.parse().expect("an address");
        let transport = match self.connections.get(&address).copied() {
            None => Transport::Udp,
            Some((theirs, next)) => {
                self.connections.insert(address, (theirs, next + length(text.as_bytes())));
                segment(next, theirs)
            }
        };
        self.observe(address, Direction::Out, text.as_bytes(), transport, Fate::Passed);
        (ours, nonce)
    }

    /// A request, its answer and, of a call, the ACK; the nonce of a challenge, or nothing if it did not get through.
    pub(crate) fn exchange(&mut self, peer: &str, ask: &Ask, status: u16) -> Option<String> {
        if !self.arrive(peer, ask) {
            return None;
        }
        let (tag, nonce) = self.reply(peer, ask, status);
        if ask.method == "INVITE" {
            self.acknowledge(peer, ask, status, tag);
        }
        Some(nonce)
    }

    /// The ACK of an answer to a call.
    pub(crate) fn acknowledge(&mut self, peer: &str, ask: &Ask, status: u16, tag: String) {
        let mut ack = Ask { method: "ACK", to_tag: Some(tag), ..ask.clone() };
        if status < 300 {
            ack.branch += "k";
        }
        self.arrive(peer, &ack);
    }
}

fn segment(sequence: u32, acknowledgment: u32) -> Transport {
    Transport::Tcp(Segment { sequence, acknowledgment, syn: false, ack: true, fin: false, rst: false })
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("short")
}
