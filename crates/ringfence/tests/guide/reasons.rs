//! `docs/reasons.md` has every reason of the gate. `UPDATE_GOLDEN=1` writes it anew.

use std::fs;

use gate::{Reason, Verdict};

use crate::docs;

const HEAD: &str = "\
# Reasons of the gate

<!-- Written by `UPDATE_GOLDEN=1 cargo test -p ringfence --test guide`; do not edit. -->

The gate judges each packet before the kernel's own network code has it, and gives each verdict a reason. `ringfence status` counts
packets by reason, `events.jsonl` has it for each packet that was dropped, and so has the metric `ringfence_packets_total`
([metrics.md](metrics.md)). What the gate passes meets nftables next, which has the rest of the policy. Why a source was banned or limited
at all is the detectors' to say ([detectors.md](detectors.md)); `ringfence why ADDR` tells.
";

#[test]
fn the_document_is_fresh() {
    let mut fresh = HEAD.to_owned();
    for (verdict, title, what) in [
        (Verdict::Drop, "Dropped", "The PBX never sees these."),
        (Verdict::Pass, "Passed", "These go on to nftables."),
    ] {
        fresh.push_str(&format!(
            "\n## {title}\n\n{what}\n\n| reason | the packet | what to do |\n|---|---|---|\n"
        ));
        let mut reasons: Vec<Reason> =
            Reason::ALL.into_iter().filter(|reason| reason.verdict() == verdict).collect();
        reasons.sort_by_key(|reason| reason.as_str());
        for reason in reasons {
            let (packet, advice) = meaning(reason);
            fresh.push_str(&format!("| `{}` | {packet} | {advice} |\n", reason.as_str()));
        }
    }
    let path = docs().join("reasons.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == fresh, "docs/reasons.md is old; UPDATE_GOLDEN=1 cargo test -p ringfence --test guide");
}

/// What a packet with this reason is, and what to do about it.
const fn meaning(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Banned => (
            "comes from a banned address or network",
            "`ringfence why ADDR`; `ringfence unban ADDR --grace 1h` if it is somebody you know",
        ),
        Reason::Blocked => {
            ("comes from a network in `[block]`", "take the network out of the policy if that is wrong")
        }
        Reason::Clean => {
            ("went to an inspected port, and no signature is in it", "nothing: this is lawful traffic")
        }
        Reason::Exempt => (
            "has a signature in it, but an earlier rule of the iptables file decides otherwise",
            "nothing: nftables judges as that rule says",
        ),
        Reason::Forwarded => ("has a signature in it, but only passes through this host", "nothing"),
        Reason::LaterFragment => (
            "is a second or later fragment, which has no ports",
            "nothing: the datagram is searched once more when it is whole",
        ),
        Reason::LongHeaderChain => (
            "has more VLAN tags or IPv6 extension headers than the gate walks",
            "nothing: no lawful sender makes such",
        ),
        Reason::NotIp => ("is neither IPv4 nor IPv6", "nothing"),
        Reason::Signature => (
            "has one of the policy's signatures in it",
            "if it is a device of yours, put it into `[trust]` or take the signature out",
        ),
        Reason::Truncated => ("ends before its headers do", "nothing: the kernel discards it by itself"),
        Reason::Trusted => ("comes from a trusted source", "nothing"),
        Reason::Unguarded => ("went to a port that the policy does not inspect", "nothing"),
        Reason::EndedConnection => (
            "belongs to a TCP connection in which a signature was found before",
            "nothing: the sender may open another connection",
        ),
        Reason::FragmentedSegment => (
            "is TCP in IP fragments, which cannot be followed",
            "if a peer of yours sends such, lower the MTU on its way",
        ),
        Reason::OutOfOrderSegment => (
            "is a TCP segment before its turn, or long after",
            "nothing: the sender repeats it. Many of them tell of a network that loses packets",
        ),
        Reason::RewrittenSegment => {
            ("repeats a TCP segment with other bytes", "nothing: lawful senders do not do that")
        }
        Reason::LimitedSource => (
            "is more than its source may send: it is not proven, or a detector limited it",
            "`ringfence why ADDR`; `[unproven]` in the policy has the numbers",
        ),
        Reason::LimitedNetwork => (
            "is more than its network's unproven sources may send together",
            "`[unproven]` in the policy has the numbers",
        ),
        Reason::OverCeiling => (
            "is more than all unproven sources may send together: a flood with forged addresses",
            "`[unproven]` in the policy has the numbers",
        ),
    }
}
