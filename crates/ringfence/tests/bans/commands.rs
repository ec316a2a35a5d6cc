//! What the commands do, seen from the packets.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::asterisk::WEAK;
use lab::{AsteriskOptions, Guard, Lab, Node, attack, skip};
use serde_json::Value;

use crate::scene::{ATTACKER, OTHER, PBX, PHONE, POLICY, SIP, Scene, binary, json, says, until, verify};

#[test]
fn who_is_banned_is_dropped_and_who_is_unbanned_is_served() {
    let Some(scene) = Scene::new("ban", &[]) else { return };
    let guard = scene.guard();
    let attacker = ATTACKER.to_string();
    assert!(scene.serves(Node::Attacker, SIP), "before the ban");
    let said = says(&guard, &["ban", &attacker, "--for", "2h", "--reason", "abuse"], 0);
    assert_eq!(said, "1 ban is in force and in the ledger\n");
    assert!(!scene.serves(Node::Attacker, SIP));
    assert!(scene.serves(Node::Attacker, OTHER), "a ban is from the SIP ports");
    assert!(scene.serves(Node::Phone, SIP));

    let bans = json(&guard, &["bans"]);
    assert_eq!(bans.len(), 1, "{bans:?}");
    assert_eq!((&bans[0]["source"], &bans[0]["by"]), (&attacker.as_str().into(), &"operator".into()));
    assert_eq!((&bans[0]["detail"], &bans[0]["scope"]), (&"abuse".into(), &"sip".into()));
    assert!(bans[0]["until"].is_string() && bans[0]["since"].is_string(), "{bans:?}");
    until("its packets are counted", Duration::from_secs(5), || {
        json(&guard, &["bans"])[0]["dropped"].as_u64().unwrap() >= 2
    });
    assert!(says(&guard, &["bans"], 0).contains("abuse"));
    let why = says(&guard, &["why", &attacker], 0);
    assert!(why.contains("banned from the SIP ports") && why.contains("abuse"), "{why}");

    assert_eq!(says(&guard, &["unban", &attacker], 0), "1 ban is lifted\n");
    assert!(scene.serves(Node::Attacker, SIP));
    assert!(says(&guard, &["unban", &attacker], 1).contains("is not banned"));
    assert!(says(&guard, &["why", &attacker], 0).contains("lifted by operator"), "its story goes on");

    // The same for a network, and on every port.
    says(&guard, &["ban", "203.0.113.0/24", "--all-ports"], 0);
    assert!(!scene.serves(Node::Attacker, SIP) && !scene.serves(Node::Attacker, OTHER));
    assert!(says(&guard, &["unban", &attacker], 1).contains("ringfence unban 203.0.113.0/24"));
    says(&guard, &["unban", "203.0.113.0/24"], 0);
    assert!(scene.serves(Node::Attacker, SIP) && scene.serves(Node::Attacker, OTHER));
    assert_eq!(verify(&guard)["repairs"], 0);
}

#[test]
fn bans_end_by_themselves() {
    let Some(scene) = Scene::new("ends", &[]) else { return };
    let guard = scene.guard();
    says(&guard, &["ban", &ATTACKER.to_string(), "--for", "4s"], 0);
    assert!(!scene.serves(Node::Attacker, SIP));
    until("the end of the ban", Duration::from_secs(8), || scene.serves(Node::Attacker, SIP));
    assert_eq!(says(&guard, &["bans"], 0), "no bans\n");
}

#[test]
fn lists_are_banned_line_by_line_and_exported_for_other_firewalls() {
    let Some(scene) = Scene::new("list", &["ipset"]) else { return };
    let guard = scene.guard();
    let list = scene.lab.dir().join("list");
    let text =
        b"# drop list\n203.0.113.66 # the attacker\n\n2001:db8:66::/48\nnonsense\n203.0.113.300\n\xff\xfe\n\
        198.51.100.10\n10.0.0.0/8";
    std::fs::write(&list, text).unwrap();
    let ban = scene.shell(&format!("$R ban - --run-dir $D < {}", list.display()));
    assert_eq!(ban.status.code(), Some(1), "{}", ban.text());
    assert_eq!(ban.stdout, "3 bans are in force and in the ledger\n");
    let wrong: Vec<&str> = ban.stderr.lines().collect();
    assert_eq!(wrong.len(), 4, "{}", ban.stderr);
    assert!(wrong[3].contains("this host's own address"), "{}", ban.stderr);
    assert!(!scene.serves(Node::Attacker, SIP));

    let plain: BTreeSet<String> =
        says(&guard, &["bans", "--format", "plain"], 0).lines().map(str::to_owned).collect();
    assert_eq!(plain, ["10.0.0.0/8", "2001:db8:66::/48", "203.0.113.66"].map(str::to_owned).into());
    let ipset = scene.shell("$R bans --format ipset --run-dir $D | ipset restore && ipset save");
    assert!(ipset.status.success(), "{}", ipset.text());
    for part in ["add ringfence 203.0.113.66", "add ringfence 10.0.0.0/8", "add ringfence6 2001:db8:66::/48"]
    {
        assert!(ipset.stdout.contains(part), "{part} in {}", ipset.stdout);
    }
    let nft = scene.shell("$R bans --format nft --run-dir $D > /dev/stdout | nft -c -f - && echo good");
    assert_eq!(nft.stdout, "good\n", "{}", nft.text());
    assert_eq!(json(&guard, &["bans", "--within", "203.0.113.0/24"]).len(), 1);
    assert_eq!(json(&guard, &["bans", "--by", "detector"]).len(), 0);
    assert_eq!(says(&guard, &["unban", "--by", "operator"], 0), "3 bans are lifted\n");
    assert!(scene.serves(Node::Attacker, SIP));
    // An empty set is a set, too.
    let nft = scene.shell("$R bans --format nft --run-dir $D | nft -c -f - && echo good");
    assert_eq!(nft.stdout, "good\n", "{}", nft.text());
}

#[test]
fn who_is_trusted_is_not_banned_and_no_part_of_a_ban() {
    let Some(scene) = Scene::new("trust", &[]) else { return };
    let guard = scene.guard();
    let attacker = ATTACKER.to_string();
    says(&guard, &["ban", "203.0.113.0/24"], 0);
    assert!(!scene.serves(Node::Attacker, SIP));
    assert_eq!(
        says(&guard, &["trust", &attacker, "--note", "carrier"], 0),
        format!("{attacker} is trusted\n")
    );
    assert!(scene.serves(Node::Attacker, SIP), "an island in the network");
    for target in [&attacker, "203.0.113.64/26"] {
        assert!(says(&guard, &["ban", target], 1).contains(&format!("{attacker} is trusted")));
    }
    let trusted = json(&guard, &["trust"]);
    assert_eq!((&trusted[0]["what"], &trusted[0]["note"]), (&attacker.as_str().into(), &"carrier".into()));
    drop(guard);
    let guard = scene.guard();
    assert!(scene.serves(Node::Attacker, SIP), "trust outlives the daemon");
    says(&guard, &["trust", "--remove", &attacker], 0);
    assert!(!scene.serves(Node::Attacker, SIP), "the network is banned still");
    says(&guard, &["trust", "--remove", &attacker], 1);
    says(&guard, &["trust", "203.0.113.300"], 1);
    assert_eq!(verify(&guard)["repairs"], 0);
}

#[test]
fn names_in_the_policy_are_followed() {
    let Some(scene) = Scene::new("names", &[]) else { return };
    let with =
        |names: &str| std::fs::write(&scene.policy, format!("{POLICY}[trust]\nnames = {names}\n")).unwrap();
    // The one name that every host knows.
    with("[\"LocalHost\", \"no.such.example\"]");
    let guard = scene.guard();
    until("the addresses of a name", Duration::from_secs(10), || {
        json(&guard, &["trust"])[0]["addresses"].to_string().contains("127.0.0.1")
    });
    let trusted = json(&guard, &["trust"]);
    let shown: Vec<_> = trusted.iter().map(|row| (row["what"].as_str(), row["note"].as_str())).collect();
    assert_eq!(
        shown,
        [(Some("localhost"), Some("in the policy")), (Some("no.such.example"), Some("in the policy"))]
    );
    assert!(says(&guard, &["trust", "--remove", "localhost"], 1).contains("take it out of `[trust]`"));
    // The operator's own word holds when the policy's is gone.
    says(&guard, &["trust", "localhost"], 0);
    with("[]");
    says(&guard, &["reload"], 0);
    let trusted = json(&guard, &["trust"]);
    assert_eq!(
        (trusted.len(), &trusted[0]["what"], &trusted[0]["note"]),
        (1, &"localhost".into(), &"".into())
    );
    assert!(trusted[0]["addresses"].to_string().contains("127.0.0.1"), "{trusted:?}");
    says(&guard, &["trust", "--remove", "localhost"], 0);
    assert_eq!(json(&guard, &["trust"]), [Value::Null; 0]);
    assert_eq!(verify(&guard)["repairs"], 0);
}

#[test]
fn wrong_usage_has_a_status_of_its_own() {
    let Some(scene) = Scene::new("usage", &[]) else { return };
    let guard = scene.guard();
    for args in [&["ban"][..], &["ban", "nonsense"], &["ban", "192.0.2.1", "--for", "soon"], &["unban"]] {
        says(&guard, args, 2);
    }
    assert!(says(&guard, &["why", "192.0.2.99"], 1).contains("is not banned"));
    says(&guard, &["unban", "--reason", "nobody"], 1);
    says(&guard, &["bans", "--by", "me"], 1);
}

#[test]
fn a_guessers_ban_says_why_and_a_grace_keeps_him_unbanned() {
    if !skip::ready("guesser", &["bpftool", "debootstrap", "nft", "svmap"]) {
        return;
    }
    let lab = Lab::up("guesser").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions::default()).unwrap();
    let policy = lab.dir().join("policy.toml");
    // The tool gives itself away by more than what it does.
    let text = format!("{}[detect.tool-fingerprint]\naction = \"off\"\n", crate::scene::POLICY);
    std::fs::write(&policy, text).unwrap();
    let mut guard = Guard::start(&lab, &binary(), &policy).unwrap();
    attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "110-300").unwrap();
    asterisk.settle().unwrap();
    until("a ban", Duration::from_secs(5), || !json(&guard, &["bans"]).is_empty());
    let ban = json(&guard, &["bans"]).remove(0);
    assert_eq!((&ban["by"], &ban["source"]), (&"detector".into(), &ATTACKER.to_string().into()), "{ban}");
    assert_eq!((&ban["reason"], &ban["level"]), (&"password-guessing".into(), &1.into()), "{ban}");
    let attacker = ATTACKER.to_string();
    let why = says(&guard, &["why", &attacker], 0);
    assert!(why.contains("by detector: password-guessing"), "{why}");
    assert!(why.contains("it ends by itself at "), "{why}");
    assert!(why.contains("      SIP/2.0 401 "), "the line that gave it away: {why}");

    says(&guard, &["unban", &attacker, "--grace", "1h"], 0);
    attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "110-300").unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(says(&guard, &["bans"], 0), "no bans\n");
    assert!(says(&guard, &["why", &attacker], 0).contains("unbanned with a grace"));
    // Over a restart, too.
    guard.process().kill();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    assert!(says(&guard, &["why", &attacker], 0).contains("unbanned with a grace"));
    // The operator's own word goes before.
    says(&guard, &["ban", &attacker], 0);
    says(&guard, &["unban", &attacker], 0);
    assert!(!says(&guard, &["why", &attacker], 0).contains("unbanned with a grace"));
}

/// Whoever administers the PBX in the clear is named, and a closed connection is remembered.
#[test]
fn visitors_of_services_without_encryption_are_named() {
    let Some(scene) = Scene::new("visitors", &[]) else { return };
    let open = "[services]\nmanager = { tcp = [5038] }\nsip = { udp = [5060], inspect = true }\n";
    std::fs::write(&scene.policy, open).unwrap();
    let manager =
        scene.lab.inside(Node::Pbx, || std::net::TcpListener::bind("0.0.0.0:5038").unwrap()).unwrap();
    let guard = scene.guard();
    let visitor =
        scene.lab.inside(Node::Phone, || std::net::TcpStream::connect((PBX, 5038)).unwrap()).unwrap();
    let (accepted, _) = manager.accept().unwrap();
    // The server closes first, so that it is the one that remembers.
    drop(accepted);
    drop(visitor);
    let visitors = || json(&guard, &["status"])[0]["privacy"]["visitors"][0].clone();
    until("the visit is told", Duration::from_secs(40), || visitors()["connections"] == 1);
    assert_eq!(
        (&visitors()["service"], &visitors()["peers"][0]),
        (&"manager".into(), &PHONE.to_string().into())
    );
    let text = says(&guard, &["status"], 0);
    assert!(text.contains("! port 5038 (manager): 1 connection without encryption"), "{text}");
    says(&guard, &["panic"], 0);
}
