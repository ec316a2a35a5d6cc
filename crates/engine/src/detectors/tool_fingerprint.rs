//! Tools by what their authors did not think of changing.

use std::net::IpAddr;

use sip::{Anomalies, HeaderName, Method};

use super::{Detect, Detector, Findings, Kind, Request, Scene};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::Source;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::ToolFingerprint,
    summary: "attack tools, whatever agent they claim to be",
    description: "Knows SIPVicious by its tags (which hold the address it scans, the extension or the very password that it tries), \
        branches and Call-IDs; SIPPTS by branches without the magic cookie; nmap's probe and scripts, sipcli and PortSIP's scanner by what they write \
        into headers and session descriptions; research scanners by their names in URIs; and messages with the RFC's sample \
        hosts. Shapes that a lawful program could have by chance count little, and once; likely signs of a source that authenticated \
        are told only, as softphones are made of the same parts.",
    settings: &[
        Setting {
            key: "points",
            default: 100,
            min: 0,
            max: 1000,
            unit: "points a sure sign",
            reason: "a shape that nothing but the tool makes",
        },
        Setting {
            key: "likely-points",
            default: 60,
            min: 0,
            max: 1000,
            unit: "points a likely sign",
            reason: "a shape that a small program might share; two make the threshold",
        },
        Setting {
            key: "weak-points",
            default: 15,
            min: 0,
            max: 1000,
            unit: "points a weak sign, once",
            reason: "says something only beside other evidence",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct ToolFingerprint {
    points: f32,
    likely: f32,
    weak: f32,
}

/// Weak signs of this source that were counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    weak: bool,
}

/// How sure a sign is.
enum Sign {
    Likely(&'static str),
    Sure(&'static str),
    Weak(&'static str),
}

impl ToolFingerprint {
    pub(crate) fn new(settings: &Settings) -> Self {
        let points = |key| settings.points(Kind::ToolFingerprint, key);
        Self { points: points("points"), likely: points("likely-points"), weak: points("weak-points") }
    }

    /// The policy's signatures found one; the gate's verdict stands, this is what it says about the source.
    pub(crate) fn signature(&self, is_proof: bool, source: &mut Source, findings: &mut Findings) {
        findings.add(source, Kind::ToolFingerprint, self.likely, is_proof, || {
            "a packet with one of the policy's signatures in it".to_owned()
        });
    }
}

impl Detect for ToolFingerprint {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let sign = sipvicious(request, scene)
            .or_else(|| sippts(request))
            .or_else(|| nmap_scripts(request))
            .or_else(|| others(request))
            .or_else(|| session(request))
            .or_else(|| weak(request));
        let (points, what) = match sign {
            None => return,
            // A softphone that a customer likes may be made of what scanners are made of.
            Some(Sign::Likely(what)) if scene.class >= Class::Credited => (0.0, what),
            Some(Sign::Sure(what)) => (self.points, what),
            Some(Sign::Likely(what)) => (self.likely, what),
            Some(Sign::Weak(_)) if source.tools.weak => return,
            Some(Sign::Weak(what)) => {
                source.tools.weak = true;
                (self.weak, what)
            }
        };
        findings.add(source, Kind::ToolFingerprint, points, request.is_proof, || what.to_owned());
    }
}

fn sipvicious(request: &Request<'_, '_>, scene: &Scene) -> Option<Sign> {
    let message = request.message;
    let tag = message.from.as_ref().and_then(|from| from.tag).unwrap_or_default();
    if tag == b"3206210844" {
        return Some(Sign::Sure("the From tag that svcrack begins with"));
    }
    if let Some(data) = tag_data(tag) {
        return Some(Sign::Sure(if names(data, scene.local.ip()) {
            "a SIPVicious From tag that holds our own address"
        } else {
            "a SIPVicious From tag"
        }));
    }
    let addresses = [&message.from, &message.to, &message.contact].into_iter().flatten();
    let mut uris = addresses.filter_map(|address| address.uri.as_ref());
    if uris.any(|uri| uri.host == b"1.1.1.1" && matches!(uri.user, Some(b"100" | b"123"))) {
        return Some(Sign::Sure("the address 1.1.1.1 that SIPVicious writes"));
    }
    let name = message.from.as_ref().map(|from| from.display_name).unwrap_or_default();
    if name == b"\"sipvicious\"" || name.starts_with(b"\"ccxllrlflgig") {
        return Some(Sign::Sure("a display name that SIPVicious or its kin writes"));
    }
    let branch =
        message.via.as_ref().and_then(|via| via.branch).and_then(|branch| branch.strip_prefix(b"z9hG4bK-"));
    let is_number = |text: &[u8], lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
    };
    let numbers = is_number(branch?, 5..=10) && is_number(message.call_id?, 5..=25);
    numbers.then_some(Sign::Likely("branch and Call-ID are bare numbers, as SIPVicious makes them"))
}

/// What a SIPVicious tag holds: hexadecimal digits of text, a byte 1, and a random number.
fn tag_data(tag: &[u8]) -> Option<&[u8]> {
    let (pairs, rest) = tag.as_chunks::<2>();
    if !rest.is_empty() || !(9..=120).contains(&pairs.len()) {
        return None;
    }
    let at = pairs.iter().position(|pair| pair == b"01").filter(|&at| at > 0)?;
    let text = pairs.get(..at)?;
    let is_small_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_text = |pair: &[u8; 2]| matches!(pair[0], b'2'..=b'7') && is_small_hex(pair[1]);
    let number = pairs.get(at + 1..)?;
    let is_digit = |pair: &[u8; 2]| pair[0] == b'3' && pair[1].is_ascii_digit();
    let fits = (6..=10).contains(&number.len()) && number.iter().all(is_digit) && text.iter().all(is_text);
    fits.then_some(tag.get(..at * 2)?)
}

/// Whether the data of a tag is the text of an address in hexadecimal, itself in hexadecimal, as svmap writes it.
fn names(data: &[u8], address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let expected = address.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
    let digits = data.as_chunks::<2>().0.iter().map(|&[high, low]| {
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
        char::from_u32(digit(high) << 4 | digit(low)).and_then(|c| c.to_digit(16))
    });
    let mut count = 0;
    let same = expected.zip(digits).all(|(expected, digit)| {
        count += 1;
        digit == Some(u32::from(expected))
    });
    same && count == 8
}

fn sippts(request: &Request<'_, '_>) -> Option<Sign> {
    let branch = request.message.via.as_ref().and_then(|via| via.branch)?;
    let call_id = request.message.call_id?;
    let small = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = branch.len() == 71
        && branch.iter().all(small)
        && !branch.starts_with(b"z9hg4bk")
        && call_id.len() == 32
        && call_id.iter().all(is_hex);
    fits.then_some(Sign::Sure("branch and Call-ID as SIPPTS makes them"))
}

/// nselib's `sip.lua`, which sip-enum-users, sip-brute, sip-call-spoof and sip-methods are made of: three random words of 25, 20 and 60
/// letters.
fn nmap_scripts(request: &Request<'_, '_>) -> Option<Sign> {
    let message = request.message;
    let branch = message.via.as_ref().and_then(|via| via.branch)?.strip_prefix(b"z9hG4bK")?;
    let tag = message.from.as_ref().and_then(|from| from.tag)?;
    let is_word = |text: &[u8], length| {
        text.len() == length && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let fits = is_word(branch, 25) && is_word(tag, 20) && is_word(message.call_id?, 60);
    fits.then_some(Sign::Sure("branch, tag and Call-ID as nmap's scripts make them"))
}

fn others(request: &Request<'_, '_>) -> Option<Sign> {
    let message = request.message;
    let from = message.from.as_ref()?;
    let raw_uri = message.raw_uri().unwrap_or_default();
    let branch = message.via.as_ref().and_then(|via| via.branch);
    if raw_uri == b"sip:nm"
        || from.raw_uri == b"sip:nm@nm"
        || (branch == Some(b"foo") && from.tag == Some(b"root"))
    {
        return Some(Sign::Sure("the probe that nmap sends"));
    }
    if from.account() == Some(b"sipsscuser") {
        return Some(Sign::Sure("the user of a scanner that derives from SIPVicious"));
    }
    let uris = [
        from.uri.as_ref(),
        message.uri.as_ref(),
        message.to.as_ref().and_then(|to| to.uri.as_ref()),
        message.contact.as_ref().and_then(|contact| contact.uri.as_ref()),
    ];
    if uris.iter().flatten().any(|uri| RESEARCH.has(uri.host)) {
        return Some(Sign::Likely("the address of a research scanner"));
    }
    let via = message.via.as_ref().map(|via| via.host).unwrap_or_default();
    let contact = message.contact.as_ref().and_then(|contact| contact.uri.as_ref());
    let contact = contact.map(|uri| uri.host).unwrap_or_default();
    (SAMPLES.has(via) || SAMPLES.has(contact)).then_some(Sign::Likely("a sample host of RFC 3261"))
}

/// Hosts, of which nearly no message has one.
struct Hosts {
    names: &'static [&'static str],
    /// A bit for each length: most hosts have another.
    lengths: u64,
}

const RESEARCH: Hosts = Hosts::new(&["sip5060.net", "censys.io", "shodan.io", "leakix.net"]);
const SAMPLES: Hosts = Hosts::new(&[
    "pc33.atlanta.com",
    "server10.biloxi.com",
    "bigbox3.site3.atlanta.com",
    "bobspc.biloxi.com",
    "erlang.bell-telephone.com",
    "first.example.com",
]);

impl Hosts {
    const fn new(names: &'static [&'static str]) -> Self {
        let (mut lengths, mut rest) = (0, names);
        while let [name, others @ ..] = rest {
            lengths |= 1 << name.len();
            rest = others;
        }
        Self { names, lengths }
    }

    fn has(&self, host: &[u8]) -> bool {
        let may_be = host.len() < 64 && self.lengths >> host.len() & 1 == 1;
        may_be && self.names.iter().any(|name| host.eq_ignore_ascii_case(name.as_bytes()))
    }
}

fn session(request: &Request<'_, '_>) -> Option<Sign> {
    let message = request.message;
    if request.method != Method::Invite || message.body.is_empty() {
        return None;
    }
    let sdp = message.sdp(&mut Anomalies::default())?;
    let ours = sdp.session_name == b"SIPPTS" || sdp.media().first().is_some_and(|media| media.port == 12194);
    if ours && sdp.session_name == b"SIPPTS" {
        return Some(Sign::Sure("the session name that SIPPTS writes"));
    }
    if sdp.origin_user.starts_with(b"sipcli") {
        return Some(Sign::Sure("the session that sipcli offers"));
    }
    (sdp.session_name == b"portsip.com").then_some(Sign::Likely("the session name of PortSIP's scanner"))
}

fn weak(request: &Request<'_, '_>) -> Option<Sign> {
    let from = request.message.from.as_ref()?;
    if let b"sipp" | b"\"Caller\"" | b"\"MAYET\"" | b"\"Simple SIP\"" | b"\"0123456789\"" | b"Caller" =
        from.display_name
    {
        return Some(Sign::Weak("a display name that test tools and dialling programs write"));
    }
    // svcrack, svwar and svmap ask every method for a session description.
    let accepts = request.view.get(HeaderName::Accept) == Some(b"application/sdp");
    let user = matches!(from.account(), Some(b"voipgw" | b"8888888888" | b"trunk"));
    (accepts && request.method == Method::Register || user)
        .then_some(Sign::Weak("a request as scanners write it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `createTag` of svhelper.py: hex(data + "\x01" + decimal random).
    fn tag(data: &str, random: u64) -> String {
        let bytes = [data.as_bytes(), b"\x01", random.to_string().as_bytes()].concat();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sipvicious_tags_are_read() {
        let scan = tag("cb00710513c4", 2_378_319_211);
        assert_eq!(tag_data(scan.as_bytes()).map(<[u8]>::len), Some(24));
        assert!(names(tag_data(scan.as_bytes()).unwrap(), "203.0.113.5".parse().unwrap()));
        assert!(!names(tag_data(scan.as_bytes()).unwrap(), "203.0.113.6".parse().unwrap()));
        assert!(tag_data(tag("1000", 999_999_999).as_bytes()).is_some());
        assert!(tag_data(tag("1000:secret password", 12_345_678).as_bytes()).is_some());
    }

    #[test]
    fn other_tags_are_not() {
        for tag in [
            "",
            "1928301774",
            "as5f4dcc3b",
            "7f4a2c11",
            "0123456789abcdef0123456789abcdef",
            "a6c85cf",
            "01333333333333",
        ] {
            assert_eq!(tag_data(tag.as_bytes()), None, "{tag}");
        }
    }
}
