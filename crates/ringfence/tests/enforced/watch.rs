//! What the kernel does with the packets that pass the gate, told by a table of our own around that of the program.

use std::collections::BTreeMap;

use crate::oracle::namespace::Network;
use crate::oracle::nflog::{Logged, Recorder};

/// Copies of what came through the gate (before the kernel reassembles), of what the filter let through, and of what the
/// host sends.
const TABLE: &str = "table inet probe {
    chain before { type filter hook prerouting priority -500; log group 5 queue-threshold 1 prefix \"before\"; }
    chain input { type filter hook input priority 50; log group 5 queue-threshold 1 prefix \"after\"; }
    chain forward { type filter hook forward priority 50; log group 5 queue-threshold 1 prefix \"after\"; }
    chain output { type filter hook output priority -150; log group 5 queue-threshold 1 prefix \"out\"; }
}
";

/// What became of one packet that passed the gate. The kernel does all of it before it takes the next packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    pub(crate) datagram: Vec<u8>,
    /// The filter accepted it, or the datagram that it made whole.
    pub(crate) accepted: bool,
    /// What the host sent because of it.
    pub(crate) answers: Vec<Vec<u8>>,
}

/// A running recording.
#[derive(Debug)]
pub(crate) struct Watch(Recorder);

impl Watch {
    pub(crate) fn start(network: &Network) -> Self {
        let recorder = Recorder::start(network, "nflog:5");
        network.host_with_input("nft", &["-f", "-"], TABLE).expect("the table");
        Self(recorder)
    }

    /// Ends it: packets in the order in which the kernel took them.
    pub(crate) fn end(self, network: &Network) -> Vec<Passed> {
        let logged = self.0.logged();
        network.host("nft", &["delete", "table", "inet", "probe"]);
        group(&logged)
    }
}

fn group(logged: &[Logged]) -> Vec<Passed> {
    let mut passed: Vec<Passed> = Vec::new();
    for entry in logged {
        if entry.prefix == "before" {
            passed.push(Passed { datagram: entry.datagram.clone(), ..Passed::default() });
            continue;
        }
        // What the host sends on its own at the very start belongs to no packet.
        let Some(last) = passed.last_mut() else { continue };
        match entry.prefix.as_str() {
            "after" => last.accepted = true,
            "out" => last.answers.push(entry.datagram.clone()),
            other => panic!("a copy from nowhere: {other}"),
        }
    }
    passed
}

/// Packets and bytes of each line of the policy, as the program's own table counts them.
pub(crate) fn counters(network: &Network) -> BTreeMap<usize, (u64, u64)> {
    let text = network.host("nft", &["--json", "list", "table", "inet", "ringfence"]);
    let tree: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut lines = BTreeMap::new();
    for item in tree["nftables"].as_array().expect("a list") {
        let rule = &item["rule"];
        let Some(line) = rule["comment"].as_str().and_then(|comment| comment.strip_prefix("line ")) else {
            continue;
        };
        // `line 12: policy of INPUT` is not a rule.
        let Ok(line) = line.parse::<usize>() else { continue };
        let counter = rule["expr"].as_array().into_iter().flatten().find_map(|one| one.get("counter"));
        let counter = counter.expect("each rule counts");
        let entry: &mut (u64, u64) = lines.entry(line).or_default();
        entry.0 += counter["packets"].as_u64().expect("a number");
        entry.1 += counter["bytes"].as_u64().expect("a number");
    }
    lines
}
