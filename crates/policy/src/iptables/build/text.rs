//! `-m string`.

use crate::iptables::rule::{Context, Instance};
use crate::iptables::values::{self, BadValue, bad, bad_with_help};
use crate::ruleset::{Text, TextAlgorithm};

/// Longest pattern in bytes (`XT_STRING_MAX_PATTERN_SIZE`).
const MAX_PATTERN: usize = 128;

pub(super) fn text(instance: &Instance, context: &mut Context<'_>) -> Option<Text> {
    let algorithm = match instance.option("--algo") {
        None => {
            context.error(&instance.span, "`-m string` without `--algo`", "add `--algo bm` (or `kmp`)");
            None
        }
        Some(_) => instance.value("--algo", context, algorithm),
    };
    let pattern = match (instance.option("--string"), instance.option("--hex-string")) {
        (Some(_), None) => instance.value("--string", context, |text| checked(text.as_bytes().to_vec())),
        (None, Some(_)) => instance.value("--hex-string", context, |text| checked(hex(text)?)),
        (None, None) => {
            context.plain_error(&instance.span, "`-m string` without `--string` or `--hex-string`");
            None
        }
        (Some(_), Some(hex)) => {
            context.plain_error(&hex.span, "`--string` and `--hex-string` in one `-m string`");
            None
        }
    };
    let mut offset = |name, absent| match instance.option(name) {
        None => Some(absent),
        Some(_) => instance.value(name, context, |text| values::number_in(text, 0, u16::MAX)),
    };
    let (from, to) = (offset("--from", 0), offset("--to", u16::MAX));
    let (from, to) = (from?, to?);
    if from > to {
        context.error(
            &instance.span,
            format!("`--from {from}` is beyond `--to {to}`"),
            "the kernel refuses this rule; swap the two",
        );
        return None;
    }
    let negated = instance.given.iter().any(|given| given.negated);
    Some(Text { negated, algorithm: algorithm?, pattern: pattern?, from, to, icase: instance.has("--icase") })
}

fn algorithm(name: &str) -> Result<TextAlgorithm, BadValue> {
    match name {
        "bm" => Ok(TextAlgorithm::BoyerMoore),
        "kmp" => Ok(TextAlgorithm::KnuthMorrisPratt),
        "fsm" => bad_with_help(
            "`--algo fsm` takes no plain text",
            "the kernel refuses this rule; write `--algo bm` or `--algo kmp`",
        ),
        _ => bad_with_help(format!("unknown search algorithm `{name}`"), "write `bm` or `kmp`"),
    }
}

fn checked(pattern: Vec<u8>) -> Result<Vec<u8>, BadValue> {
    match pattern.len() {
        0 => bad("the text to search for is empty"),
        1..=MAX_PATTERN => Ok(pattern),
        long => bad(format!("the text to search for has {long} bytes, more than {MAX_PATTERN}")),
    }
}

/// `--hex-string`: bytes in hexadecimal between bars, with at most one blank between them; outside the bars plain text,
/// where a backslash takes the next character as it is.
fn hex(text: &str) -> Result<Vec<u8>, BadValue> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'\\' => {
                let Some((escaped, after)) = after.split_first() else {
                    return bad("a backslash at the end, where nothing follows");
                };
                out.push(*escaped);
                rest = after;
            }
            // iptables takes a bar at the very end for nothing.
            b'|' if after.is_empty() => rest = after,
            b'|' => rest = hex_block(after, &mut out)?,
            byte => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    Ok(out)
}

/// Reads up to the closing bar and returns what follows it.
fn hex_block<'a>(block: &'a [u8], out: &mut Vec<u8>) -> Result<&'a [u8], BadValue> {
    let Some(end) = block.iter().position(|byte| *byte == b'|') else {
        return bad_with_help("the hexadecimal bytes have no closing `|`", "write `|0d 0a|`");
    };
    let (inside, after) = block.split_at(end);
    let inside = inside.trim_ascii_start();
    let mut rest = inside;
    while let Some((pair, after)) = rest.split_at_checked(2) {
        let digits =
            std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(Ok(byte)) = digits.map(|digits| u8::from_str_radix(digits, 16)) else {
            return not_hex(inside);
        };
        out.push(byte);
        rest = after.strip_prefix(b" ").unwrap_or(after);
    }
    if !rest.is_empty() || inside.is_empty() {
        return not_hex(inside);
    }
    if out.len() >= MAX_PATTERN {
        let message = format!("{} bytes with a hexadecimal block at the end", out.len());
        return bad_with_help(
            message,
            format!("iptables takes {} there; leave out the last byte", MAX_PATTERN - 1),
        );
    }
    let after = after.get(1..).unwrap_or_default();
    // iptables takes the byte behind the closing bar as it is, even a bar or a backslash.
    let Some((next, after)) = after.split_first() else { return Ok(after) };
    out.push(*next);
    Ok(after)
}

fn not_hex<T>(inside: &[u8]) -> Result<T, BadValue> {
    let shown = String::from_utf8_lossy(inside);
    bad_with_help(
        format!("`{shown}` is not a row of hexadecimal bytes"),
        "write two digits for each byte, with at most one blank between: `|0d 0a|`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_strings_read_as_iptables_reads_them() {
        let good: [(&str, &[u8]); 11] = [
            ("a|41||", b"aA|"),
            (r"|41|\x", b"A\\x"),
            ("|41 42|c|4344|", b"ABcCD"),
            ("abc", b"abc"),
            ("abc|", b"abc"),
            ("|41 |", b"A"),
            ("| 41|", b"A"),
            (r"a\|b", b"a|b"),
            (r"|61|b\\", b"ab\\"),
            ("|00ff|", &[0, 255]),
            ("|0D0a0d0A|", b"\r\n\r\n"),
        ];
        for (text, bytes) in good {
            assert_eq!(hex(text).as_deref(), Ok(bytes), "{text}");
        }
        for wrong in ["|4|", "|4142", "|zz|", "||", "a|41  42|b", r"a\", "|+1|", "|4 1|", r"|4\1|"] {
            assert!(hex(wrong).and_then(checked).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_has_1_to_128_bytes() {
        assert!(checked(Vec::new()).is_err() && checked(vec![b'a'; 129]).is_err());
        assert!(checked(vec![b'a'; 128]).is_ok());
    }
}
