use super::*;
use crate::signature::Matcher;

fn text(header: &str, text: &str) -> HeaderText {
    HeaderText::new(header, HeaderPattern::Text(text.to_owned()), false).unwrap()
}

fn regex(header: &str, expression: &str) -> HeaderText {
    HeaderText::new(header, HeaderPattern::Regex(expression.to_owned()), false).unwrap()
}

fn mistake(expression: &str) -> PatternMistake {
    HeaderText::new("User-Agent", HeaderPattern::Regex(expression.to_owned()), false).unwrap_err()
}

/// Whether the signature is in a message with these header lines.
fn finds(signature: &HeaderText, headers: &str) -> bool {
    let message = format!("OPTIONS sip:100@192.0.2.1 SIP/2.0\r\n{headers}\r\nContent-Length: 0\r\n\r\nbody");
    Matcher::new(signature).unwrap().is_in(message.as_bytes())
}

#[test]
fn only_the_value_of_the_named_header_counts() {
    let scanner = text("User-Agent", "scanner");
    assert!(finds(&scanner, "User-Agent: friendly-scanner"));
    assert!(finds(&scanner, "Via: x\r\nuser-agent:scanner/1.0"));
    assert!(finds(&scanner, "USER-AGENT \t:\t a scanner"));
    assert!(!finds(&scanner, "Subject: a scanner"));
    assert!(!finds(&scanner, "User-Agent: phone\r\nSubject: scanner"));
    assert!(!finds(&scanner, "X-User-Agent: scanner"));
    assert!(!finds(&scanner, "User-Agents: scanner"));
    assert!(!finds(&scanner, "scanner: User-Agent:"));
    assert!(!finds(&scanner, "User-Agent: Scanner"));
    assert!(!finds(&scanner, "User-Agent: phone\r\n\r\nscanner"));
}

#[test]
fn a_name_that_ends_in_the_text_is_no_value() {
    assert!(!finds(&text("Agent", "Agent"), "Agent: x"));
    assert!(finds(&text("Agent", "Agent"), "Agent: Agent"));
}

#[test]
fn lines_may_end_in_a_line_feed_alone() {
    let scanner = text("User-Agent", "scanner");
    let matcher = Matcher::new(&scanner).unwrap();
    assert!(matcher.is_in(b"OPTIONS sip:a SIP/2.0\nUser-Agent: scanner\n\n"));
    assert!(!matcher.is_in(b"OPTIONS sip:a SIP/2.0\nUser-Agent: a\nSubject: scanner\n\n"));
}

#[test]
fn folded_lines_belong_to_the_value() {
    let scanner = text("User-Agent", "scanner");
    assert!(finds(&scanner, "User-Agent: friendly\r\n scanner"));
    assert!(finds(&scanner, "User-Agent:\r\n\tfriendly\r\n \t scanner"));
    assert!(!finds(&scanner, "User-Agent: friendly\r\nX: y\r\n scanner"));
    assert!(finds(&regex("User-Agent", "^scanner$"), "User-Agent:\r\n scanner\r\n \t\r\nX: y"));
}

#[test]
fn short_names_are_long_names() {
    for (header, line) in [
        ("From", "f: \"sipvicious\" <sip:100@1.1.1.1>"),
        ("f", "From: \"sipvicious\" <sip:100@1.1.1.1>"),
        ("from", "F : \"sipvicious\""),
        ("Subject", "s: sipvicious"),
        ("Call-ID", "i:sipvicious"),
    ] {
        assert!(finds(&text(header, "sipvicious"), line), "{header}: {line}");
    }
    assert!(!finds(&text("From", "sipvicious"), "t: sipvicious"));
    assert_eq!(text("F", "x"), text("from", "x"));
}

#[test]
fn case_is_ignored_on_demand() {
    let scanner = HeaderText::new("User-Agent", HeaderPattern::Text("Scanner[1]".to_owned()), true).unwrap();
    assert!(finds(&scanner, "User-Agent: sCANNER[1]"));
    assert!(!finds(&scanner, "User-Agent: scanner1"));
    let regex = HeaderText::new("User-Agent", HeaderPattern::Regex("^sip-?scan".to_owned()), true).unwrap();
    assert!(finds(&regex, "User-Agent: SIPScan 2"));
}

#[test]
fn anchors_are_the_ends_of_the_trimmed_value() {
    let exact = regex("User-Agent", "^smap$");
    assert!(finds(&exact, "User-Agent: smap"));
    assert!(finds(&exact, "User-Agent:smap \t "));
    assert!(!finds(&exact, "User-Agent: smap 2"));
    assert!(!finds(&exact, "User-Agent: a smap"));
    assert!(!finds(&exact, "User-Agent: smap\r\n 2"));
    let either = regex("User-Agent", "^(?:smap|pbx$)|gulp$");
    assert!(finds(&either, "User-Agent: smap 2"));
    assert!(finds(&either, "User-Agent: pbx"));
    assert!(finds(&either, "User-Agent: big gulp"));
    assert!(!finds(&either, "User-Agent: pbx 3"));
    assert!(!finds(&either, "User-Agent: gulps"));
}

#[test]
fn classes_never_cross_a_line_end() {
    for expression in ["a.*b", "a[^x]*b", "a\\s*b", "a(?s:.)*b", "a[^x]+?b"] {
        assert!(!finds(&regex("User-Agent", expression), "User-Agent: a\r\nX: b"), "{expression}");
    }
    assert!(finds(&regex("User-Agent", "a.*b"), "User-Agent: xa--b"));
    assert!(finds(&regex("User-Agent", "a\\x00b"), "User-Agent: a\0b"));
}

#[test]
fn the_tag_of_sipvicious_is_an_expression() {
    let tag = regex("From", "tag=(?:[2-7][0-9a-f])+01(?:3[0-9]){7,10}$");
    let line = "From: \"x\"<sip:100@1.1.1.1>;tag=6362303037313035313363340132333738333139323131";
    assert!(finds(&tag, line));
    assert!(!finds(&tag, "From: \"x\"<sip:100@1.1.1.1>;tag=as58f4201b"));
}

#[test]
fn mistakes_have_names() {
    assert_eq!(mistake("a*"), PatternMistake::MatchesEmpty);
    assert_eq!(mistake("^$"), PatternMistake::MatchesEmpty);
    assert_eq!(mistake("a|"), PatternMistake::MatchesEmpty);
    assert_eq!(mistake("[^\\x00-\\xff]"), PatternMistake::NeverMatches);
    assert_eq!(mistake("a\\nb"), PatternMistake::LineEnd);
    assert_eq!(mistake("[\\r\\n]"), PatternMistake::LineEnd);
    assert_eq!(mistake("a^b"), PatternMistake::AnchorInside);
    assert_eq!(mistake("(^|x)b"), PatternMistake::AnchorInside);
    assert_eq!(mistake("\\bsip"), PatternMistake::LookAround);
    assert_eq!(mistake("(?m)^a"), PatternMistake::LookAround);
    assert_eq!(mistake(&"a".repeat(129)), PatternMistake::TooLong(129));
    assert!(matches!(mistake("a(b"), PatternMistake::Syntax { .. }));
    assert!(matches!(mistake("a\\p{Greek}"), PatternMistake::Syntax { .. }));
    let header = |name: &str| HeaderText::new(name, HeaderPattern::Text("x".to_owned()), false).unwrap_err();
    assert_eq!(header("User-Agent:"), PatternMistake::HeaderName("User-Agent:".to_owned()));
    assert_eq!(header(""), PatternMistake::HeaderName(String::new()));
    let empty = HeaderText::new("To", HeaderPattern::Text(String::new()), false).unwrap_err();
    assert_eq!(empty, PatternMistake::Empty);
}
