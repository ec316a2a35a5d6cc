//! Matches that remember: `limit`, `hashlimit`, `recent`.

use super::*;

#[test]
fn limit_lets_a_burst_through_and_then_the_rate() {
    let mut evaluator =
        rules(Family::Ipv4, "-A INPUT -m limit --limit 2/sec --limit-burst 3 -j ACCEPT\n-A INPUT -j DROP");
    let packet = ip4().udp(1, 2);
    let times = [0, 0, 0, 0, 499, 500, 501, 1000];
    let accepted = times.map(|ms| verdict_at(&mut evaluator, &packet, ms) == Verdict::Accept);
    assert_eq!(accepted, [true, true, true, false, false, true, false, true]);
}

#[test]
fn conditions_before_a_limit_spare_its_tokens() {
    let packet = |port| ip4().udp(1, port);
    // The limit stands behind the port here,
    let mut evaluator =
        rules(Family::Ipv4, "-A INPUT -p udp --dport 2 -m limit --limit 1/hour --limit-burst 1 -j DROP");
    verdict(&mut evaluator, &packet(3));
    assert_eq!(verdict(&mut evaluator, &packet(2)), Verdict::Drop);
    // and before it here: a packet to another port takes the only token.
    let mut evaluator = rules(
        Family::Ipv4,
        "-A INPUT -p udp -m limit --limit 1/hour --limit-burst 1 -m udp --dport 2 -j DROP",
    );
    verdict(&mut evaluator, &packet(3));
    assert_eq!(verdict(&mut evaluator, &packet(2)), Verdict::Accept);
}

fn hash_verdicts(condition: &str, packets: &[(Build, u64)]) -> Vec<bool> {
    let mut evaluator =
        rules(Family::Ipv4, &format!("-A INPUT -m hashlimit --hashlimit-name x {condition} -j DROP"));
    packets.iter().map(|(packet, ms)| verdict_at(&mut evaluator, packet, *ms) == Verdict::Drop).collect()
}

#[test]
fn hashlimit_counts_for_each_key() {
    let from = |address: &str, port| ip4().from(address).udp(port, 5060);
    let a = |port| from("192.0.2.1", port);
    let b = from("192.0.2.2", 1);
    let above = "--hashlimit-above 1/sec --hashlimit-burst 2";
    let sent = [(a(1), 0), (a(1), 0), (a(1), 0), (b, 0), (a(2), 0)];
    let all = |mode: &str| hash_verdicts(&format!("{above} {mode}"), &sent);
    assert_eq!(all(""), [false, false, true, true, true]);
    assert_eq!(all("--hashlimit-mode srcip"), [false, false, true, false, true]);
    assert_eq!(all("--hashlimit-mode srcip,srcport"), [false, false, true, false, false]);
    assert_eq!(all("--hashlimit-mode dstip,dstport"), [false, false, true, true, true]);
    assert_eq!(all("--hashlimit-mode srcip --hashlimit-srcmask 24"), [false, false, true, true, true]);
    let upto = hash_verdicts("--hashlimit-upto 1/sec --hashlimit-burst 2", &sent);
    assert_eq!(upto, [true, true, false, false, false]);
}

#[test]
fn hashlimit_destination_mask_and_port() {
    let to = |address: &str, port| ip4().to(address).udp(1, port);
    let sent = [(to("192.0.2.1", 1), 0), (to("192.0.2.2", 1), 0), (to("192.0.2.1", 2), 0)];
    let above = "--hashlimit-above 1/sec --hashlimit-burst 1";
    let all = |mode: &str| hash_verdicts(&format!("{above} {mode}"), &sent);
    assert_eq!(all("--hashlimit-mode dstip"), [false, false, true]);
    assert_eq!(all("--hashlimit-mode dstip --hashlimit-dstmask 24"), [false, true, true]);
    assert_eq!(all("--hashlimit-mode dstport"), [false, true, false]);
}

#[test]
fn hashlimit_refills_and_forgets() {
    let packet = ip4().udp(1, 2);
    let sent = |times: &[u64]| times.iter().map(|ms| (packet.clone(), *ms)).collect::<Vec<_>>();
    let rate =
        "--hashlimit-above 1/sec --hashlimit-burst 2 --hashlimit-mode srcip --hashlimit-htable-expire 100000";
    assert_eq!(
        hash_verdicts(rate, &sent(&[0, 0, 0, 900, 1100, 1200])),
        [false, false, true, true, false, true]
    );
    // One a minute: at 40 s there is nothing yet, unless the idle entry was forgotten in between.
    let slow = "--hashlimit-above 1/min --hashlimit-burst 1 --hashlimit-mode srcip";
    let times = sent(&[0, 1, 40_000]);
    assert_eq!(
        hash_verdicts(&format!("{slow} --hashlimit-htable-expire 60000"), &times),
        [false, true, true]
    );
    assert_eq!(
        hash_verdicts(&format!("{slow} --hashlimit-htable-expire 20000"), &times),
        [false, true, false]
    );
    // It goes at the sweep after its time: 20 s, and a sweep every 50.
    let rare = format!("{slow} --hashlimit-htable-expire 20000 --hashlimit-htable-gcinterval 50000");
    assert_eq!(hash_verdicts(&rare, &times), [false, true, true]);
}

#[test]
fn hashlimit_counts_bytes() {
    let big = ip4().udp(1, 2).data(&[0; 1000]);
    let sent: Vec<_> = (0..6).map(|_| (big.clone(), 0)).collect();
    // 1028 bytes each, 4096 a second.
    let rate = "--hashlimit-above 4kb/s --hashlimit-mode srcip";
    assert_eq!(hash_verdicts(rate, &sent), [false, false, false, true, true, true]);
    // A burst fills the bucket that many times more.
    assert_eq!(hash_verdicts(&format!("{rate} --hashlimit-burst 4kb"), &sent), [false; 6]);
}

#[test]
fn a_full_hashlimit_table_drops() {
    let from = |address: &str| ip4().from(address).udp(1, 2);
    let mut evaluator = rules(
        Family::Ipv4,
        "-A INPUT -m hashlimit --hashlimit-name x --hashlimit-upto 5/s --hashlimit-mode srcip --hashlimit-htable-size 2 --hashlimit-htable-max 2 -j ACCEPT",
    );
    assert_eq!(verdict(&mut evaluator, &from("192.0.2.1")), Verdict::Accept);
    assert_eq!(verdict(&mut evaluator, &from("192.0.2.2")), Verdict::Accept);
    assert_eq!(verdict(&mut evaluator, &from("192.0.2.3")), Verdict::Drop);
    assert_eq!(verdict(&mut evaluator, &from("192.0.2.1")), Verdict::Accept);
    // Idle for a second, and swept.
    assert_eq!(verdict_at(&mut evaluator, &from("192.0.2.3"), 2100), Verdict::Accept);
}

fn recent(lines: &str, packets: &[(Build, u64)]) -> Vec<bool> {
    let mut evaluator = rules(Family::Ipv4, lines);
    packets.iter().map(|(packet, ms)| verdict_at(&mut evaluator, packet, *ms) == Verdict::Drop).collect()
}

#[test]
fn recent_remembers_addresses() {
    let (a, b) = (ip4().from("192.0.2.1"), ip4().from("192.0.2.2"));
    let lines = "-A INPUT -m recent --rcheck --name X -j DROP\n-A INPUT -m recent --set --name X -j ACCEPT";
    assert_eq!(recent(lines, &[(a.clone(), 0), (a.clone(), 1), (b.clone(), 2)]), [false, true, false]);
    let other = "-A INPUT -m recent --rcheck --name Y -j DROP\n-A INPUT -m recent --set --name X -j ACCEPT";
    assert_eq!(recent(other, &[(a.clone(), 0), (a.clone(), 1)]), [false, false]);
    let not = "-A INPUT -m recent ! --rcheck --name X -j USER\n-A INPUT -m recent --set --name X -j DROP\n-A USER -m recent --set --name X -j ACCEPT";
    assert_eq!(recent(not, &[(a.clone(), 0), (a.clone(), 1)]), [false, true]);
    let mask = "-A INPUT -m recent --rcheck --mask 255.255.255.0 -j DROP\n-A INPUT -m recent --set --mask 255.255.255.0 -j ACCEPT";
    assert_eq!(recent(mask, &[(a.clone(), 0), (b.clone(), 1)]), [false, true]);
    let dest = "-A INPUT -m recent --rcheck --rdest -j DROP\n-A INPUT -m recent --set --rdest -j ACCEPT";
    assert_eq!(recent(dest, &[(a, 0), (b, 1), (ip4().to("198.51.100.9"), 2)]), [false, true, false]);
}

#[test]
fn the_first_rule_of_a_list_gives_its_mask() {
    // Seen in Linux 6.18: `--mask` belongs to the list. User chains come behind INPUT, by name.
    let (a, b) = (ip4().from("192.0.2.1"), ip4().from("192.0.2.2"));
    let lines = |first: &str, second: &str| {
        format!("-A INPUT -m recent --rcheck {first} -j DROP\n-A INPUT -m recent --set {second} -j ACCEPT")
    };
    let sent = [(a, 0), (b, 1)];
    assert_eq!(recent(&lines("--mask 255.255.255.0", ""), &sent), [false, true]);
    assert_eq!(recent(&lines("", "--mask 255.255.255.0"), &sent), [false, false]);
    let chains = "-A USER -m recent --rcheck --mask 255.255.255.0 -j DROP\n-A OTHER -m recent --set -j ACCEPT\n-A INPUT -j USER\n-A INPUT -j OTHER";
    assert_eq!(recent(chains, &sent), [false, false]);
}

#[test]
fn recent_counts_hits_in_seconds() {
    let a = || ip4().from("192.0.2.1");
    // The common ssh throttle: the fourth within a minute.
    let lines = "-A INPUT -m recent --set --name S\n-A INPUT -m recent --rcheck --seconds 60 --hitcount 4 --name S -j DROP";
    let at = |times: &[u64]| times.iter().map(|ms| (a(), *ms)).collect::<Vec<_>>();
    assert_eq!(recent(lines, &at(&[0, 1000, 2000, 3000, 70_000])), [false, false, false, true, false]);
    // Exactly sixty seconds ago still counts.
    assert_eq!(recent(lines, &at(&[0, 10, 20, 60_000])), [false, false, false, true]);
    assert_eq!(recent(lines, &at(&[0, 10, 20, 60_008])), [false, false, false, false]);
}

#[test]
fn update_renews_and_check_does_not() {
    let at = |times: &[u64]| times.iter().map(|ms| (ip4(), *ms)).collect::<Vec<_>>();
    let lines = |action: &str| {
        format!(
            "-A INPUT -m recent {action} --seconds 10 --name X -j DROP\n-A INPUT -m recent --set --name X -j ACCEPT"
        )
    };
    let times = at(&[0, 6000, 12_000, 30_000]);
    assert_eq!(recent(&lines("--update"), &times), [false, true, true, false]);
    assert_eq!(recent(&lines("--rcheck"), &times), [false, true, false, false]);
}

#[test]
fn recent_removes_and_reaps() {
    let knock = ip4().udp(1, 7000);
    let lock = ip4().udp(1, 7001);
    let other = ip4().udp(1, 22);
    let lines = "-A INPUT -p udp --dport 7000 -m recent --set --name K -j ACCEPT\n-A INPUT -p udp --dport 7001 -m recent --remove --name K -j ACCEPT\n-A INPUT -m recent ! --rcheck --name K -j DROP";
    assert_eq!(
        recent(lines, &[(other.clone(), 0), (knock, 1), (other.clone(), 2), (lock, 3), (other, 4)]),
        [true, false, false, false, true]
    );
    // --reap takes the oldest away, whoever asks: B's question removes A after ten seconds.
    let (a, b) = (ip4().from("192.0.2.1"), ip4().from("192.0.2.2"));
    let lines = |reap: &str| {
        format!(
            "-A INPUT -p udp -m recent --rcheck --seconds 10 {reap} --name X\n-A INPUT -p udp -m recent --set --name X -j ACCEPT\n-A INPUT -m recent --rcheck --name X -j DROP"
        )
    };
    let sent = [
        (a.clone().udp(1, 1), 0),
        (b.clone().udp(1, 1), 19_000),
        (b.udp(1, 1), 20_000),
        (a.protocol(1), 20_001),
    ];
    assert_eq!(recent(&lines(""), &sent), [false, false, false, true]);
    assert_eq!(recent(&lines("--reap"), &sent), [false, false, false, false]);
}

#[test]
fn recent_compares_the_ttl() {
    let lines = |rttl: &str| {
        format!(
            "-A INPUT -m recent --rcheck {rttl} --name X -j DROP\n-A INPUT -m recent --set --name X -j ACCEPT"
        )
    };
    let sent = [(ip4().ttl(64), 0), (ip4().ttl(63), 1), (ip4().ttl(63), 2)];
    assert_eq!(recent(&lines(""), &sent), [false, true, true]);
    assert_eq!(recent(&lines("--rttl"), &sent), [false, false, true]);
}

#[test]
fn recent_forgets_the_address_seen_longest_ago() {
    let lines = "-A INPUT -m recent --rcheck --name X -j DROP\n-A INPUT -m recent --set --name X -j ACCEPT";
    let mut sent: Vec<_> = (0..=100).map(|n| (ip4().from(&format!("192.0.2.{n}")), n)).collect();
    // 101 addresses: the first had to go, the second is still there.
    sent.push((ip4().from("192.0.2.1"), 200));
    sent.push((ip4().from("192.0.2.0"), 201));
    let dropped = recent(lines, &sent);
    assert_eq!(dropped[101..], [true, false]);
}
