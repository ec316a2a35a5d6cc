//! What files say, one over the other.

mod memory;

use filters::{Filter, Kind, UseDns};
use memory::Memory;

fn only(text: &str) -> Memory {
    Memory::new(&[("f/a.conf", text)])
}

fn regexes(filter: &Filter) -> Vec<&str> {
    filter.fail_regexes().iter().map(String::as_str).collect()
}

#[test]
fn includes_lie_below_and_above() {
    let memory = Memory::new(&[
        (
            "f/a.conf",
            "[INCLUDES]\nbefore = common.conf\nafter = after.conf\n[Definition]\n_daemon = ad\nfailregex = ^%(start)s%(end)s <HOST>$\nend = mine\n",
        ),
        ("f/common.conf", "[DEFAULT]\n_daemon = any\nstart = %(_daemon)s:\nend = theirs\n"),
        ("f/after.conf", "[Definition]\nend = after\n"),
    ]);
    assert_eq!(regexes(&memory.load("a").unwrap()), ["^ad:after <HOST>$"]);
}

#[test]
fn a_local_file_overrides_and_knows_what_it_overrides() {
    let memory = Memory::new(&[
        ("f/a.conf", "[Definition]\nfailregex = ^one <HOST>$\nmaxlines = 2\n"),
        ("f/a.local", "[Definition]\nfailregex = %(known/failregex)s\n            ^two <HOST>$\n"),
        ("f/a.d/x.local", "[Definition]\nignoreregex = three\n"),
    ]);
    let filter = memory.load("a").unwrap();
    assert_eq!(regexes(&filter), ["^one <HOST>$", "^two <HOST>$"]);
    assert_eq!((filter.max_lines(), filter.ignore_regexes()), (2, &["three".to_owned()][..]));
}

#[test]
fn the_first_folder_that_has_a_filter_counts() {
    let memory = Memory::new(&[
        ("g/a.conf", "[Definition]\nfailregex = ^g <HOST>\n"),
        ("g/b.conf", "[Definition]\nfailregex = ^g <HOST>\n"),
        ("f/b.conf", "[Definition]\nfailregex = ^f <HOST>\n"),
    ]);
    assert_eq!(regexes(&memory.load("a").unwrap()), ["^g <HOST>"]);
    assert_eq!(regexes(&memory.load("b").unwrap()), ["^f <HOST>"]);
    assert_eq!(regexes(&memory.load("g/b.conf").unwrap()), ["^g <HOST>"]);
}

#[test]
fn options_choose_among_modes() {
    let memory = only(
        "[Definition]\nfailregex = <mdre-<mode>>\n            ^always <HOST>\nmdre-normal =\nmdre-more = ^more <HOST>\n            ^much <HOST>\nmode = normal\n",
    );
    assert_eq!(regexes(&memory.load("a").unwrap()), ["^always <HOST>"]);
    assert_eq!(
        regexes(&memory.load("a[mode=more]").unwrap()),
        ["^more <HOST>", "^much <HOST>", "^always <HOST>"]
    );
}

#[test]
fn init_is_what_options_override() {
    let memory = only("[Definition]\nfailregex = ^<word> <HOST>\n[Init]\nword = here\n");
    assert_eq!(regexes(&memory.load("a").unwrap()), ["^here <HOST>"]);
    assert_eq!(regexes(&memory.load("a[word=\"<known/word>, too\"]").unwrap()), ["^here, too <HOST>"]);
}

#[test]
fn the_prefix_depends_on_where_lines_come_from() {
    let memory = only(
        "[DEFAULT]\nlogtype = file\n[Definition]\nfailregex = ^<lt_<logtype>/start>%(lt_x/end)s <HOST>\njournalmatch = _COMM=a + _COMM=b\n               _UID=0\n[lt_file]\nstart = f\n[lt_journal]\nstart = j\n[lt_x]\nend = 100%%\n",
    );
    assert_eq!(regexes(&memory.load("a").unwrap()), ["^f100% <HOST>"]);
    let filter = memory.load_as("a", Kind::Journal).unwrap();
    assert_eq!(regexes(&filter), ["^j100% <HOST>"]);
    assert_eq!(filter.journal_matches(), ["_COMM=a + _COMM=b", "_UID=0"]);
    assert_eq!(regexes(&memory.load_as("a[logtype=file]", Kind::Journal).unwrap()), ["^f100% <HOST>"]);
}

#[test]
fn names_may_be_unwanted() {
    let memory = only("[Definition]\nfailregex = ^<HOST>$\nusedns = no\n");
    assert_eq!(memory.load("a").unwrap().use_dns(), UseDns::No);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, said) in [
        ("[Definition]\n\nfailregex = ^(a <HOST>", "f/a.conf:3: a `)` is missing"),
        ("[Definition]\nfailregex = ^a <HOST>\n  ^b*+* <HOST>", "f/a.conf:2: a repetition is repeated"),
        ("[Definition]\nfailregex = ^a", "f/a.conf:2: the expression finds no host"),
        ("[Definition]\nfailregex =", "f/a.conf:2: `failregex` says nothing"),
        ("[Definition]\nfailregex = <HOST> <HOST>", "f/a.conf:2: two groups are named `ip4`"),
        ("[Definition]\nfailregex = ^%(nothing)s <HOST>", "f/a.conf:2: `%(nothing)s` is set nowhere"),
        (
            "[Definition]\nfailregex = ^50% <HOST>",
            "f/a.conf:2: `%` must be followed by `%` or `(name)s`, not by ` <HOST>`",
        ),
        (
            "[Definition]\na = %(b)s\nb = %(a)s\nfailregex = %(a)s",
            "f/a.conf:4: `%(…)s` lies more than 10 deep, perhaps within itself",
        ),
        (
            "[Definition]\nfailregex = <a> <HOST>\na = <b>\nb = <a>",
            "f/a.conf:2: `<a>` in `failregex` leads back to itself",
        ),
        (
            "[Definition]\nfailregex = ^<HOST>\nmaxlines = 5000",
            "f/a.conf:3: `maxlines` must be a number from 1 to 1000, not `5000`",
        ),
        ("[Definition]\nfailregex = ^<HOST>\ndatepattern = %%Q", "f/a.conf:3: `%Q` is no part of a date"),
        (
            "[Definition]\nfailregex = (?<=a+)<HOST>",
            "f/a.conf:2: a look back `(?<…)` has no fixed width, which Python refuses, too",
        ),
        ("[Definition]\nfailregex = ^(?:(?:ab|c){1000}){1000}<HOST>", "f/a.conf:2: is too large"),
        ("[Definition]\nfailregex = ^\\y<HOST>", "f/a.conf:2: Python does not know `\\y`, and neither do we"),
        ("[Other]\n", "the filter has no section `[Definition]`"),
    ] {
        assert_eq!(only(text).load("a").unwrap_err().to_string(), said, "{text}");
    }
    let error = only("").load("zzz").unwrap_err();
    assert_eq!(error.to_string(), "there is no filter `zzz` in `f` or `g`");
    let error = only("[Definition]\nfailregex = ^a <HOST>\n  ^b(<HOST>").load("a").unwrap_err();
    assert_eq!(error.regex.unwrap(), "^b(<HOST>", "of several expressions the wrong one is shown");
}

#[test]
fn circles_of_includes_end() {
    let memory = Memory::new(&[
        ("f/a.conf", "[INCLUDES]\nbefore = b.conf\n[Definition]\nfailregex = ^a <HOST>\n"),
        ("f/b.conf", "[INCLUDES]\nbefore = a.conf\nafter = b.conf\n[Definition]\nfailregex = ^b <HOST>\n"),
    ]);
    assert_eq!(regexes(&memory.load("a").unwrap()), ["^a <HOST>"]);
}
