//! Planning takes bounded time and room.

use super::*;

/// `count` user chains, each of which jumps twice to the next; the last one ends with `end`.
fn doubling(count: usize, end: &str) -> String {
    let mut rules: String = (1..=count).map(|index| format!(":C{index} - [0:0]\n")).collect();
    rules.push_str("-A INPUT -j C1\n");
    for index in 1..count {
        let jump = format!("-A C{index} -j C{}\n", index + 1);
        rules.push_str(&jump);
        rules.push_str(&jump);
    }
    rules.push_str(&format!("-A C{count} {end}\n"));
    rules
}

#[test]
fn chains_are_not_walked_without_a_text() {
    // 2^26 ways to the end, and a reject there, which would each be a draft.
    let plan = planned(&doubling(26, "-p tcp --dport 22 -j ACCEPT"));
    assert_eq!(plan.tables.rules.len(), 0);
    // Behind the last text rule as well.
    let behind =
        doubling(26, "-j ACCEPT").replacen("-A INPUT", &format!("{SEARCH} \"x\" -j DROP\n-A INPUT"), 1);
    assert_eq!(planned(&behind).tables.rules.len(), 1);
}

#[test]
fn too_many_ways_to_a_text_are_refused_once() {
    let text = "-m string --algo bm --string a1 -j DROP";
    for (rules, what) in [
        // Conditions before the text, and text at the end of every way.
        (format!("{}-A INPUT {text}\n", doubling(26, "-p tcp --dport 22 -j ACCEPT")), "4096 conditions"),
        (doubling(26, text), "4096 conditions"),
        // Nothing is collected on the way, but the way is as long.
        (format!("{}-A INPUT {text}\n", doubling(26, "-j LOG")), "65536 rules"),
        // Errors are not collected without end either.
        (doubling(26, "-m string --algo bm ! --string a1 -j DROP"), "65536 rules"),
    ] {
        let errors = refused(&rules);
        assert_eq!(errors.len(), 1, "{what}: {errors:?}");
        assert!(errors[0].0 > 0 && errors[0].1.contains(what), "{what}: {errors:?}");
    }
    let deep: String = (1..200).map(|index| format!("-A C{index} -j C{}\n", index + 1)).collect();
    let chains: String = (1..=200).map(|index| format!(":C{index} - [0:0]\n")).collect();
    let errors = refused(&format!("{chains}-A INPUT -j C1\n{deep}-A C200 {text}\n"));
    assert!(errors.len() == 1 && errors[0].1.contains("chains inside of each other"), "{errors:?}");
}

#[test]
fn only_what_comes_before_a_text_is_looked_at() {
    let plan = planned(
        ":A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j B\n\
         -A INPUT -p tcp --dport 23 -j ACCEPT\n-A A -p tcp --dport 21 -j ACCEPT\n\
         -A B -p tcp --dport 24 -j ACCEPT\n-A B -m string --algo bm --string a1 -j DROP\n\
         -A B -p tcp --dport 25 -j ACCEPT\n",
    );
    assert_eq!(
        actions(&plan),
        [(8, action::LEAVE), (5, action::LEAVE), (9, action::LEAVE), (10, action::DROP)]
    );
}

#[test]
fn many_rules_for_many_ports_are_planned_at_once() {
    let rules: String = (0..20)
        .map(|index| {
            format!(
                "-A INPUT -p udp -m udp --dport 1:65535 -m string --algo bm --string t{index:03} -j DROP\n\
                     -A INPUT -p tcp -m tcp --dport 7 -m string --algo bm --string t{index:03} -j LOG\n"
            )
        })
        .collect();
    let before = std::time::Instant::now();
    let plan = planned(&rules);
    assert_eq!(plan.tables.ports.len(), 65_535);
    assert_eq!(plan.tables.ports[6], (7, GUARD_UDP | GUARD_TCP));
    assert_eq!((plan.tables.ports[0], plan.tables.ports[65_534]), ((1, GUARD_UDP), (65_535, GUARD_UDP)));
    assert!(before.elapsed().as_secs() < 2, "{:?}", before.elapsed());
}
