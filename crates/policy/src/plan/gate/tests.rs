//! Which rules become conditions of the gate, and which are refused.

mod bounds;

use gate::layout::{ALL_PROTOCOLS, ALL_UDP_PORTS, GUARD_TCP, GUARD_UDP, action, check};

use super::*;
use crate::iptables;

fn sets(rules: &str) -> Vec<RuleSet> {
    let file = iptables::parse("test", &format!("*filter\n{rules}COMMIT\n"))
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    [file.ipv4, file.ipv6].into_iter().flatten().collect()
}

fn planned(rules: &str) -> GatePlan {
    plan(&sets(rules), &Networks::default(), &Unproven::default())
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Line and message of what is refused.
fn refused(rules: &str) -> Vec<(usize, String)> {
    let errors = plan(&sets(rules), &Networks::default(), &Unproven::default())
        .expect_err("everything can be enforced");
    errors.into_iter().map(|error| (error.line.0, error.message)).collect()
}

/// What each rule does, with the line that it is from.
fn actions(plan: &GatePlan) -> Vec<(usize, u32)> {
    plan.rules.iter().zip(&plan.tables.rules).map(|(origin, rule)| (origin.line.0, rule.action)).collect()
}

fn names(plan: &GatePlan) -> Vec<&str> {
    plan.signatures.iter().map(|signature| signature.name.as_str()).collect()
}

const SEARCH: &str = "-A INPUT -p udp -m udp --dport 5060 -m string --algo bm --string";

#[test]
fn the_rules_of_the_article() {
    let plan = planned(&format!(
        ":BADSIP - [0:0]\n{SEARCH} \"sundayddr\" -j BADSIP\n{SEARCH} \"friendly-scanner\" -j BADSIP\n\
         -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n-A INPUT -p udp --dport 5060 -j ACCEPT\n\
         -A INPUT -j REJECT --reject-with icmp-host-prohibited\n\
         -A BADSIP -j LOG --log-prefix \"iptables-badsip: \" --log-level 6\n-A BADSIP -j DROP\n"
    ));
    // Both texts are one group, so LOG and DROP stand there once.
    assert_eq!(actions(&plan), [(8, action::NOTE), (9, action::DROP)]);
    assert_eq!(names(&plan), ["sundayddr", "friendly-scanner"]);
    assert_eq!(plan.signatures[1].line, Line(4));
    assert_eq!(plan.tables.ports, [(5060, GUARD_UDP)]);
    assert_eq!(plan.tables.config.flags, layout::FILTERED);
    let Note::Log(log) = &plan.notes[0] else { panic!("{:?}", plan.notes) };
    assert_eq!((log.prefix.as_str(), log.level), ("iptables-badsip: ", 6));
    let drop = &plan.tables.rules[1];
    assert_eq!(drop.checks, check::PROTOCOL | check::DESTINATION_PORT | check::SIGNATURE);
    assert_eq!((drop.protocol, drop.destination_ports, drop.family), (17, [5060, 5060], 4));
    assert_eq!(plan.tables.states, "sundayddr".len() + "friendly-scanner".len() + 1);
}

#[test]
fn the_file_of_the_article() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/article/iptables");
    let Ok(text) = std::fs::read_to_string(&file) else {
        lab::skip::note("the_articles_file", "it is not here");
        return;
    };
    let file = iptables::parse("iptables", &text).unwrap();
    let plan = plan(&[file.ipv4.unwrap()], &Networks::default(), &Unproven::default()).unwrap();
    assert_eq!(
        names(&plan),
        ["sundayddr", "sipsak", "sipvicious", "friendly-scanner", "iWar", "sip-scan", "sipcli"]
    );
    let kinds: Vec<u32> = plan.tables.rules.iter().map(|rule| rule.action).collect();
    assert_eq!(kinds, [action::NOTE, action::DROP]);
}

#[test]
fn nothing_to_search_for_needs_no_rules() {
    let plan =
        planned("-A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n");
    assert_eq!((plan.tables.rules.len(), plan.tables.ports.len(), plan.signatures.len()), (0, 0, 0));
    assert_eq!(plan.tables.outputs.len(), 0);
}

#[test]
fn a_text_rule_behind_a_state_is_refused_with_both_lines() {
    let errors =
        refused(&format!("-A INPUT -m state --state ESTABLISHED -j ACCEPT\n{SEARCH} \"x\" -j DROP\n"));
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].0, 3);
    assert!(errors[0].1.contains("comes after line 2"), "{errors:?}");
    // A state for other ports is no obstacle.
    planned(&format!(
        "-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -j ACCEPT\n{SEARCH} \"x\" -j DROP\n"
    ));
    // A rate is one, as it depends on what came before.
    let errors =
        refused(&format!("-A INPUT -p udp -m limit --limit 9/s -j ACCEPT\n{SEARCH} \"x\" -j DROP\n"));
    assert!(errors[0].1.contains("comes after line 2"), "{errors:?}");
    // A log changes nothing, whatever it depends on.
    planned(&format!("-A INPUT -m limit --limit 9/s -j LOG\n{SEARCH} \"x\" -j DROP\n"));
}

#[test]
fn what_the_gate_can_see_may_come_first() {
    let plan = planned(&format!(
        "-A INPUT -i lo -j ACCEPT\n-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 5060 -j ACCEPT\n{SEARCH} \"x\" -j DROP\n"
    ));
    assert_eq!(actions(&plan), [(2, action::LEAVE), (3, action::LEAVE), (4, action::DROP)]);
    assert_eq!(plan.interfaces.len(), 1);
    assert!(plan.interfaces[0].matches("lo"));
    assert_eq!(plan.tables.rules[0].interfaces, 1);
    assert_eq!(plan.tables.rules[1].checks & check::SOURCE, check::SOURCE);
}

#[test]
fn what_comes_behind_the_last_text_rule_is_not_the_gates() {
    let accepts: String =
        (1..=300).map(|port| format!("-A INPUT -p tcp --dport {port} -j ACCEPT\n")).collect();
    let plan = planned(&format!("{SEARCH} \"x\" -j DROP\n{accepts}"));
    assert_eq!(plan.tables.rules.len(), 1);
    let errors = refused(&format!("{accepts}{SEARCH} \"x\" -j DROP\n"));
    assert!(errors[0].1.contains("301 conditions"), "{errors:?}");
}

#[test]
fn pairs_of_log_and_drop_keep_their_order() {
    let plan = planned(&format!(
        "{SEARCH} \"one\" -j LOG --log-prefix \"1: \"\n{SEARCH} \"one\" -j DROP\n\
         {SEARCH} \"two\" -j LOG --log-prefix \"2: \"\n{SEARCH} \"two\" -j DROP\n"
    ));
    let kinds = [(2, action::NOTE), (3, action::DROP), (4, action::NOTE), (5, action::DROP)];
    assert_eq!(actions(&plan), kinds);
    let groups: Vec<u32> = plan.tables.rules.iter().map(|rule| rule.group).collect();
    assert_eq!(groups, [0, 0, 1, 1]);
    assert_eq!(names(&plan), ["one", "two"]);
    let notes: Vec<u32> = plan.tables.rules.iter().map(|rule| rule.note).collect();
    assert_eq!((notes[0], notes[2]), (0, 1));
}

#[test]
fn ports_are_guarded_where_texts_are_looked_for() {
    let plan = planned(
        "-A INPUT -p udp -m multiport --dports 5060:5062,5080 -m string --algo bm --string a1 -j DROP\n\
         -A INPUT -p tcp -m tcp --dport 5060 -m string --algo bm --string a1 -j DROP\n",
    );
    assert_eq!(
        plan.tables.ports,
        [(5060, GUARD_UDP | GUARD_TCP), (5061, GUARD_UDP), (5062, GUARD_UDP), (5080, GUARD_UDP)]
    );
    assert_eq!(plan.signatures.len(), 1, "one text is one signature");
    let everywhere = planned("-A INPUT -p udp -m string --algo bm --string a1 -j DROP\n");
    assert_eq!(everywhere.tables.config.flags & !(layout::FILTERED | layout::FOLLOWS), ALL_UDP_PORTS);
    let everything = planned("-A INPUT -m string --algo bm --string a1 -j DROP\n");
    assert_eq!(everything.tables.config.flags & !(layout::FILTERED | layout::FOLLOWS), ALL_PROTOCOLS);
}

#[test]
fn what_cannot_be_exact_is_refused() {
    for (rules, why) in [
        ("-A INPUT -m string --algo bm ! --string a1 -j DROP\n", "is negated"),
        ("-A INPUT -m string --algo bm --string a1 -j ACCEPT\n", "leads to a target other than"),
        ("-A INPUT -m string --algo bm --string a1 -j REJECT\n", "leads to a target other than"),
        (
            "-A INPUT -m string --algo bm --string a1 -m limit --limit 1/s -j DROP\n",
            "stands together with a condition",
        ),
        (
            "-A INPUT -m string --algo bm --string a1 -m string --algo bm --string a2 -j DROP\n",
            "stands together with another one",
        ),
        ("-A OUTPUT -m string --algo bm --string a1 -j DROP\n", "is reached from OUTPUT"),
        ("-A FORWARD -m string --algo bm --string a1 -j DROP\n", "is reached from FORWARD"),
        (
            ":T - [0:0]\n-A INPUT -m state --state NEW -j T\n-A T -m string --algo bm --string a1 -j DROP\n",
            "`state` is a condition on the way to text rules",
        ),
    ] {
        let errors = refused(rules);
        assert!(errors.iter().any(|(_, message)| message.contains(why)), "{rules}: {errors:?}");
    }
}

#[test]
fn a_drop_by_state_is_no_obstacle_to_a_drop_by_text() {
    for before in [
        "-A INPUT -m state --state INVALID -j DROP\n",
        "-A INPUT -m conntrack --ctstate INVALID -j DROP\n",
        "-A INPUT -m conntrack --ctstate INVALID -m limit --limit 5/min -j LOG\n-A INPUT -m conntrack --ctstate INVALID -j DROP\n",
        ":BAD - [0:0]\n-A INPUT -m state --state INVALID -j BAD\n-A BAD -j LOG\n-A BAD -j DROP\n",
        ":BAD - [0:0]\n-A INPUT -j BAD\n-A BAD -i lo -j RETURN\n-A BAD -m state --state INVALID -j DROP\n",
        "-A INPUT -f -j DROP\n",
    ] {
        let plan = planned(&format!("{before}{SEARCH} \"x\" -j DROP\n"));
        // The gate does not step back for what it cannot tell from the rest.
        assert_eq!(plan.tables.rules.len(), 1, "{before}");
        assert_eq!(plan.tables.rules[0].action, action::DROP, "{before}");
    }
}

#[test]
fn what_else_a_state_decides_is_an_obstacle() {
    for (before, why) in [
        (
            "-A INPUT -m state --state NEW -j ACCEPT\n",
            "comes after line 2, which may accept the same packets by their connection's state",
        ),
        (
            "-A INPUT -m state --state INVALID -j REJECT\n",
            "comes after line 2, which may answer the same packets by their connection's state",
        ),
        (
            "-A INPUT -m state --state NEW -j RETURN\n",
            "comes after line 2, which may return the same packets by their connection's state",
        ),
        (
            ":C - [0:0]\n-A INPUT -m state --state NEW -j C\n-A C -s 192.0.2.1 -j ACCEPT\n-A C -j DROP\n",
            "comes after line 4, which may accept the same packets by their connection's state",
        ),
        // These count packets, so that what the gate takes away changes what becomes of later ones.
        (
            "-A INPUT -p udp -m recent --update --seconds 60 --hitcount 9 --name a -j DROP\n",
            "comes after line 2, which may drop the same packets by what it remembers of earlier packets",
        ),
        (
            ":C - [0:0]\n-A INPUT -m limit --limit 9/s -j C\n-A C -m state --state INVALID -j DROP\n",
            "comes after line 4, which may drop the same packets by what it remembers of earlier packets",
        ),
        (
            "-A INPUT -f -j ACCEPT\n",
            "comes after line 2, which may accept the same packets by a condition that the gate cannot judge",
        ),
    ] {
        let errors = refused(&format!("{before}{SEARCH} \"x\" -j DROP\n"));
        assert_eq!(errors.len(), 1, "{before}: {errors:?}");
        assert!(errors[0].1.contains(why), "{before}: {errors:?}");
    }
    let errors = refused(
        ":C - [0:0]\n-A INPUT -j C\n-A C -m state --state NEW -j RETURN\n-A C -m string --algo bm --string a1 -j DROP\n",
    );
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].1.contains("comes after line 4, which may return the same packets"), "{errors:?}");
}

#[test]
fn a_log_may_be_limited_where_texts_are_found() {
    let limited = planned(&format!(
        ":BADSIP - [0:0]\n{SEARCH} \"one\" -j BADSIP\n-A BADSIP -m limit --limit 5/min -j LOG --log-prefix \"bad \"\n\
         -A BADSIP -m limit --limit 1/s -j NFLOG\n-A BADSIP -j DROP\n"
    ));
    assert_eq!(actions(&limited), [(4, action::NOTE), (5, action::NOTE), (6, action::DROP)]);
    let limited =
        planned(&format!("{SEARCH} \"one\" -m limit --limit 5/min -j LOG\n{SEARCH} \"one\" -j DROP\n"));
    assert_eq!(actions(&limited), [(2, action::NOTE), (3, action::DROP)]);
}

#[test]
fn other_conditions_behind_texts_are_refused_by_their_own_option() {
    for (rule, option) in [
        ("-m limit --limit 5/min -j DROP", "`-m limit` is"),
        ("-m hashlimit --hashlimit-upto 5/sec --hashlimit-name h -j LOG", "`-m hashlimit` is"),
        ("-m recent --set --name r -j LOG", "`-m recent` is"),
        ("-m state --state NEW -j DROP", "`state` is"),
        ("-m limit --limit 5/min -j ACCEPT", "`-m limit` is"),
        ("-m limit --limit 5/min", "`-m limit` is"),
    ] {
        let errors = refused(&format!(
            ":BADSIP - [0:0]\n{SEARCH} \"one\" -j BADSIP\n-A INPUT -p tcp -m string --algo bm --string a1 -j BADSIP\n\
             -A BADSIP {rule}\n-A BADSIP -j DROP\n"
        ));
        assert_eq!(errors.len(), 1, "{rule}: {errors:?}");
        assert_eq!(errors[0].0, 5, "{rule}: {errors:?}");
        assert!(errors[0].1.starts_with(option), "{rule}: {errors:?}");
    }
}

#[test]
fn ports_are_read_for_udp_and_tcp_only() {
    let text = "-m string --algo bm --string a1 -j DROP";
    for protocol in ["sctp", "dccp", "udplite"] {
        let errors = refused(&format!("-A INPUT -p {protocol} -m multiport --dports 5060,5061 {text}\n"));
        assert!(errors[0].1.contains("stands together with a condition"), "{protocol}: {errors:?}");
        // An earlier rule with such ports is not exact either, so that a text rule behind it is refused.
        let accept = format!("-A INPUT -p {protocol} -m multiport --sports 5060 -j ACCEPT\n");
        let errors = refused(&format!("{accept}-A INPUT {text}\n"));
        assert!(errors[0].1.contains("comes after line 2"), "{protocol}: {errors:?}");
        // It takes nothing from other protocols.
        planned(&format!("{accept}{SEARCH} \"x\" -j DROP\n"));
        planned(&format!("-A INPUT -p {protocol} {text}\n"));
    }
    let errors = refused(&format!("-A INPUT -p sctp -m sctp --dport 5060 {text}\n"));
    assert!(errors[0].1.contains("stands together with a condition"), "{errors:?}");
    let errors = refused(&format!("-A INPUT -p dccp -m dccp --sport 5060 {text}\n"));
    assert!(errors[0].1.contains("stands together with a condition"), "{errors:?}");
}

#[test]
fn a_protocol_counts_wherever_it_stands() {
    let backwards = |rules: &str| {
        let mut sets = sets(rules);
        for rule in sets.iter_mut().flat_map(|set| &mut set.chains).flat_map(|chain| &mut chain.rules) {
            rule.matches.reverse();
        }
        plan(&sets, &Networks::default(), &Unproven::default())
    };
    let plan = backwards(&format!("{SEARCH} \"x\" -j DROP\n")).unwrap();
    assert_eq!(plan.tables.ports, [(5060, GUARD_UDP)]);
    let errors = backwards("-A INPUT -p sctp -m sctp --dport 5060 -m string --algo bm --string a1 -j DROP\n")
        .expect_err("the gate reads no ports of SCTP");
    assert!(errors[0].message.contains("stands together with a condition"), "{errors:?}");
}

#[test]
fn rules_for_known_networks_take_no_room() {
    let network = |text: &str, prefix: u32| Network {
        address: text.parse().unwrap(),
        mask: std::net::Ipv4Addr::from(u32::MAX << (32 - prefix)).into(),
    };
    let networks =
        Networks { trusted: vec![network("192.0.2.0", 24)], blocked: vec![network("203.0.113.7", 32)] };
    let rules = format!(
        "-A INPUT -s 192.0.2.0/24 -j ACCEPT\n-A INPUT -s 203.0.113.7 -j DROP\n-A INPUT -s 198.51.100.0/24 -j ACCEPT\n{SEARCH} \"x\" -j DROP\n"
    );
    let plan = plan(&sets(&rules), &networks, &Unproven::default()).unwrap();
    assert_eq!(actions(&plan), [(4, action::LEAVE), (5, action::DROP)]);
    assert_eq!(plan.tables.config.flags, layout::HAS_TRUSTED | layout::HAS_BLOCKED);
    assert_eq!(plan.tables.trusted[0].0, 96 + 24);
    assert_eq!(plan.tables.blocked[0], (128, Address::v4([203, 0, 113, 7]).0));
}
