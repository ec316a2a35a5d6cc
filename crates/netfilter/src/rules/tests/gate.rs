//! A TOML policy means the same to the gate and to the rules: what the gate drops, the rules drop, and the rules drop nothing
//! for a signature or a blocked network that the gate lets through.

use std::sync::LazyLock;

use ::gate::memory::MemoryTables;
use ::gate::{Found, Judgement, Link, Reason};
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};
use policy::ruleset::{Match, Rule as PolicyRule};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const POLICY: &str = r#"
default = "refuse"
[services]
sip = { udp = [5060, "5080-5090"], tcp = [5060], inspect = true }
rtp = { udp = ["10000-20000"] }
office = { tcp = [8443], from = ["192.0.2.0/24"] }
[trust]
networks = ["203.0.113.8/29", "2001:db8:1::/48"]
[block]
networks = ["203.0.113.0/24", "2001:db8:2::/48", "192.0.2.66"]
[[signatures]]
name = "scanner"
header = "User-Agent"
text = "scanner"
ignore-case = true
[[signatures]]
name = "exact"
header = "From"
regex = '^"?(nobody|tester)"?$'
[[signatures]]
name = "anywhere"
text = "sundayddr"
[[signatures]]
name = "silent"
hex = "de ad be ef"
log-prefix = ""
"#;

/// Compiled once for all packets.
static PLANNED: LazyLock<(Policy, Plan)> = LazyLock::new(|| {
    let policy =
        Policy::parse("policy.toml", POLICY.into()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let plan = Plan::new(&policy, Mode::Enforce, Tag::default()).unwrap();
    (policy, plan)
});

/// What the gate says of the packet, with the name of the signature.
fn gate_says(plan: &Plan, bytes: &[u8]) -> (Reason, Option<String>) {
    let tables = MemoryTables { policy: plan.gate.tables.clone(), ..MemoryTables::default() };
    let mut judgement = Judgement::NONE;
    ::gate::judge(bytes, &tables, Link::Ip, &mut Found::default(), &mut judgement);
    let signature = plan.gate.signatures.get(usize::from(judgement.signature));
    let signature = signature.filter(|_| judgement.reason == Reason::Signature);
    (judgement.reason, signature.map(|signature| signature.name.clone()))
}

/// What the rules say, in the gate's words.
fn rules_say(policy: &Policy, packet: &Build) -> (Option<Reason>, Option<String>) {
    let bytes = packet.bytes();
    let parsed = Packet::parse(&bytes, bytes.len()).unwrap().with_interfaces(packet.input, packet.output);
    let mut evaluator = Evaluator::new(policy.sets(), Settings::default());
    let now = Duration::from_secs(1_700_000_000);
    let outcome = evaluator.judge(Hook::Input, &parsed, packet.state, now);
    let family = if parsed.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    let set = policy.set(family).unwrap();
    let rule = |at: &RuleRef| -> &PolicyRule { &set.by_id(at.chain).unwrap().rules[at.index] };
    let Cause::Rule(at) = outcome.cause else { return (None, None) };
    let is_search =
        |rule: &&PolicyRule| rule.matches.iter().any(|one| matches!(one, Match::Text(_) | Match::Header(_)));
    let search = outcome.via.iter().chain([&at]).map(rule).find(is_search);
    match (search, rule(&at).name.as_deref()) {
        (Some(search), _) => (Some(Reason::Signature), search.name.clone()),
        (None, Some("trust")) => (Some(Reason::Trusted), None),
        (None, Some("block")) => (Some(Reason::Blocked), None),
        (None, Some(_) | None) => (None, None),
    }
}

fn agree(policy: &Policy, plan: &Plan, packet: &Build) -> Result<(), TestCaseError> {
    let (reason, signature) = gate_says(plan, &packet.bytes());
    let (rules, name) = rules_say(policy, packet);
    let decides = matches!(reason, Reason::Signature | Reason::Blocked | Reason::Trusted);
    prop_assert_eq!(decides.then_some(reason), rules, "{:?}", packet);
    prop_assert_eq!(signature, name, "{:?}", packet);
    Ok(())
}

#[test]
fn each_kind_of_packet() {
    let (policy, plan) = &*PLANNED;
    let scan = b"OPTIONS sip:a SIP/2.0\r\nUser-Agent: Friendly-Scanner\r\n\r\n".as_slice();
    for (packet, expected) in [
        (ip4().udp(5060, 5060).data(scan), Reason::Signature),
        (ip6().udp(5060, 5085).data(scan), Reason::Signature),
        (ip4().tcp(40_000, 5060, 0x18).data(scan).state(State::Established), Reason::Signature),
        (ip4().from("203.0.113.9").udp(5060, 5060).data(scan), Reason::Trusted),
        (ip4().from("203.0.113.7").tcp(40_000, 80, 2), Reason::Blocked),
        (ip4().from("203.0.113.7").icmp(8, 0).state(State::Established), Reason::Blocked),
        (ip6().from("2001:db8:2::1").udp(5060, 5060), Reason::Blocked),
        (ip4().udp(5060, 10_500).data(scan), Reason::Unguarded),
        (
            ip4().udp(5060, 5060).data(b"OPTIONS sip:scanner SIP/2.0\r\nUser-Agent: phone\r\n\r\n"),
            Reason::Clean,
        ),
    ] {
        assert_eq!(gate_says(plan, &packet.bytes()).0, expected, "{packet:?}");
        agree(policy, plan, &packet).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn gate_and_rules_agree(
        source in select(vec![
            "198.51.100.7", "203.0.113.7", "203.0.113.9", "203.0.113.16", "192.0.2.66", "192.0.2.67", "203.0.112.255",
            "2001:db8:1::9", "2001:db8:2::9", "2001:db8:3::9",
        ]),
        tcp in any::<bool>(),
        port in select(vec![22, 5060, 5061, 5079, 5080, 5090, 5091, 8443, 10_000]),
        state in select(vec![State::New, State::Established, State::Related, State::Invalid]),
        parts in prop::collection::vec(select(vec![
            "\r\n", "\n", " ", "\t", "User-Agent", "user-agent", "F", "From", "t", ":", ": ", "scanner", "SCANNER", "nobody",
            "\"tester\"", "sundayddr", "\u{0}", "x", "Subject: ", "\r\n ",
        ]), 0..24),
        raw in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let (policy, plan) = &*PLANNED;
        let packet = if source.contains(':') { ip6() } else { ip4() };
        let packet = packet.from(source).state(state);
        let packet = if tcp { packet.tcp(40_000, port, 0x18) } else { packet.udp(5060, port) };
        let packet = packet.data(parts.concat().as_bytes()).data(&raw).data(if raw.len() == 7 { b"\xde\xad\xbe\xef" } else { b"" });
        agree(policy, plan, &packet)?;
    }
}
