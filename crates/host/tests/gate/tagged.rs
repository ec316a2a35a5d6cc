//! VLAN tags hide nothing: what is below them is judged as if they were not there.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use gate::{Link, Reason};

use crate::frames::{ethernet, ipv4, ipv6, message, transport};
use crate::{Hook, Pair, tables};

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;
/// None, 802.1Q, and two tags as 802.1ad writes them and as older switches do.
const TAGS: [&[u16]; 4] = [&[], &[Q], &[AD, Q], &[Q, Q]];

#[test]
fn a_signature_is_found_under_one_and_two_vlan_tags() {
    if !lab::skip::ready("a_signature_is_found_under_one_and_two_vlan_tags", &[]) {
        return;
    }
    for (file, forms) in [("samples/asterisk.rules", &FORMS[..1]), ("packaging/policy.toml", &FORMS[..])] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        let mut tables = tables(file, std::fs::read(path).unwrap());
        // Not the loopback interface, which the policy lets in.
        tables.patterns = 0;
        for tags in TAGS {
            for hook in [Hook::Xdp, Hook::Tc] {
                // Each with connections of its own.
                let mut pair = Pair::new(&tables, Link::Ethernet);
                for (form, frame) in forms {
                    let mut judge = |agent| pair.compare(hook, &frame(tags, agent), file);
                    let what = format!("{form}, tags {tags:04x?}, {hook:?}, {file}");
                    assert_eq!(judge("Acme Phone 5.2"), Some(Reason::Clean), "{what}");
                    assert_eq!(judge("friendly-scanner"), Some(Reason::Signature), "{what}");
                }
            }
        }
    }
}

/// A frame with these tags and this user agent.
type Frame = fn(&[u16], &str) -> Vec<u8>;

const FORMS: [(&str, Frame); 4] = [
    ("IPv4 UDP", |tags, agent| over_ipv4(17, tags, agent)),
    ("IPv4 TCP", |tags, agent| over_ipv4(6, tags, agent)),
    ("IPv6 UDP", |tags, agent| over_ipv6(17, tags, agent)),
    ("IPv6 TCP", |tags, agent| over_ipv6(6, tags, agent)),
];

/// Another host for each agent, so that one's segments are none of the other's.
fn host(agent: &str) -> u8 {
    u8::try_from(100 + agent.len()).unwrap()
}

fn over_ipv4(protocol: u8, tags: &[u16], agent: &str) -> Vec<u8> {
    let body = transport(protocol, 5060, message(agent).as_bytes());
    ethernet(tags, 0x0800, &ipv4(Ipv4Addr::new(192, 0, 2, host(agent)), protocol, 0, &[], &body))
}

fn over_ipv6(protocol: u8, tags: &[u16], agent: &str) -> Vec<u8> {
    let body = transport(protocol, 5060, message(agent).as_bytes());
    let source = Ipv6Addr::new(0x2001, 0xdb8, 0, u16::from(host(agent)), 0, 0, 0, 1);
    ethernet(tags, 0x86dd, &ipv6(source, &[], protocol, &body))
}
