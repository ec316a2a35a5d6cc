//! Lists with an entry a line.

use crate::{MAX_LINE, Taker};

/// The lines with something in them but blanks and comments, with their numbers.
pub(crate) fn meaningful(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let lines = bytes.split(|byte| *byte == b'\n').zip(1_u64..);
    lines
        .map(|(line, number)| (number, line.trim_ascii()))
        .filter(|(_, line)| !matches!(line.first(), None | Some(b'#' | b';')))
}

/// An address or network a line; what is behind `#` or `;` is a comment.
pub(crate) fn plain(bytes: &[u8], taker: &mut Taker) {
    for (number, line) in meaningful(bytes) {
        if line.len() > MAX_LINE {
            taker.wrong(number, line);
            continue;
        }
        let entry = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default();
        taker.take(number, entry.trim_ascii());
    }
}

/// `add NAME ENTRY`, and what else `ipset save` writes. How long an entry lasts there does not count: the policy says how long
/// it does here.
pub(crate) fn ipset(bytes: &[u8], taker: &mut Taker) {
    for (number, line) in meaningful(bytes) {
        if line.len() > MAX_LINE {
            taker.wrong(number, line);
            continue;
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match (words.next(), words.next(), words.next()) {
            (Some(b"create" | b"flush" | b"destroy" | b"swap" | b"rename" | b"COMMIT"), _, _) => {}
            // An exception from a wider network, which cannot be made here.
            (Some(b"add"), Some(_), Some(_)) if words.any(|word| word == b"nomatch") => {
                taker.wrong(number, line)
            }
            (Some(b"add"), Some(_), Some(entry)) => taker.take(number, entry),
            _ => taker.wrong(number, line),
        }
    }
}
