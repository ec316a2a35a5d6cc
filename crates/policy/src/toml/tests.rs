use crate::diagnostic::Style;
use crate::plan::Plan;
use crate::plan::nft::Mode;
use crate::policy::Policy;

fn policy(text: &str) -> Policy {
    Policy::parse("policy.toml", text.as_bytes().to_vec()).unwrap_or_else(|mistakes| {
        let text: String = mistakes.iter().map(|mistake| mistake.render(Style::Plain)).collect();
        panic!("{text}")
    })
}

#[test]
fn an_empty_file_is_the_shipped_policy() {
    let policy = policy("");
    assert_eq!(policy.warnings(), []);
    let plan = Plan::new(&policy, Mode::Enforce, crate::plan::nft::Tag::default()).unwrap();
    println!("{}", plan.nft);
    println!("{} {:?}", plan.gate.tables.automaton.len(), plan.gate.signatures);
}
