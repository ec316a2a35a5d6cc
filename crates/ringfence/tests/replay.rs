//! `ringfence replay` as it is called: the shipped sample, and what can go wrong.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// Runs `replay` in the folder of the samples.
fn replay(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .current_dir(samples())
        .arg("replay")
        .args(args)
        .output()
        .expect("runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn the_sample_shows_scanners_dropped_and_a_call_let_through() {
    let output = replay(&["--policy", "asterisk.rules", "--format", "json", "scan-and-call.pcap"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stderr(&output),
        "guarded host taken to be 198.51.100.10 (asked for SIP); say otherwise with --local ADDR\n"
    );
    let text = stdout(&output);
    let records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let signatures: Vec<&str> = records
        .iter()
        .filter(|record| record["reason"] == "signature")
        .map(|record| record["rule"].as_str().expect("the text"))
        .collect();
    assert_eq!(signatures, ["friendly-scanner", "sipsak", "friendly-scanner"]);
    let phone = records
        .iter()
        .filter(|record| record["src"].as_str().is_some_and(|src| src.starts_with("192.0.2.20")));
    assert_eq!(phone.count(), 0, "nothing of the phone is refused");
    let summary = records.last().expect("a summary");
    assert_eq!((&summary["type"], &summary["drop"]), (&"summary".into(), &3.into()));
    assert_eq!(
        summary["packets"].as_u64(),
        ["accept", "drop", "reject"].iter().map(|verdict| summary[verdict].as_u64()).sum::<Option<u64>>()
    );
}

#[test]
fn the_same_capture_gives_the_same_output() {
    let args = ["--policy", "asterisk.rules", "--all", "--format", "json", "scan-and-call.pcap"];
    let (first, second) = (replay(&args), replay(&args));
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(stdout(&first).lines().filter(|line| line.starts_with("{\"type\":\"packet\"")).count(), 234);
}

/// Without `--all`, media that follow what was accepted are judged by their flow.
#[test]
fn what_is_not_shown_is_judged_as_what_is() {
    let media = [
        "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT",
        "-A INPUT -p udp --dport 10000:20000 -j ACCEPT",
    ];
    let own = tempfile::NamedTempFile::new().expect("a file");
    let limited = "-A INPUT -p udp -m limit --limit 5/sec -j ACCEPT";
    let rules = format!("*filter\n:INPUT DROP [0:0]\n{}\n{}\n{limited}\nCOMMIT\n", media[0], media[1]);
    std::fs::write(own.path(), rules).expect("written");
    let own = own.path().to_str().expect("a path");
    for policy in ["asterisk.rules", "../packaging/policy.toml", own] {
        let args = ["--policy", policy, "--local", "198.51.100.10", "--format", "json"];
        let capture = ["scan-and-call.pcap", "scan-and-call.pcap"];
        let shown = replay(&[args.as_slice(), &["--all"], &capture].concat());
        let counted = replay(&[args.as_slice(), &capture].concat());
        let is_told = |line: &&str| !(line.contains("\"packet\"") && line.contains("\"verdict\":\"accept\""));
        let shown = stdout(&shown);
        let expected: Vec<&str> = shown.lines().filter(is_told).collect();
        assert_eq!(stdout(&counted).lines().collect::<Vec<_>>(), expected, "{policy}");
    }
}

#[test]
fn captures_follow_one_another() {
    let output = replay(&["--policy", "asterisk.rules", "scan-and-call.pcap", "scan-and-call.pcap"]);
    let text = stdout(&output);
    assert!(
        text.lines().last().is_some_and(|line| line.starts_with("468 packets: 452 accepted, 6 dropped")),
        "{text}"
    );
}

#[test]
fn what_goes_wrong_is_said_once() {
    let said = |args: &[&str]| {
        let output = replay(args);
        let text = stderr(&output);
        (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
    };
    let (code, text) = said(&["--policy", "asterisk.rules", "nothing.pcap"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("error: cannot read nothing.pcap: "), "{text}");
    let (code, text) = said(&["--policy", "asterisk.rules", "--local", "::1", "README.md"]);
    assert_eq!((code, text.as_str()), (Some(1), "error: README.md: not a pcap or pcapng capture"));
    let (code, _) = said(&["--policy", "README.md", "scan-and-call.pcap"]);
    assert_eq!(code, Some(1));
    let (code, _) = said(&["--policy", "asterisk.rules", "--local", "pbx", "scan-and-call.pcap"]);
    assert_eq!(code, Some(2));
    let (code, _) = said(&["--policy", "asterisk.rules"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_capture_cut_in_the_middle_is_judged_as_far_as_it_goes() {
    let whole = std::fs::read(samples().join("scan-and-call.pcap")).expect("the sample");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.pcap");
    std::fs::write(&path, &whole[..whole.len() - 7]).expect("written");
    let output = replay(&["--policy", "asterisk.rules", path.to_str().expect("a name")]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("frame 234: the file ends within it"), "{}", stderr(&output));
    assert!(stdout(&output).lines().last().is_some_and(|line| line.starts_with("234 packets")));
}

/// The sample's records again and again, as one capture that is longer than what is read at once.
fn long_capture(times: usize) -> Vec<u8> {
    const FILE_HEADER: usize = 24;
    let sample = std::fs::read(samples().join("scan-and-call.pcap")).expect("the sample");
    let (header, records) = sample.split_at(FILE_HEADER);
    [header.to_vec(), records.repeat(times)].concat()
}

#[test]
fn a_long_capture_is_told_in_its_order_and_twice_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.pcap");
    let mut capture = long_capture(40);
    capture.truncate(capture.len() - 7);
    std::fs::write(&path, &capture).expect("written");
    let path = path.to_str().expect("a name");
    let run = |more: &[&str]| {
        let args = ["--policy", "../packaging/policy.toml", "--all", "--format", "json", path];
        replay(&[more, args.as_slice()].concat())
    };
    let (first, second) = (run(&[]), run(&["--local", "198.51.100.10"]));
    assert!(first.status.success(), "{}", stderr(&first));
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(stderr(&first).lines().last(), stderr(&second).lines().last());
    assert!(stderr(&first).ends_with("bytes)\n"), "the last frame is cut: {}", stderr(&first));
    let frames = stdout(&first);
    let frames = frames.lines().filter(|line| line.starts_with("{\"type\":\"packet\"")).map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).expect("json");
        record["frame"].as_u64().expect("a number")
    });
    assert!(frames.eq(1..=234 * 40), "every frame once, in order");
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("long.pcap");
    std::fs::write(&path, long_capture(200)).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .current_dir(samples())
        .args(["replay", "--policy", "asterisk.rules", "--local", "198.51.100.10", "--all"])
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let mut some = [0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut some).expect("output");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

/// The tests' own recordings: sipvicious with a phone's agent before an unguarded Asterisk 22.
fn attack(name: &str, policy: &str) -> Vec<serde_json::Value> {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/captures/{name}.pcap.gz"));
    let capture = capture.display().to_string();
    let output = replay(&["--policy", policy, "--local", "198.51.100.10", "--format", "json", &capture]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).expect("json")).collect()
}

fn of_type<'a>(records: &'a [serde_json::Value], kind: &str) -> Vec<&'a serde_json::Value> {
    records.iter().filter(|record| record["type"] == kind).collect()
}

#[test]
fn a_cracker_with_a_forged_agent_is_banned_before_its_second_guess() {
    let records = attack("svcrack", "../packaging/policy.toml");
    let bans = of_type(&records, "ban");
    assert_eq!(bans.len(), 1, "{bans:?}");
    assert_eq!((&bans[0]["source"], &bans[0]["proven"]), (&"203.0.113.66".into(), &true.into()));
    let evidence = of_type(&records, "evidence");
    for detector in ["tool-fingerprint", "password-guessing"] {
        assert!(evidence.iter().any(|one| one["detector"] == detector), "{detector}: {evidence:?}");
    }
    let summary = records.last().expect("a summary");
    assert_eq!(summary["bans"], 1);
    assert!(summary["by_reason"]["banned"].as_u64().is_some_and(|banned| banned > 50), "{summary}");
}

#[test]
fn walkers_with_a_forged_agent_are_limited() {
    for name in ["svwar-register", "svwar-invite", "svwar-options"] {
        let records = attack(name, "../packaging/policy.toml");
        let limits = of_type(&records, "limit");
        assert_eq!(limits.len(), 1, "{name}: {limits:?}");
        assert_eq!(limits[0]["source"], "203.0.113.66", "{name}");
    }
}

#[test]
fn an_iptables_policy_bans_nobody_and_tells_all_the_same() {
    let records = attack("svcrack", "asterisk.rules");
    assert_eq!(of_type(&records, "ban").len() + of_type(&records, "limit").len(), 0);
    assert!(of_type(&records, "evidence").iter().any(|one| one["detector"] == "password-guessing"));
}

#[test]
fn benign_captures_of_others_ban_nobody() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/captures");
    for name in ["sip-with-rtp", "http_on_sip_port", "iax", "sip-compact-form", "sip-tcp"] {
        let capture = captures.join(format!("{name}.pcap"));
        if !capture.exists() {
            continue;
        }
        let capture = capture.display().to_string();
        let output = replay(&["--policy", "../packaging/policy.toml", "--format", "json", &capture]);
        let text = stdout(&output);
        assert!(text.contains("\"bans\":0") && !text.contains("\"type\":\"limit\""), "{name}: {text}");
    }
}
