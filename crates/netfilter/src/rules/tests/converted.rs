//! What `convert` writes judges as the rule file did, where it names no difference.

use policy::Policy;
use policy::ruleset::RuleSet;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// A server as the article has it, with a blocked and a trusted network.
const RULES: &str = "*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:BADSIP - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -s 203.0.113.9 -j ACCEPT
-A INPUT -s 203.0.113.0/24 -j DROP
-A INPUT -p udp -m udp --dport 5060 -m string --string \"sundayddr\" --algo kmp -j BADSIP
-A INPUT -p udp -m udp --dport 5060 -m string --string \"friendly-scanner\" --algo kmp --icase -j BADSIP
-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -m state --state NEW -m tcp -p tcp --dport 22 -j ACCEPT
-A INPUT -p udp -m udp --dport 5060 -j ACCEPT
-A INPUT -s 192.0.2.0/24 -m state --state NEW -m tcp -p tcp --dport 8443 -j ACCEPT
-A INPUT -p udp -m udp --dport 10000:20000 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A BADSIP -j LOG --log-prefix \"iptables-badsip: \" --log-level 6
-A BADSIP -j DROP
COMMIT
";

/// The rules and their conversion.
fn both() -> (RuleSet, RuleSet) {
    let file = policy::iptables::parse("test", RULES).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let converted = policy::convert::convert(&file);
    assert!(
        converted.differences.iter().all(|difference| difference.text.contains("IPv6")),
        "{:?}",
        converted.differences
    );
    let policy = Policy::parse("converted.toml", converted.toml.into_bytes()).unwrap();
    (file.ipv4.unwrap(), policy.set(Family::Ipv4).unwrap().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_conversion_judges_alike(
        source in select(vec!["198.51.100.7", "203.0.113.7", "203.0.113.9", "192.0.2.1"]),
        protocol in select(vec![1u8, 6, 17, 47]),
        port in select(vec![22u16, 80, 5060, 8443, 9_999, 10_000, 20_000]),
        state in select(vec![State::New, State::Established, State::Related, State::Invalid]),
        input in select(vec!["eth0", "lo"]),
        data in select(vec!["", "xsundayddrx", "Friendly-Scanner", "SUNDAYDDR", "friendly scanner"]),
    ) {
        let packet = ip4().from(source).input(Some(input)).state(state);
        let packet = match protocol {
            1 => packet.icmp(8, 0),
            6 => packet.tcp(40_000, port, 2),
            17 => packet.udp(40_000, port),
            other => packet.protocol(other),
        };
        let packet = packet.data(data.as_bytes());
        let bytes = packet.bytes();
        let parsed = Packet::parse(&bytes, bytes.len()).unwrap().with_interfaces(packet.input, None);
        let (rules, toml) = both();
        let [rules, toml] = [rules, toml].map(|set| {
            let outcome = Evaluator::new([&set], Settings::default()).judge(Hook::Input, &parsed, state, Duration::ZERO);
            (outcome.verdict, outcome.logs.into_iter().map(|log| (log.prefix, log.to)).collect::<Vec<_>>())
        });
        prop_assert_eq!(rules, toml, "{:?}", packet);
    }
}
