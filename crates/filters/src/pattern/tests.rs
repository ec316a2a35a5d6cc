use proptest::prelude::*;

use super::*;

fn compile(regex: &str) -> Pattern {
    Pattern::new(regex, Flags::default(), Haystack::Lines).unwrap()
}

/// What Python's `re.search(regex, text)` gives: the whole and the groups.
fn groups(regex: &str, text: &str) -> Option<Vec<Option<String>>> {
    let (pattern, mut found) = (compile(regex), Found::default());
    let matched = pattern.search(text, &mut found).unwrap();
    matched
        .then(|| (0..=pattern.tree.groups).map(|group| found.text(text, group).map(str::to_owned)).collect())
}

#[test]
fn expressions_mean_what_they_mean_in_python() {
    for (regex, text, expected) in [
        ("a$", "a\n", Some("a")),
        ("a$", "a\n\n", None),
        (r"a\Z", "a\n", None),
        ("(?m)^b$", "a\nb\nc", Some("b")),
        ("a.b", "a\nb", None),
        ("(?s)a.b", "a\nb", Some("a\nb")),
        ("a{,2}", "aaa", Some("aa")),
        ("a{1,", "a{1,", Some("a{1,")),
        ("x{}", "x{}", Some("x{}")),
        (r"[]a]+", "a]a", Some("a]a")),
        (r"[^]a]+", "xy]", Some("xy")),
        (r"[a-]+", "-a-", Some("-a-")),
        (r"[\w.-]+", "é_1.-", Some("é_1.-")),
        (r"[a&&b]+", "&b", Some("&b")),
        (r"\x41\u0042\101\t", "ABA\t", Some("ABA\t")),
        (r"\s+", "\u{1c}\u{a0}", Some("\u{1c}\u{a0}")),
        (r"\d+", "١٢²", Some("١٢")),
        (r"(?a)\w+", "aé", Some("a")),
        ("(?i)straSSe", "STRASSE", Some("STRASSE")),
        ("(?i:K)k", "Kk", Some("Kk")),
        ("(?:(?i)ab)c", "ABc", Some("ABc")),
        ("(?x) a b # a comment\n c", "abc", Some("abc")),
        ("(?#nothing)a", "a", Some("a")),
        (r"(?P<q>['\x22])a(?P=q)", "'a'", Some("'a'")),
        (r"(?P<q>['\x22])a(?P=q)", "'a\"", None),
        (r"(<)?a(?(1)>|!)", "<a>", Some("<a>")),
        (r"(<)?a(?(1)>|!)", "a!", Some("a!")),
        (r"^(?P<i>x)?(?(i)y|z)$", "xz", None),
        (r"(?<=a)b", "ab", Some("b")),
        (r"(?<!a)b", "ab", None),
        (r"\b(?!no)\w+", "no yes", Some("yes")),
        (r"(?:(?! from ).)*? from", "a b from", Some("a b from")),
        (r"^(?:(?! from ).)+ from b", "a from b from b", Some("a from b")),
        (r"^(?:(?!ab)[ab]){2,3}", "aaab", Some("aa")),
        (r"^(?:(?!ab)[ab]){2,3}?", "aaaab", Some("aa")),
        (r"^(?:(?!ab)[ab])*", "bbaab", Some("bba")),
        (r"^(?:(?!ab)[ab])*+b", "bbab", None),
        (r"^(?:(?!é).)*", "aéa", Some("a")),
        (r"a*+a", "aaa", None),
        (r"(?>a|ab)c", "abc", None),
        ("(a|ab)(c|bcd)(d*)", "abcd", Some("abcd")),
        ("(?:a?)*?b", "aab", Some("aab")),
        ("(a*)*", "b", Some("")),
        ("(a|b)*?c", "abc", Some("abc")),
        ("(?:|a)*", "aa", Some("")),
        ("(?:|a)*b", "aab", Some("aab")),
        ("(?m)(?:$|[^a])*", " \n", Some(" ")),
        ("", "abc", Some("")),
    ] {
        let found = groups(regex, text).and_then(|groups| groups[0].clone());
        assert_eq!(found.as_deref(), expected, "{regex} on {text:?}");
    }
}

#[test]
fn groups_hold_what_they_took_last() {
    let of = |regex, text| groups(regex, text).unwrap().into_iter().skip(1).collect::<Vec<_>>();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of("(?:(a)|(b))+", "ab"), [some("a"), some("b")]);
    assert_eq!(of("(a)?b", "b"), [None]);
    assert_eq!(of(r"(?=(\w+))\w", "abc"), [some("abc")]);
    assert_eq!(of(r"(?!(b))\w", "abc"), [None]);
    assert_eq!(of("(a+?)(a*)", "aaa"), [some("a"), some("aa")]);
}

#[test]
fn what_lines_share_is_learned() {
    let regex = "^Failed (\\S+) for (.*?) from ((?:\\d{1,3}\\.){3}\\d{1,3}) port (\\d+)(?: ssh2)?$";
    let pattern = Pattern::new(regex, Flags::default(), Haystack::Line).unwrap();
    let mut paths = Paths::new(&pattern).unwrap();
    let (mut found, mut costs) = (Found::default(), Vec::new());
    for number in 0..200_usize {
        let (user, host, port) =
            (format!("u{number}"), format!("192.0.2.{}", number % 256), format!("{}", 1000 + number));
        let text = format!("Failed password for {user} from {host} port {port} ssh2\n");
        let told = found.told(&pattern, Some(&mut paths), &text).unwrap();
        assert!(told.matched);
        costs.push(told.cost);
        for (group, expected) in ["password", &user, &host, &port].into_iter().enumerate() {
            assert_eq!(found.text(&text, group + 1), Some(expected), "{text}");
        }
    }
    // Some lines are looked at again first.
    assert!(costs[199] * 5 < costs[40] * 4, "{costs:?}");
}

#[test]
fn what_is_needed_is_found() {
    let needed = |regex| compile(regex).needed().map(|needed| needed.texts.join("|"));
    for (regex, expected) in [
        ("^Failed \\S+ for", Some("Failed ")),
        ("(?:one|two)? three", Some(" three|one three|two three")),
        ("(?:alpha|beta)+ x", Some("alpha|beta")),
        ("a*b*", None),
        ("(?!not)yes|no", Some("no|yes")),
        ("x?abc", Some("abc|xabc")),
        (".", None),
    ] {
        assert_eq!(needed(regex).as_deref(), expected, "{regex}");
    }
}

/// Expressions that both engines can do.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a", "b", "ab", ".", r"\w", r"\d", "[ab]", "[^a]", r"\s", "é", r"\b", "^", "$", "(?i:a)",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        let repeated =
            (inner.clone(), prop::sample::select(vec!["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}"]));
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            inner.prop_map(|part| format!("({part})")),
            repeated.prop_map(|(part, sign)| format!("(?:{part}){sign}")),
        ]
    })
}

/// The same, and such as look round, refer back and hold on.
fn looking_expression() -> impl Strategy<Value = String> {
    let look = prop::sample::select(vec![
        "(?={})",
        "(?!{})",
        "(?<=a)",
        "(?<!b)",
        "(?>{})",
        "({})\\1",
        "(?:(?!ab).)*",
        "(?:(?!ab)[ab:])+?",
        "(?!a:)",
        "{}*+",
        "(?P<n#>[ab:]).?(?P=n#)",
        "(?P<n#>a)?b?(?(n#)a|:)",
    ]);
    (prop::collection::vec((expression(), look), 1..3), prop::sample::select(vec!["", "^", "^a*"]), "[$]?")
        .prop_map(|(parts, begin, end)| {
            let looking = |(number, (part, look)): (usize, (String, &str))| {
                let look = look.replace("{}", &format!("(?:{part})")).replace('#', &number.to_string());
                format!("(?:{part}){look}")
            };
            format!("{begin}{}{end}", parts.into_iter().enumerate().map(looking).collect::<String>())
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::with_cases(2000) })]

    /// The machine agrees with `regex-automata` about what matches first, and needed texts are in it.
    #[test]
    fn both_engines_agree(regex in expression(), text in "[abé1 \n]{0,12}") {
        let Ok(tree) = python::parse(&regex, Flags { multi_line: true, ..Flags::default() }) else { return Ok(()) };
        let pattern = Pattern::of(tree, Haystack::Lines).unwrap();
        prop_assert!(pattern.plain);
        // A repetition of what may be nothing ends sooner in Python.
        let mut nothing = false;
        pattern.tree.root.each(&mut |node| {
            nothing |= matches!(node, python::Node::Repeat { node, .. } if program::may_be_empty(node));
        });
        prop_assume!(!nothing);
        let mut found = Found::default();
        let matched = found.machine.search(&pattern.program, &text, 0, MAX_STEPS).unwrap();
        let linear = linear(&pattern.tree).unwrap();
        let theirs = linear.find(&text).map(|span| (span.start(), span.end()));
        prop_assert_eq!(matched.then(|| found.span(0)).flatten(), theirs);
        if let (true, Some(needed)) = (matched, pattern.needed()) {
            let text = if needed.fold { text.to_lowercase() } else { text.clone() };
            let holds = |needed_text: &String| text.contains(needed_text.as_str());
            prop_assert!(needed.texts.iter().any(holds), "{:?}", needed);
        }
    }

    /// What the machine finds, the sieve lets pass, and nothing behind its reach is looked at.
    #[test]
    fn the_sieve_lets_pass_what_matches(
        regexes in prop::collection::vec(looking_expression(), 1..4),
        text in "[abcA1 :\\x01]{0,12}",
        other in "[abcA1 :]{0,6}",
    ) {
        let patterns: Vec<Pattern> = regexes
            .iter()
            .filter_map(|regex| Pattern::new(regex, Flags::default(), Haystack::Line).ok())
            .collect();
        let mut sieve = Sieve::new(patterns.iter()).unwrap();
        let mut found = Found::default();
        for text in [format!("{text}\n"), format!("{text}{other}\n"), text] {
            let (full, _) = sieve.which(&text, Care::Full).unwrap();
            let (few, read) = sieve.which(&text, Care::Few).unwrap();
            prop_assert_eq!(full & !few, 0, "what is asked with less care is no less");
            if let Some(begin) = text.get(..read) {
                prop_assert_eq!(sieve.which(&format!("{begin}{other}"), Care::Few), Some((few, read)));
            }
            let begin = text.get(..text.len() / 2).unwrap();
            prop_assert_eq!(full & !sieve.alive(begin).unwrap(), 0, "who matches was alive before");
            for (place, pattern) in patterns.iter().enumerate() {
                let Ok(matched) = pattern.search(&text, &mut found) else { continue };
                prop_assert!(!matched || full >> place & 1 == 1, "{} matches {text:?}", regexes[place]);
                let (span, reach) = (found.span(0), found.reach());
                if let Some(seen) = text.get(..reach) {
                    prop_assert_eq!(pattern.search(&format!("{seen}{other}\n"), &mut found), Ok(matched));
                    prop_assert!(!matched || found.span(0) == span, "{:?} behind {}", &other, reach);
                }
            }
        }
    }

    /// All ways at once lead where one after another leads, and nothing behind the reach is looked at.
    #[test]
    fn paths_lead_where_the_machine_goes(
        regexes in prop::collection::vec(looking_expression(), 1..4),
        texts in prop::collection::vec("[abcA1 :é]{0,12}", 1..8),
        other in "[abcA1 :]{0,6}",
    ) {
        for regex in &regexes {
            let Ok(pattern) = Pattern::new(regex, Flags::default(), Haystack::Line) else { continue };
            let Some(mut paths) = Paths::new(&pattern) else { continue };
            let (mut found, mut told) = (Found::default(), Found::default());
            for text in texts.iter().flat_map(|text| [text.clone(), format!("{text}\n")]) {
                let Ok(matched) = pattern.search(&text, &mut found) else { continue };
                let Some(same) = told.told(&pattern, Some(&mut paths), &text) else { continue };
                prop_assert_eq!(same.matched, matched, "{} on {:?}", regex, &text);
                for group in (0..=pattern.tree.groups).filter(|_| matched) {
                    prop_assert_eq!(told.span(group), found.span(group), "{} of {} on {:?}", group, regex, &text);
                }
                if let Some(seen) = text.get(..told.reach()).filter(|seen| !seen.contains('\n')) {
                    let (span, text) = (told.span(0), format!("{seen}{other}\n"));
                    prop_assert_eq!(pattern.search(&text, &mut found), Ok(matched), "{} on {:?}", regex, &text);
                    prop_assert!(!matched || found.span(0) == span, "{} on {:?}", regex, &text);
                }
            }
        }
    }

    /// The same, where texts came often enough that what they share is compared as a whole.
    #[test]
    fn paths_that_have_learned_lead_where_the_machine_goes(
        regex in looking_expression(),
        groups in prop::sample::select(vec!["{}", "(a.*)?({})", "(?:(\\w+)[: ]?)*({})", "(.*?)({})(.*)"]),
        texts in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec!["ab a:b ab1 ", "abab A1:", "bbbbbbbb", "1a:1a:1a:", " ab", "c"]), 1..5),
            3..9,
        ),
    ) {
        let regex = groups.replace("{}", &regex);
        let Ok(pattern) = Pattern::new(&regex, Flags::default(), Haystack::Line) else { return Ok(()) };
        let Some(mut paths) = Paths::new(&pattern) else { return Ok(()) };
        let (mut found, mut told) = (Found::default(), Found::default());
        for text in std::iter::repeat_n(&texts, 15).flatten().map(|parts| format!("{}\n", parts.concat())) {
            let Ok(matched) = pattern.search(&text, &mut found) else { continue };
            let Some(same) = told.told(&pattern, Some(&mut paths), &text) else { continue };
            prop_assert_eq!(same.matched, matched, "{} on {:?}", &regex, &text);
            for group in (0..=pattern.tree.groups).filter(|_| matched) {
                prop_assert_eq!(told.span(group), found.span(group), "{} of {} on {:?}", group, &regex, &text);
            }
        }
    }

    /// What is remembered of a shape is what a search finds.
    #[test]
    fn shapes_tell_what_a_search_finds(
        regex in looking_expression(),
        texts in prop::collection::vec("[abcdA1é :]{0,8}", 1..12),
    ) {
        let Ok(pattern) = Pattern::new(&format!("^{regex}"), Flags::default(), Haystack::Line) else { return Ok(()) };
        let Some(mut shapes) = Shapes::of(&pattern) else { return Ok(()) };
        let (mut found, mut recalled) = (Found::default(), Found::default());
        for text in texts.iter().flat_map(|text| [text.clone(), format!("{text}\n"), format!("{text}b:\n")]) {
            let Ok(matched) = pattern.search(&text, &mut found) else { continue };
            if let Some(known) = shapes.recall(&text, &mut recalled) {
                prop_assert_eq!(known, matched, "{:?}", &text);
                for group in (0..=pattern.tree.groups).filter(|_| matched) {
                    prop_assert_eq!(recalled.span(group), found.span(group), "group {} of {:?}", group, &text);
                }
            } else {
                shapes.remember(&text, matched, &found);
            }
        }
    }

    /// Each host that is found stands where one may begin.
    #[test]
    fn hosts_stand_behind_what_stands_before(
        before in looking_expression(),
        text in "[abcA1 :]{0,6}",
        literal in "[ab:]{1,3}",
        run in prop::sample::select(vec!["", "[^:]*:", "[ab]+1", "c?", "(?:a|b)", "[ab]"]),
    ) {
        let regex = format!("{before}{literal}{run}(?:\\[?(?P<host>[0-9]+)|(?P<name>x))");
        let Ok(pattern) = Pattern::new(&regex, Flags::default(), Haystack::Line) else { return Ok(()) };
        let groups = [pattern.group("host").unwrap(), pattern.group("name").unwrap()];
        let Some(stands) = pattern.before(&groups, '\u{1}') else { return Ok(()) };
        let mut found = Found::default();
        for host in ["1", "[1", "x", "b:1", "ab11x"] {
            let text = format!("{text}{literal}{host}{text}{literal}a1{host}\n");
            if pattern.search(&text, &mut found) == Ok(true) {
                let at = groups.iter().find_map(|group| found.span(*group)).unwrap().0;
                // A letter that may be left out belongs to the host.
                let mut places = stands.places(&text);
                prop_assert!(places.any(|place| (at - 1..=at).contains(&place)), "{} in {:?} at {}", &regex, &text, at);
            }
        }
    }

    /// What comes in is an expression or an error.
    #[test]
    fn anything_is_read(regex in r"[()\[\]{}?*+|\\a-dPxb<>=!:^$.,0-9 -]{0,20}", text in "[a-d0 ]{0,10}") {
        if let Ok(pattern) = Pattern::new(&regex, Flags::default(), Haystack::Line) {
            let _ = pattern.search(&text, &mut Found::default());
        }
    }

    /// Letters beyond ASCII end what it knows, and never mean that nobody can match.
    #[test]
    fn the_sieve_lets_pass_what_other_letters_stand_in(
        regexes in prop::collection::vec(looking_expression(), 1..4),
        texts in prop::collection::vec("[abcA1 :éſ]{0,16}", 1..12),
    ) {
        let one = |regex: &String| Pattern::new(regex, Flags::default(), Haystack::Line).ok();
        let patterns: Vec<Pattern> = regexes.iter().filter_map(one).collect();
        let mut sieve = Sieve::new(patterns.iter()).expect("a sieve");
        let mut found = Found::default();
        let forms = |text: &String| [format!("{text}\n"), format!("abcabcab{text}\n"), format!("abcabcab{text}é\n")];
        for text in texts.iter().flat_map(forms) {
            for care in [Care::Full, Care::Few, Care::Full] {
                let Some((which, _)) = sieve.which(&text, care) else { continue };
                for (place, pattern) in patterns.iter().enumerate() {
                    let Ok(matched) = pattern.search(&text, &mut found) else { continue };
                    prop_assert!(!matched || which >> place & 1 == 1, "{} matches {text:?}", regexes[place]);
                }
            }
        }
    }
}
