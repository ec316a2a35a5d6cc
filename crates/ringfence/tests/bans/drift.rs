//! The kernel's maps, changed behind the daemon's back.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gate::bans::{self, Bucket, Store, Term};
use gate::{Address, Family};
use lab::Node;

use crate::scene::{ATTACKER, SIP, Scene, json, says, until, verify};

/// The kernel's maps through `bpftool`.
pub(crate) struct Maps<'a>(pub(crate) &'a Scene);

impl Maps<'_> {
    fn tool(&self, map: &str, what: &[&str]) -> String {
        let pin = self.0.lab.bpffs().join(format!("ringfence/v{}/maps/{map}", gate::layout::VERSION));
        let (verb, rest) = what.split_first().unwrap();
        let mut command = self.0.lab.command(Node::Pbx, "bpftool");
        command.args(["-j", "map", verb, "pinned"]).arg(pin).args(rest);
        let output = lab::run(command, Duration::from_secs(10)).unwrap();
        assert!(output.status.success(), "{}", output.text());
        output.stdout
    }

    fn value(&self, map: &str, key: u32) -> Vec<u8> {
        let mut words = vec!["lookup".to_owned(), "key".to_owned()];
        words.extend(hex(&key.to_ne_bytes()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let found: serde_json::Value = serde_json::from_str(&self.tool(map, &words)).unwrap();
        let bytes = found["value"].as_array().unwrap().iter();
        bytes
            .map(|byte| u8::from_str_radix(byte.as_str().unwrap().trim_start_matches("0x"), 16).unwrap())
            .collect()
    }

    /// The key of the places, behind two other words of the map `LIVE`.
    fn key(&self) -> [u64; 2] {
        let live = self.value("LIVE", 0);
        let word = |at: usize| u64::from_ne_bytes(live[at..at + 8].try_into().unwrap());
        [word(8), word(16)]
    }

    fn ban(&mut self, address: IpAddr) {
        let key = self.key();
        assert!(
            bans::insert(self, &address.into(), Family::Ipv4, Term::new(u64::MAX, false), key, 0).unwrap()
        );
    }

    pub(crate) fn unban(&mut self, address: IpAddr) {
        let key = self.key();
        assert!(bans::remove(self, &address.into(), Family::Ipv4, key).unwrap());
    }

    /// What was said of a network of IPv4.
    fn forget(&self, address: Ipv4Addr, prefix: u32) {
        let mut words = vec!["delete".to_owned(), "key".to_owned()];
        words.extend(hex(&(96 + prefix).to_ne_bytes()));
        words.extend(hex(&Address::from(IpAddr::V4(address)).0));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.tool("NETWORKS", &words);
    }
}

fn hex(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.iter().map(|byte| format!("0x{byte:02x}"))
}

impl Store<()> for Maps<'_> {
    fn get(&mut self, _: Family, number: u32) -> Result<Bucket, ()> {
        let bytes = self.value("BANS_V4", number);
        let mut bucket = Bucket::default();
        for (word, bytes) in bucket.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_ne_bytes(*bytes);
        }
        Ok(bucket)
    }

    fn set(&mut self, _: Family, number: u32, bucket: &Bucket) -> Result<(), ()> {
        let mut words = vec!["update".to_owned(), "key".to_owned()];
        words.extend(hex(&number.to_ne_bytes()));
        words.push("value".to_owned());
        words.extend(bucket.iter().flat_map(|word| word.to_ne_bytes()).map(|byte| format!("0x{byte:02x}")));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.tool("BANS_V4", &words);
        Ok(())
    }
}

#[test]
fn what_differs_between_kernel_and_ledger_is_repaired_counted_and_told() {
    let Some(scene) = Scene::new("drift", &[]) else { return };
    let mut guard = scene.guard();
    let mut maps = Maps(&scene);
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    says(&guard, &["ban", "192.0.2.0/24"], 0);
    until("the look at the start", Duration::from_secs(20), || {
        json(&guard, &["status"])[0]["ledger"]["compared"].is_string()
    });
    assert_eq!(verify(&guard)["repairs"], 0);

    maps.unban(ATTACKER);
    maps.forget(Ipv4Addr::new(192, 0, 2, 0), 24);
    maps.ban(IpAddr::from([10, 1, 2, 3]));
    assert!(scene.serves(Node::Attacker, SIP) && scene.serves(Node::Phone, SIP), "it is a hole");
    let status = verify(&guard);
    let told: Vec<&str> =
        status["repaired"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
    assert_eq!(
        told,
        [
            "10.1.2.3 was banned in the kernel, but not in the ledger",
            "the ban of network 192.0.2.0/24 was not in the kernel as the ledger has it",
            "the ban of 203.0.113.66 was not in the kernel as the ledger has it",
        ]
    );
    assert_eq!((&status["repairs"], &status["ledger"]["repaired"]), (&3.into(), &3.into()), "{status}");
    assert!(!scene.serves(Node::Attacker, SIP) && !scene.serves(Node::Phone, SIP), "it is closed");
    assert!(guard.process().stderr().contains("warning: repaired: the ban of 203.0.113.66"));
    assert!(
        guard.system_log().iter().any(|line| line.contains("repaired: 10.1.2.3")),
        "{:?}",
        guard.system_log()
    );
    assert_eq!(verify(&guard)["repairs"], 0, "once is enough");
    assert!(says(&guard, &["status", "--verify"], 0).contains("just compared: 2 agree, 0 repaired"));
}

#[test]
fn differences_are_found_without_being_asked_for() {
    let Some(scene) = Scene::new("alone", &[]) else { return };
    let mut guard = scene.guard_in(&[("RINGFENCE_COMPARE_MS", "1500")]);
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    Maps(&scene).unban(ATTACKER);
    until("a repair", Duration::from_secs(15), || {
        guard.process().stderr().contains("warning: repaired: the ban of 203.0.113.66")
    });
    assert!(!scene.serves(Node::Attacker, SIP));
    assert_eq!(json(&guard, &["status"])[0]["ledger"]["repaired"], 1);
}
