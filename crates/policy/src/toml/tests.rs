//! What a policy becomes. Mistakes have files of their own, in `tests/bad-toml`.

use std::path::Path;

use super::*;
use crate::diagnostic::Style;
use crate::plan::Plan;
use crate::plan::nft::{Mode, Tag};
use crate::policy::{Language, Policy};
use crate::ruleset::{ChainId, Family, Match, RejectWith, Rule, RuleSet, Target};
use crate::sensor::{Secret, Server};
use crate::watch::EventFiles;

fn policy(text: &str) -> Policy {
    Policy::parse("policy.toml", text.as_bytes().to_vec())
        .unwrap_or_else(|mistakes| panic!("{}", drawn(&mistakes)))
}

fn drawn(mistakes: &[Diagnostic]) -> String {
    mistakes.iter().map(|mistake| mistake.render(Style::Plain)).collect()
}

fn config_of(text: &str) -> Config {
    config(&Source::new("policy.toml", text)).unwrap_or_else(|mistakes| panic!("{}", drawn(&mistakes))).0
}

fn warnings(text: &str) -> Vec<String> {
    policy(text).warnings().iter().map(|warning| warning.message().to_owned()).collect()
}

/// The rules of a chain as nft has them, with neither counters nor comments.
fn nft(text: &str, chain: &str) -> Vec<String> {
    let plan = Plan::new(&policy(text), Mode::Enforce, Tag::default()).unwrap();
    let mut lines = plan.nft.lines().skip_while(|line| *line != format!("\tchain {chain} {{")).skip(1);
    let rules = lines.by_ref().take_while(|line| *line != "\t}");
    rules
        .map(|rule| rule.split(" comment ").next().unwrap().replace("counter ", "").trim().to_owned())
        .collect()
}

fn input(set: &RuleSet) -> &[Rule] {
    &set.by_id(ChainId(0)).unwrap().rules
}

#[test]
fn the_sample_says_what_an_empty_file_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/policy.toml");
    let sample = std::fs::read_to_string(path).unwrap();
    assert_eq!(Language::of(&sample), Language::Toml);
    assert_eq!(config_of(&sample), config_of(""));
    assert_eq!(policy(&sample).warnings(), []);
    assert_eq!(nft(&sample, "v4_0_INPUT"), nft("", "v4_0_INPUT"));
    // Every key is in the sample, so every default is seen.
    for key in ["default", "refuse-with", "forward", "icmp", "level", "refused", "signatures"] {
        assert!(sample.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

#[test]
fn an_empty_file_opens_the_usual_ports() {
    let expected = [
        "iifname \"lo\" accept",
        "meta l4proto 6 tcp dport 5060 jump v4_3_SIGNATURES",
        "meta l4proto 17 udp dport 5060 jump v4_3_SIGNATURES",
        "meta l4proto 6 tcp dport 5061 jump v4_3_SIGNATURES",
        "ct state { established, related } accept",
        "meta l4proto 1 accept",
        "meta l4proto 6 tcp dport 22 ct state { new } accept",
        "meta l4proto 6 tcp dport 80 ct state { new } accept",
        "meta l4proto 6 tcp dport 443 ct state { new } accept",
        "meta l4proto 6 tcp dport 5060 ct state { new } accept",
        "meta l4proto 17 udp dport 5060 accept",
        "meta l4proto 6 tcp dport 5061 ct state { new } accept",
        "meta l4proto 17 udp dport 4569 accept",
        "meta l4proto 17 udp dport 10000-20000 accept",
        "reject with icmp type host-prohibited",
    ];
    assert_eq!(nft("", "v4_0_INPUT"), expected);
    let v6 = nft("", "v6_0_INPUT");
    assert!(
        v6.contains(&"ip6 saddr { fe80::/10 } meta l4proto 17 udp dport 546 accept".to_owned()),
        "{v6:?}"
    );
    assert_eq!(v6.last().unwrap(), "reject with icmpv6 type admin-prohibited");
    assert_eq!(nft("", "v6_1_FORWARD"), ["reject with icmpv6 type admin-prohibited"]);
    assert_eq!(nft("", "v4_2_OUTPUT"), [""; 0]);
}

#[test]
fn a_service_is_open_to_whom_it_says() {
    let text = "signatures = []\nicmp = \"default\"\ndefault = \"drop\"\n[services]\n\
                a = { tcp = [8080], udp = [1234], from = [\"192.0.2.0/24\", \"2001:db8::/32\", \"198.51.100.7\"], interface = [\"eth0\", \"tun+\"] }\n";
    let expected = [
        "iifname \"lo\" accept",
        "ct state { established, related } accept",
        "ip saddr { 192.0.2.0/24, 198.51.100.7/32 } iifname \"eth0\" meta l4proto 6 tcp dport 8080 ct state { new } accept",
        "ip saddr { 192.0.2.0/24, 198.51.100.7/32 } iifname \"tun*\" meta l4proto 6 tcp dport 8080 ct state { new } accept",
        "ip saddr { 192.0.2.0/24, 198.51.100.7/32 } iifname \"eth0\" meta l4proto 17 udp dport 1234 accept",
        "ip saddr { 192.0.2.0/24, 198.51.100.7/32 } iifname \"tun*\" meta l4proto 17 udp dport 1234 accept",
        "drop",
    ];
    assert_eq!(nft(text, "v4_0_INPUT"), expected);
    assert!(nft(text, "v6_0_INPUT").iter().any(|rule| rule.starts_with("ip6 saddr { 2001:db8::/32 }")));
    // A service for IPv4 networks only is closed to IPv6.
    let text = "[services]\na = { tcp = [8080], from = [\"192.0.2.0/24\"] }\n";
    assert!(!nft(text, "v6_0_INPUT").iter().any(|rule| rule.contains("8080")));
}

#[test]
fn trust_goes_before_block_and_both_before_all_else() {
    let text = "[trust]\nnetworks = [\"203.0.113.8/29\", \"2001:db8::1\"]\n[block]\nnetworks = [\"203.0.113.0/24\"]\n";
    let rules = nft(text, "v4_0_INPUT");
    let expected =
        ["iifname \"lo\" accept", "ip saddr { 203.0.113.8/29 } accept", "ip saddr { 203.0.113.0/24 } drop"];
    assert_eq!(rules[..3], expected);
    assert_eq!(nft(text, "v6_0_INPUT")[1], "ip6 saddr { 2001:db8::1/128 } accept");
    assert_eq!(
        nft(text, "v4_1_FORWARD")[0],
        "ip saddr != { 203.0.113.8/29 } ip saddr { 203.0.113.0/24 } drop"
    );
    let plan = Plan::new(&policy(text), Mode::Enforce, Tag::default()).unwrap();
    let mut mapped = [0; 16];
    mapped[10..12].fill(0xff);
    mapped[12..].copy_from_slice(&[203, 0, 113, 0]);
    assert_eq!(plan.gate.tables.blocked, [(96 + 24, mapped)]);
    assert_eq!(plan.gate.tables.trusted.len(), 2);
    let flags = plan.gate.tables.config.flags;
    assert_ne!(flags & gate::layout::HAS_TRUSTED, 0);
    assert_ne!(flags & gate::layout::HAS_BLOCKED, 0);
    // Many networks take no room among the gate's rules.
    let many: Vec<String> = (0..=255).map(|third| format!("\"10.0.{third}.0/25\"")).collect();
    let text = format!("[trust]\nnetworks = [{}]\n", many.join(", "));
    let plan = Plan::new(&policy(&text), Mode::Enforce, Tag::default()).unwrap();
    let without = Plan::new(&policy(""), Mode::Enforce, Tag::default()).unwrap();
    assert_eq!(plan.gate.tables.rules.len(), without.gate.tables.rules.len());
    assert_eq!(plan.gate.tables.trusted.len(), 256);
}

#[test]
fn networks_inside_others_are_left_out_with_a_warning() {
    let text = "[block]\nnetworks = [\"192.0.2.7\", \"192.0.2.0/24\", \"192.0.2.0/24\"]\n";
    assert_eq!(nft(text, "v4_0_INPUT")[1], "ip saddr { 192.0.2.0/24 } drop");
    assert_eq!(warnings(text), ["this network is in the list already"; 2]);
}

#[test]
fn every_way_to_end_ends_so() {
    let last = |text: &str, chain: &str| nft(text, chain).last().cloned().unwrap_or_default();
    assert_eq!(last("default = \"drop\"", "v4_0_INPUT"), "drop");
    assert_eq!(last("default = \"accept\"", "v4_0_INPUT"), "meta l4proto 17 udp dport 10000-20000 accept");
    assert_eq!(last("forward = \"drop\"", "v4_1_FORWARD"), "drop");
    assert_eq!(nft("forward = \"accept\"", "v4_1_FORWARD"), [""; 0]);
    let reset = nft("refuse-with = \"tcp-reset\"", "v6_0_INPUT");
    assert_eq!(
        reset[reset.len() - 2..],
        ["meta l4proto 6 reject with tcp reset", "reject with icmpv6 type port-unreachable"]
    );
}

#[test]
fn each_reject_type_has_its_like_in_the_other_family() {
    for (name, v4, v6) in [
        ("icmp-net-unreachable", RejectWith::IcmpNetUnreachable, RejectWith::Icmp6NoRoute),
        ("icmp-host-unreachable", RejectWith::IcmpHostUnreachable, RejectWith::Icmp6AddrUnreachable),
        ("icmp-proto-unreachable", RejectWith::IcmpProtoUnreachable, RejectWith::Icmp6PortUnreachable),
        ("icmp-port-unreachable", RejectWith::IcmpPortUnreachable, RejectWith::Icmp6PortUnreachable),
        ("icmp-net-prohibited", RejectWith::IcmpNetProhibited, RejectWith::Icmp6AdminProhibited),
        ("icmp-host-prohibited", RejectWith::IcmpHostProhibited, RejectWith::Icmp6AdminProhibited),
        ("icmp-admin-prohibited", RejectWith::IcmpAdminProhibited, RejectWith::Icmp6AdminProhibited),
        ("icmp6-no-route", RejectWith::IcmpNetUnreachable, RejectWith::Icmp6NoRoute),
        ("icmp6-adm-prohibited", RejectWith::IcmpAdminProhibited, RejectWith::Icmp6AdminProhibited),
        ("icmp6-addr-unreachable", RejectWith::IcmpHostUnreachable, RejectWith::Icmp6AddrUnreachable),
        ("icmp6-port-unreachable", RejectWith::IcmpPortUnreachable, RejectWith::Icmp6PortUnreachable),
        ("icmp6-policy-fail", RejectWith::IcmpAdminProhibited, RejectWith::Icmp6PolicyFail),
        ("icmp6-reject-route", RejectWith::IcmpNetProhibited, RejectWith::Icmp6RejectRoute),
    ] {
        let policy = policy(&format!("refuse-with = \"{name}\""));
        for (family, with) in [(Family::Ipv4, v4), (Family::Ipv6, v6)] {
            let rules = input(policy.set(family).unwrap());
            assert_eq!(rules.last().unwrap().target, Target::Reject(with), "{name}");
        }
    }
}

#[test]
fn ipv6_is_never_cut_off() {
    for kind in ["essential", "default", "drop"] {
        let rules = nft(&format!("icmp = \"{kind}\"\ndefault = \"drop\""), "v6_0_INPUT");
        assert!(
            rules.contains(&"meta l4proto 58 icmpv6 type 130-136 accept".to_owned()),
            "{kind}: {rules:?}"
        );
    }
    let icmp = |kind: &str| -> Vec<String> {
        let mut rules = nft(&format!("icmp = \"{kind}\""), "v4_0_INPUT");
        rules.retain(|rule| rule.contains("l4proto 1 "));
        rules
    };
    assert_eq!(icmp("accept"), ["meta l4proto 1 accept"]);
    let errors = ["meta l4proto 1 icmp type 3 accept", "meta l4proto 1 icmp type 11-12 accept"];
    assert_eq!(icmp("essential"), errors);
    assert_eq!(icmp("default"), [""; 0]);
    assert_eq!(icmp("drop"), ["meta l4proto 1 drop"]);
}

#[test]
fn a_limit_has_one_bucket_for_all_ports_of_its_service() {
    let text = "[services]\nssh = { tcp = [22, 2222] }\n[limits]\nssh = \"10/minute burst 20\"\n";
    let rules = nft(text, "v4_0_INPUT");
    let jumps: Vec<_> = rules.iter().filter(|rule| rule.contains("LIMIT")).collect();
    assert_eq!(
        jumps,
        [
            "meta l4proto 6 tcp dport 22 ct state { new } jump v4_3_LIMIT-ssh",
            "meta l4proto 6 tcp dport 2222 ct state { new } jump v4_3_LIMIT-ssh"
        ]
    );
    assert_eq!(
        nft(text, "v4_3_LIMIT-ssh"),
        ["update @limit_0 { ip saddr limit rate over 10/minute burst 20 packets } drop"]
    );
    let v6 = nft(text, "v6_3_LIMIT-ssh");
    assert!(v6[0].contains("ip6 saddr & ffff:ffff:ffff:ffff:: "), "{v6:?}");
    let limit = config_of("[limits]\nssh = \"3/hour\"").services[0].limit.unwrap();
    assert_eq!(limit.1, 5);
}

#[test]
fn what_is_refused_can_be_logged() {
    let rules = nft("[log]\nrefused = \"no: \"\nlevel = \"debug\"\n", "v4_0_INPUT");
    assert_eq!(
        rules[rules.len() - 2],
        "limit rate 10/minute burst 20 packets log prefix \"no: \" level debug"
    );
    // There is nothing to log where everything is let in.
    assert!(
        !nft("default = \"accept\"\n[log]\nrefused = \"no: \"", "v4_0_INPUT")
            .iter()
            .any(|rule| rule.contains("log"))
    );
}

#[test]
fn signatures_log_as_they_say() {
    let text = "[log]\nsignatures = \"bad: \"\nlevel = \"notice\"\n\
                [[signatures]]\nname = \"one\"\ntext = \"one1\"\n\
                [[signatures]]\nname = \"two\"\ntext = \"two2\"\nlog-prefix = \"worse: \"\n\
                [[signatures]]\nname = \"three\"\nhex = \"74 68 72|65:65\"\nlog-prefix = \"\"\n";
    let policy = policy(text);
    let set = policy.set(Family::Ipv4).unwrap();
    let (_, chain) = set.chain("SIGNATURES").unwrap();
    let names: Vec<_> = chain.rules.iter().map(|rule| rule.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    let log = |name: &str| set.chain(name).unwrap().1.rules[0].target.clone();
    let Target::Log(first) = log("BADSIP") else { panic!() };
    let Target::Log(second) = log("BADSIP-2") else { panic!() };
    assert_eq!((first.prefix.as_str(), first.level), ("bad: ", 5));
    assert_eq!(second.prefix, "worse: ");
    assert_eq!(chain.rules[2].target, Target::Drop);
    let Match::Text(hex) = &chain.rules[2].matches[0] else { panic!() };
    assert_eq!(hex.pattern, b"three");
    let plan = Plan::new(&policy, Mode::Enforce, Tag::default()).unwrap();
    let names: Vec<_> = plan.gate.signatures.iter().map(|signature| signature.name.as_str()).collect();
    assert_eq!(names, ["one", "two", "three"]);
    assert_eq!(plan.gate.notes.len(), 2);
    use gate::layout::{GUARD_TCP, GUARD_UDP};
    assert_eq!(plan.gate.tables.ports, [(5060, GUARD_UDP | GUARD_TCP), (5061, GUARD_TCP)]);
}

#[test]
fn doubtful_places_are_told() {
    let signature = "[[signatures]]\nname = \"a\"\ntext = \"abc\"\n";
    assert_eq!(
        warnings(&format!("[services]\nsip = {{ udp = [5060] }}\n{signature}")),
        ["no service is searched for signatures"]
    );
    assert_eq!(warnings("signatures = []\n[log]\nsignatures = \"x\"\n"), ["there are no signatures to log"]);
    assert_eq!(warnings("[[signatures]]\nname = \"a\"\ntext = \"ab\"\n"), ["a very short text"]);
    assert_eq!(
        warnings(&format!("{signature}{}", signature.replace("\"a\"", "\"b\""))),
        ["this signature is never the first to be found"]
    );
    assert_eq!(warnings(signature), [""; 0]);
}

/// A file that ends early, or has lost a line, is read or explained, with every mistake inside of the file.
#[test]
fn mutilated_files_are_explained() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nft/policy.toml");
    let whole = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without = (0..lines.len()).map(|gone| {
        let kept: Vec<&str> =
            lines.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| *line).collect();
        kept.join("\n")
    });
    let cut = (0..whole.len()).step_by(3).map(|end| whole.split_at(end).0.to_owned());
    let mut mistakes = 0;
    for text in without.chain(cut) {
        if let Err(errors) = Policy::parse("policy.toml", text.clone().into_bytes()) {
            mistakes += errors.len();
            for error in errors {
                assert!(error.line() <= text.lines().count().max(1), "{text}\n{error}");
                assert!(error.render(Style::Plain).contains("help"), "{error}");
            }
        }
    }
    assert!(mistakes > 100, "{mistakes}");
}

#[test]
fn feeds_are_read_with_their_defaults() {
    use crate::feed::{Feed, FeedSource};
    use std::time::Duration;
    assert_eq!(policy("").feeds(), []);
    let text = "[feeds.drop]\nurl = \"https://lists.example.net/drop.txt\"\n[feeds.own]\nfile = \"/etc/own.txt\"\n\
                every = \"1h 30m\"\ntime = \"3d\"\nmost = 10\nports = \"all\"\nreason = \"known bad\"\nformat = \"ipset\"\n";
    let hour = Duration::from_secs(3_600);
    let drop = Feed {
        name: "drop".to_owned(),
        source: FeedSource::Url("https://lists.example.net/drop.txt".to_owned()),
        ca_file: None,
        every: 6 * hour,
        time: 24 * hour,
        most: 100_000,
        all_ports: false,
        reason: None,
        format: None,
    };
    let own = Feed {
        name: "own".to_owned(),
        source: FeedSource::File("/etc/own.txt".into()),
        ca_file: None,
        every: hour + hour / 2,
        time: 72 * hour,
        most: 10,
        all_ports: true,
        reason: Some("known bad".to_owned()),
        format: Some(feeds::Format::Ipset),
    };
    assert_eq!(policy(text).feeds(), [drop, own]);
    assert_eq!(warnings(text), [""; 0]);
    let doubtful = "[feeds.a]\nurl = \"http://lists.example.net/a\"\ntime = \"2h\"\n\
                    [feeds.b]\nurl = \"http://127.0.0.1:8080/b\"\n";
    assert_eq!(
        warnings(doubtful),
        [
            "whoever is on the way can put addresses into this list",
            "bans end before the list is asked for again",
        ]
    );
}

#[test]
fn managers_are_read_with_their_defaults() {
    let text = "[managers.pbx]\nkind = \"asterisk\"\nuser = \"ringfence\"\nsecret-file = \"/etc/ringfence/manager.secret\"\n\
        [managers.switch]\nkind = \"freeswitch\"\naddress = \"192.0.2.1\"\nsecret = \"ClueCon\"\ntls = true\n\
        ca-file = \"/etc/ringfence/ca.pem\"\ntls-name = \"switch.example.net\"\n";
    let policy = policy(text);
    assert_eq!(policy.warnings(), []);
    let [pbx, switch] = policy.managers() else { panic!("{:?}", policy.managers()) };
    assert_eq!((pbx.name.as_str(), pbx.kind, pbx.user.as_str()), ("pbx", Server::Asterisk, "ringfence"));
    assert_eq!((pbx.address, &pbx.tls), ("127.0.0.1:5038".parse().unwrap(), &None));
    assert_eq!(pbx.secret, Secret::File("/etc/ringfence/manager.secret".into()));
    assert_eq!((switch.address, switch.user.as_str()), ("192.0.2.1:8021".parse().unwrap(), ""));
    assert_eq!(switch.tls.as_ref().unwrap().name.as_deref(), Some("switch.example.net"));
    assert!(!format!("{switch:?}").contains("ClueCon"), "no secret is shown");
    assert_eq!(
        warnings(
            "[managers.pbx]\nkind = \"asterisk\"\naddress = \"192.0.2.1\"\nuser = \"a\"\nsecret = \"b\"\n"
        ),
        ["whoever is on the way can say anything in the manager's name"]
    );
}

#[test]
fn how_it_is_watched_is_read_with_its_defaults() {
    let shipped = policy("");
    assert_eq!((shipped.metrics(), shipped.event_files()), (None, EventFiles::SHIPPED));
    let here = policy("[metrics]\nlisten = \"127.0.0.1\"\n[events]\nmax-size = \"1 GiB\"\nkeep = 9\n");
    assert_eq!(here.warnings(), []);
    let metrics = here.metrics().unwrap();
    assert_eq!(metrics.listen, "127.0.0.1:9560".parse().unwrap());
    assert!(metrics.allow.iter().any(|network| network.contains("127.0.0.1".parse().unwrap())));
    assert_eq!(here.event_files(), EventFiles { max_bytes: 1 << 30, keep: 9 });
    let out = policy("[metrics]\nlisten = \"0.0.0.0:9100\"\nallow = [\"192.0.2.10\"]\n");
    assert_eq!(out.warnings(), []);
    let metrics = out.metrics().unwrap();
    assert!(!metrics.allow.iter().any(|network| network.contains("127.0.0.1".parse().unwrap())));
}

#[test]
fn hep_is_read_with_its_defaults() {
    assert_eq!(policy("").hep(), None);
    let here = policy("[hep]\nlisten = [\"127.0.0.1\", \"[::1]:9061\"]\n");
    assert_eq!(here.warnings(), []);
    let hep = here.hep().unwrap();
    assert_eq!(hep.listen, ["127.0.0.1:9060".parse().unwrap(), "[::1]:9061".parse().unwrap()]);
    assert_eq!((hep.udp, hep.tcp, hep.capture_id), (true, false, 2001));
    assert!(hep.senders.iter().any(|network| network.contains("127.0.0.1".parse().unwrap())));
    assert!(hep.senders.iter().any(|network| network.contains("::1".parse().unwrap())));
    let text = "[hep]\nlisten = [\"0.0.0.0:9060\"]\ntransports = [\"tcp\"]\nsenders = [\"192.0.2.0/24\"]\n";
    assert_eq!(warnings(text), ["whoever can send under a sender's address can say anything of anybody"]);
    let with_password = policy(&format!("{text}password = \"s3cret\"\nexport-to = \"192.0.2.9\"\n"));
    assert_eq!(with_password.warnings(), []);
    let hep = with_password.hep().unwrap();
    assert_eq!((hep.udp, hep.tcp, hep.export_to), (false, true, Some("192.0.2.9:9060".parse().unwrap())));
    assert!(!format!("{hep:?}").contains("s3cret"), "no secret is shown");
}
