use super::*;

fn parse(text: &str) -> List {
    List::parse(text.as_bytes(), None, 100)
}

fn entries(list: &List) -> Vec<String> {
    list.entries.iter().map(|entry| format!("{}/{}", entry.address, entry.prefix)).collect()
}

#[test]
fn plain_lists_are_read_as_they_are_written() {
    let list = parse(
        "\u{feff}# a comment\r\n; another\r\n\r\n203.0.113.9\r\n 198.51.100.7/24 ; SBL1\n203.0.113.9 # again\n\
         2001:db8::1\n::ffff:192.0.2.1\n::ffff:192.0.2.0/120\n",
    );
    assert_eq!(list.format, Format::Plain);
    assert_eq!(
        entries(&list),
        ["192.0.2.0/24", "192.0.2.1/32", "198.51.100.0/24", "203.0.113.9/32", "2001:db8::1/128"]
    );
    assert_eq!((list.refused(), list.beyond), (0, 0));
}

#[test]
fn what_ipset_saves_is_read() {
    let list = parse(
        "create drop hash:net family inet hashsize 1024 maxelem 65536 timeout 600\nadd drop 203.0.113.0/24 timeout 12\n\
         add drop 198.51.100.9\nadd drop 192.0.2.9 nomatch\nadd drop 192.0.2.1,udp:5060\nadd drop\n",
    );
    assert_eq!(list.format, Format::Ipset);
    assert_eq!(entries(&list), ["198.51.100.9/32", "203.0.113.0/24"]);
    assert_eq!(list.samples.iter().map(|sample| sample.line).collect::<Vec<_>>(), [4, 5, 6]);
}

#[test]
fn apiban_is_read_page_by_page() {
    let list = parse(
        "{\"ipaddress\":[\"203.0.113.9\",\"2001:db8::1\",\"no address\"],\"more\":[1,{}],\"ID\":\"1700\"}",
    );
    assert_eq!(list.format, Format::Apiban);
    assert_eq!(entries(&list), ["203.0.113.9/32", "2001:db8::1/128"]);
    assert_eq!(list.next.as_deref(), Some("1700"));
    assert_eq!(list.samples, [Sample { line: 3, text: "no address".to_owned() }]);
    let end = parse("{\"ipaddress\":[],\"ID\":\"none\"}");
    assert_eq!((end.next, end.unread), (None, 0));
    // The place goes into a URL.
    assert_eq!(parse("{\"ID\":\"../../x\"}").next, None);
    let broken = parse("{\"ipaddress\":[\"203.0.113.9\",");
    assert_eq!((broken.entries.len(), broken.unread, broken.next), (1, 1, None));
}

#[test]
fn nobodys_networks_and_wide_ones_are_not_taken() {
    let list = parse("0.0.0.0/0\n::/0\n128.0.0.0/1\n2000::/3\n5.0.0.0/7\n");
    assert_eq!((list.entries.len(), list.wide, list.reserved), (0, 5, 0));
    let list = parse(
        "0.0.0.0\n10.1.2.3\n100.64.0.1\n127.0.0.1\n169.254.1.1\n172.16.0.0/12\n172.0.0.0/8\n192.168.1.0/24\n224.0.0.251\n\
         255.255.255.255\n::1\nfe80::1\nfd00::/16\nff02::1\n::\n64:ff9b::203.0.113.9\n::ffff:127.0.0.1\n",
    );
    assert_eq!((list.entries.len(), list.wide, list.reserved, list.unread), (0, 0, 17, 0));
    assert_eq!(entries(&parse("5.0.0.0/8\n2a00::/16\n172.32.0.1\n100.128.0.0/9\n")).len(), 4);
}

#[test]
fn what_is_no_entry_is_told_harmlessly() {
    let long = "1".repeat(5000);
    let list = parse(&format!(
        "<html>\u{1b}[2J\u{202e}\n1.2.3\n203.0.113.9/33\n203.0.113.9/+8\n203.0.113.9 203.0.113.8\n{long}\n"
    ));
    assert_eq!((list.entries.len(), list.unread, list.samples.len()), (0, 6, MAX_SAMPLES));
    assert_eq!(list.samples[0].text, "<html>\u{fffd}[2J\u{fffd}");
    assert_eq!(parse(&long).samples[0].text.len(), MAX_SAMPLE);
    // A mangled entry in the middle is none, not half of one.
    assert_eq!(List::parse(b"203.0.113.9\xff\n", None, 9).unread, 1);
}

#[test]
fn more_than_is_wanted_is_counted_and_not_taken() {
    let text: String = (0..10).map(|last| format!("203.0.113.{last}\n")).collect();
    let list = List::parse(format!("{text}{text}").as_bytes(), Some(Format::Plain), 4);
    assert_eq!((list.entries.len(), list.beyond), (4, 12));
    let mut huge = b"203.0.113.9\n".repeat(MAX_BYTES / 12 + 1);
    huge.extend(b"203.0.113.10\n");
    let list = List::parse(&huge, None, 10);
    assert_eq!((list.entries.len(), list.cut), (1, true));
}
