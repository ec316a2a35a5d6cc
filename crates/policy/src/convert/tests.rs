use super::*;

fn of(rules: &str) -> Converted {
    let text = format!("*filter\n{rules}COMMIT\n");
    let file = crate::iptables::parse("test", &text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let converted = convert(&file);
    let policy = crate::Policy::parse("converted.toml", converted.toml.clone().into_bytes());
    policy.unwrap_or_else(|mistakes| {
        panic!("{}\n{}", mistakes[0].render(crate::diagnostic::Style::Plain), converted.toml)
    });
    converted
}

/// The TOML without the lines that are comments or empty.
fn bare(toml: &str) -> Vec<&str> {
    toml.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn differences(converted: &Converted) -> Vec<String> {
    converted
        .differences
        .iter()
        .map(ToString::to_string)
        .filter(|text| !text.starts_with("the file has no rules for IPv6"))
        .collect()
}

/// What every ordinary rule file begins with.
const BASE: &str = "-A INPUT -i lo -j ACCEPT\n-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n";

#[test]
fn a_plain_server_says_the_same() {
    let converted = of(&format!(
        ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n{BASE}-A INPUT -p icmp -j ACCEPT\n\
         -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT\n-A INPUT -p udp --dport 5060 -j ACCEPT\n\
         -A INPUT -p tcp --syn -m multiport --dports 8000,8443 -i eth1 -j ACCEPT\n"
    ));
    let expected = [
        "icmp = \"accept\"",
        "default = \"drop\"",
        "forward = \"drop\"",
        "signatures = []",
        "[services]",
        "ssh = { tcp = [22] }",
        "sip = { udp = [5060] }",
        "tcp-8000 = { tcp = [8000, 8443], interface = [\"eth1\"] }",
        "[detect]",
        "enforce = false",
    ];
    assert_eq!(bare(&converted.toml), expected);
    assert_eq!(differences(&converted), [""; 0]);
}

#[test]
fn comments_stay_with_what_they_are_about() {
    let converted = of(&format!(
        "{BASE}# 3- the phones\n-A INPUT -p udp --dport 5060 -j ACCEPT\n# 4- the rest\n-A INPUT -j DROP\n# that is all\n"
    ));
    assert!(converted.toml.contains("# 3- the phones\nsip = { udp = [5060] }\n"), "{}", converted.toml);
    assert!(converted.toml.contains("# 4- the rest\ndefault = \"drop\"\n"), "{}", converted.toml);
    assert!(converted.toml.ends_with("\n# that is all\n"), "{}", converted.toml);
}

#[test]
fn signatures_take_the_prefix_of_their_log() {
    let converted = of(&format!(
        ":BAD - [0:0]\n-A INPUT -i lo -j ACCEPT\n\
         -A INPUT -p udp --dport 5060 -m string --algo bm --string \"a \\\"b\\\\\" --icase -j BAD\n\
         -A INPUT -p udp --dport 5060 -m string --algo bm --hex-string \"|00ff|\" -j DROP\n{BASE}\
         -A INPUT -p udp --dport 5060 -j ACCEPT\n-A INPUT -j DROP\n\
         -A BAD -j LOG --log-prefix \"bad: \" --log-level 6\n-A BAD -j DROP\n"
    ));
    let document = converted.toml.parse::<toml_edit::DocumentMut>().unwrap();
    assert_eq!(document["log"]["signatures"].as_str(), Some("bad: "));
    let signatures = document["signatures"].as_array_of_tables().unwrap();
    let first = signatures.get(0).unwrap();
    assert_eq!(first["text"].as_str(), Some("a \"b\\"));
    assert_eq!(first["ignore-case"].as_bool(), Some(true));
    assert_eq!(signatures.get(1).unwrap()["hex"].as_str(), Some("00ff"));
    assert_eq!(document["services"]["sip"]["inspect"].as_bool(), Some(true));
    assert_eq!(differences(&converted), [""; 0]);
}

#[test]
fn what_the_toml_cannot_say_is_named_with_its_line() {
    let converted = of(&format!(
        "{BASE}# the tax office\n-A INPUT -p udp --dport 5060 -m recent --update --seconds 60 --hitcount 9 -j DROP\n\
         -A INPUT -d 192.0.2.1 -p udp --dport 5060 -j ACCEPT\n-A INPUT -j LOG\n-A OUTPUT -p tcp --dport 25 -j DROP\n\
         -A FORWARD -i eth0 -j ACCEPT\n-A INPUT -m state --state INVALID -j DROP\n-A INPUT -j DROP\n-A INPUT -p tcp -j ACCEPT\n"
    ));
    let lines: Vec<_> =
        converted.differences.iter().filter_map(|difference| difference.line).map(|line| line.0).collect();
    for line in [5, 6, 7, 8, 9, 10, 12] {
        assert!(lines.contains(&line), "{line}: {}", converted.toml);
    }
    assert!(converted.toml.contains("its comment: the tax office"), "{}", converted.toml);
}

#[test]
fn every_rule_is_taken_over_implied_or_named() {
    // One rule of each kind, each alone: with it the TOML is another than without it, or a difference names its line.
    let without = of(&format!("{BASE}-A INPUT -j DROP\n"));
    for rule in [
        "-p udp --dport 7 -j ACCEPT",
        "-p udp --dport 7 -j DROP",
        "-p udp --dport 7 -j REJECT",
        "-p udp --dport 7 -j LOG",
        "-p udp --dport 7 -j RETURN",
        "-p udp --dport 7",
        "-p udp --sport 7 -j ACCEPT",
        "-p 47 -j ACCEPT",
        "-s 192.0.2.1 -j ACCEPT",
        "-s 192.0.2.1 -j DROP",
        "! -s 192.0.2.1 -j DROP",
        "-s 192.0.2.1/255.0.255.255 -j DROP",
        "-i eth0 -j ACCEPT",
        "-i eth+ -p udp --dport 7 -j ACCEPT",
        "-m length --length 1:9 -j DROP",
        "-m iprange --src-range 192.0.2.1-192.0.2.2 -j DROP",
        "-m limit -j ACCEPT",
        "-p tcp --tcp-flags ALL NONE -j DROP",
        "-p tcp --tcp-option 8 -j DROP",
        "-p tcp --dport 7 -j ACCEPT",
        "-p icmp -j ACCEPT",
        "-p icmp --icmp-type 8 -j ACCEPT",
        "-p icmp --icmp-type 8 -j DROP",
        "-m state --state NEW -j ACCEPT",
        "-m state --state INVALID -j ACCEPT",
        "-m conntrack --ctstate DNAT -j ACCEPT",
        "-f -j DROP",
        "-p udp -m string --algo bm --string x -j ACCEPT",
        "-p udp -m string --algo bm ! --string x -j DROP",
        "-p udp --dport 7 -m string --algo bm --string x -j DROP",
        "-m string --algo bm --string x -j DROP",
        "-j ACCEPT",
    ] {
        let with = of(&format!("{BASE}-A INPUT {rule}\n-A INPUT -j DROP\n"));
        let named = with.differences.iter().any(|difference| difference.line == Some(Line(4)));
        let taken = bare(&with.toml) != bare(&without.toml);
        assert!(named || taken, "{rule}: {}", with.toml);
    }
}

#[test]
fn chains_are_followed() {
    let converted = of(&format!(
        ":IN - [0:0]\n:SIP - [0:0]\n-A INPUT -j IN\n{}-A IN -p udp -m udp --dport 5060 -j SIP\n-A IN -j DROP\n\
         -A SIP -s 203.0.113.7 -j ACCEPT\n-A SIP -j RETURN\n",
        BASE.replace("INPUT", "IN")
    ));
    assert!(
        bare(&converted.toml).contains(&"sip = { udp = [5060], from = [\"203.0.113.7\"] }"),
        "{}",
        converted.toml
    );
    assert!(bare(&converted.toml).contains(&"default = \"drop\""));
    assert_eq!(differences(&converted), [""; 0]);
}

#[test]
fn two_families_become_one_policy() {
    let v6 = "COMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n\
              -A INPUT -p udp -s 2001:db8::/32 --dport 5060 -j ACCEPT\n-A INPUT -p tcp --syn --dport 22 -j ACCEPT\n";
    let converted =
        of(&format!(":INPUT DROP [0:0]\n{BASE}-A INPUT -p udp -s 192.0.2.0/24 --dport 5060 -j ACCEPT\n{v6}"));
    assert!(
        bare(&converted.toml)
            .contains(&"sip = { udp = [5060], from = [\"192.0.2.0/24\", \"2001:db8::/32\"] }")
    );
    assert_eq!(converted.differences.len(), 1, "{:?}", converted.differences);
    assert!(
        converted.differences[0].to_string().contains("`ssh` for one family only"),
        "{:?}",
        converted.differences
    );
}

#[test]
fn the_file_of_the_article_becomes_short() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/article/iptables");
    let Ok(text) = std::fs::read_to_string(&file) else {
        lab::skip::note("the_articles_file", "it is not here");
        return;
    };
    let converted = convert(&crate::iptables::parse("iptables", &text).unwrap());
    let document = converted.toml.parse::<toml_edit::DocumentMut>().unwrap();
    assert_eq!(document["default"].as_str(), Some("refuse"));
    assert_eq!(document["refuse-with"].as_str(), Some("icmp-host-prohibited"));
    assert_eq!(document["signatures"].as_array_of_tables().unwrap().len(), 7);
    assert_eq!(document["services"].as_table().unwrap().len(), 5);
    for number in 1..=9 {
        assert!(
            converted.toml.contains(&format!("# {number}- ")),
            "heading {number} is lost: {}",
            converted.toml
        );
    }
    assert!(bare(&converted.toml).len() < 40, "{}", converted.toml);
    assert!(
        converted.differences.iter().all(|difference| difference.line.is_none()),
        "{:?}",
        converted.differences
    );
}

#[test]
fn what_somebody_may_do_anyway_is_said_once() {
    let converted = of(&format!(
        "{BASE}-A INPUT -s 192.0.2.0/24 -p udp --dport 5060 -j ACCEPT\n-A INPUT -p udp --dport 5060 -j ACCEPT\n-A INPUT -j DROP\n"
    ));
    let services: Vec<_> = bare(&converted.toml).into_iter().filter(|line| line.contains("udp")).collect();
    assert_eq!(services.len(), 1, "{}", converted.toml);
    assert!(services[0].ends_with("= { udp = [5060] }"), "{services:?}");
}

#[test]
fn trust_and_block_keep_their_order() {
    let of = |rules: &str| of(&format!("{BASE}{rules}-A INPUT -j DROP\n"));
    let trusted = of("-A INPUT -s 192.0.2.0/24 -j ACCEPT\n-A INPUT -s 192.0.2.7 -j DROP\n");
    assert!(trusted.toml.contains("[trust]\nnetworks = [\"192.0.2.0/24\"]"), "{}", trusted.toml);
    assert!(differences(&trusted)[0].contains("an earlier rule accepts all from there"), "{}", trusted.toml);
    let blocked = of("-A INPUT -s 192.0.2.7 -j DROP\n-A INPUT -s 192.0.2.0/24 -j ACCEPT\n");
    assert!(blocked.toml.contains("[block]\nnetworks = [\"192.0.2.7\"]"), "{}", blocked.toml);
    assert!(!blocked.toml.contains("[trust]"), "{}", blocked.toml);
    let exception = of("-A INPUT -s 192.0.2.7 -j ACCEPT\n-A INPUT -s 192.0.2.0/24 -j DROP\n");
    assert!(exception.toml.contains("[trust]") && exception.toml.contains("[block]"), "{}", exception.toml);
}
