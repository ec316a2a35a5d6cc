use super::Flags;
use super::ast::{Class, Item};
use super::parse::{Parser, kind};
use crate::Error;

/// The rest of `[…]`.
pub(super) fn class(parser: &mut Parser) -> Result<Class, Error> {
    let negated = parser.eat("^");
    let mut items = Vec::new();
    loop {
        if !items.is_empty() && parser.eat("]") {
            break;
        }
        let first = item(parser)?;
        let next_is_range = parser.peek() == Some('-');
        if !next_is_range {
            items.push(first);
            continue;
        }
        parser.next();
        if parser.eat("]") {
            items.push(first);
            items.push(Item::Letter('-'));
            break;
        }
        match (first, item(parser)?) {
            (Item::Letter(low), Item::Letter(high)) if low <= high => items.push(Item::Range(low, high)),
            _ => return Err(Error::new("a range of letters has no beginning or no end, or is turned round")),
        }
    }
    Ok(Class { negated, items, fold: parser.flags.ignore_case })
}

fn item(parser: &mut Parser) -> Result<Item, Error> {
    let letter = parser.next().ok_or_else(|| Error::new("a `[` is not closed"))?;
    if letter != '\\' {
        return Ok(Item::Letter(letter));
    }
    let ascii = parser.flags.ascii;
    match parser.peek().and_then(kind) {
        Some((kind, negated)) => {
            parser.next();
            Ok(Item::Kind { kind, negated, ascii })
        }
        None if parser.eat("b") => Ok(Item::Letter('\u{8}')),
        None => escaped_letter(parser).map(Item::Letter),
    }
}

/// What follows a `\` and stands for one letter.
pub(super) fn escaped_letter(parser: &mut Parser) -> Result<char, Error> {
    let letter = parser.next().ok_or_else(|| Error::new("the expression ends with `\\`"))?;
    Ok(match letter {
        'a' => '\u{7}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => hex(parser, 2)?,
        'u' => hex(parser, 4)?,
        'U' => hex(parser, 8)?,
        '0'..='7' => octal(parser, letter)?,
        _ if letter.is_ascii_alphanumeric() => {
            return Err(Error::new(format!("Python does not know `\\{letter}`, and neither do we")));
        }
        _ => letter,
    })
}

fn hex(parser: &mut Parser, digits: u32) -> Result<char, Error> {
    let mut code = 0;
    for _ in 0..digits {
        let digit = parser.next().and_then(|letter| letter.to_digit(16));
        let digit = digit
            .ok_or_else(|| Error::new(format!("a number of {digits} hexadecimal digits is too short")))?;
        code = (code << 4) | digit;
    }
    char::from_u32(code).ok_or_else(|| Error::new(format!("there is no letter {code:#x}")))
}

fn octal(parser: &mut Parser, first: char) -> Result<char, Error> {
    let mut code = first.to_digit(8).unwrap_or(0);
    for _ in 0..2 {
        let Some(digit) = parser.peek().and_then(|letter| letter.to_digit(8)) else { break };
        parser.next();
        code = code * 8 + digit;
    }
    char::from_u32(code).filter(|_| code <= 0o377).ok_or_else(|| Error::new("an octal number is above 377"))
}

pub(super) fn flag(flags: &mut Flags, letter: char, on: bool) -> Result<(), Error> {
    match letter {
        'i' => flags.ignore_case = on,
        'm' => flags.multi_line = on,
        's' => flags.dot_all = on,
        'x' => flags.verbose = on,
        'a' => flags.ascii = on,
        // Unicode is what is meant anyway.
        'u' => {}
        _ => return Err(Error::new(format!("`(?{letter}` is not supported"))),
    }
    Ok(())
}

/// Takes flags for the whole expression out of it. fail2ban makes `((?i)…)` a group of its own with these flags; elsewhere they
/// count for the whole.
pub(super) fn global_flags(text: &str, mut flags: Flags) -> Result<(String, Flags), Error> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if letter == '\\' {
            let two = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
            let (escaped, after) = rest.split_at_checked(two).unwrap_or((rest, ""));
            done.push_str(escaped);
            rest = after;
        } else if let Some((letters, after)) = local(rest) {
            done.push_str("(?");
            done.push_str(letters);
            done.push(':');
            rest = after;
        } else if let Some((letters, after)) = global(rest) {
            for letter in letters.chars() {
                flag(&mut flags, letter, true)?;
            }
            rest = after;
        } else {
            done.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
    }
    Ok((done, flags))
}

/// `((?i)` or `(?:(?i)`
fn local(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("(?:").or_else(|| text.strip_prefix('('))?;
    global(inner)
}

/// `(?i)`
fn global(text: &str) -> Option<(&str, &str)> {
    let (letters, after) = text.strip_prefix("(?")?.split_once(')')?;
    (!letters.is_empty() && letters.chars().all(|letter| letter.is_ascii_lowercase()))
        .then_some((letters, after))
}
