//! Frame decoding, the verdict and what is remembered of TCP connections, over tables in memory. The first byte says what the
//! frames begin with, and whether there is one, or several with their lengths before them.

use std::sync::LazyLock;

use gate::layout::{HAS_BLOCKED, HAS_TRUSTED, NONE};
use gate::memory::MemoryTables;
use gate::{Address, Found, Judgement, Link, Reason, judge};
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};

const SIGNATURES: [&str; 3] = ["friendly-scanner", "sipvicious", "iWar"];

/// One policy for all frames: signatures, a ban, a blocked and a trusted network.
static POLICY: LazyLock<gate::memory::GateTables> = LazyLock::new(|| {
    let mut text = String::from("*filter\n:INPUT ACCEPT [0:0]\n");
    for signature in SIGNATURES {
        for protocol in ["udp", "tcp"] {
            text.push_str(&format!(
                "-A INPUT -p {protocol} --dport 5060 -m string --string {signature} --algo bm --to 65535 -j DROP\n"
            ));
        }
    }
    text.push_str("COMMIT\n");
    let policy = Policy::parse("fuzz", text.into_bytes()).expect("the policy is right");
    let plan = Plan::new(&policy, Mode::Enforce, Tag::default()).expect("the policy has a plan");
    let mut tables = plan.gate.tables;
    tables.config.flags |= HAS_BLOCKED | HAS_TRUSTED;
    tables.blocked = vec![(96 + 24, Address::v4([198, 51, 100, 0]).0)];
    tables.trusted = vec![(96 + 32, Address::v4([192, 0, 2, 33]).0)];
    tables
});

/// Judges the frames, twice from the beginning: the same frames get the same verdicts.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let link = if kind & 1 == 0 { Link::Ethernet } else { Link::Ip };
    let frames: Vec<&[u8]> = if kind & 2 == 0 { vec![rest] } else { several(rest) };
    let first = verdicts(&frames, link);
    assert_eq!(first, verdicts(&frames, link), "the same frames, the same verdicts");
    let rules = POLICY.rules.len();
    for judgement in &first {
        assert!(
            judgement.rule == NONE || usize::from(judgement.rule) < rules,
            "rule {} of {rules}",
            judgement.rule
        );
    }
    if let ([frame], [judgement]) = (frames.as_slice(), first.as_slice())
        && judgement.reason == Reason::Signature
    {
        let holds = |text: &str| frame.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(SIGNATURES.into_iter().any(holds), "a signature that is not in the frame");
    }
}

/// Frames with their lengths in two bytes before them.
fn several(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((&[high, low], after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (frame, others) = after.split_at(length);
        frames.push(frame);
        rest = others;
    }
    frames
}

fn verdicts(frames: &[&[u8]], link: Link) -> Vec<Judgement> {
    let mut tables = MemoryTables { policy: POLICY.clone(), now: 4 << 30, ..MemoryTables::default() };
    tables.ban([192, 0, 2, 17].into(), u64::MAX, true);
    let mut found = Found::default();
    let judge_one = |frame: &&[u8]| {
        let mut judgement = Judgement::NONE;
        judge(*frame, &tables, link, &mut found, &mut judgement);
        judgement
    };
    frames.iter().map(judge_one).collect()
}
