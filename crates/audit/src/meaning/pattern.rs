//! Patterns of the dialplan, and whether somebody can dial any country through one.

/// Countries from three continents, two of them dear: whoever gets to all of these is not held to a list.
const COUNTRIES: [&str; 3] = ["2526", "4479", "8821"];
/// What stands before a country's number: nearly everywhere, in North America, on mobile phones.
const INTERNATIONAL: [&str; 3] = ["00", "011", "+"];
/// Lengths of numbers with the country's, from the shortest that is worth a fraud.
const LENGTHS: std::ops::RangeInclusive<usize> = 10..=14;
/// Longer patterns are no numbers.
const MAX_ELEMENTS: usize = 80;

#[derive(Clone, Debug, Eq, PartialEq)]
enum Element {
    /// One of these.
    Of(Vec<char>),
    /// `.`: one or more of any; `!`: also none.
    Rest { may_be_empty: bool },
}

/// Whether dialling the pattern, without its first `strip` letters and with `prefix` before it, reaches any country.
pub(super) fn is_international(pattern: &str, strip: usize, prefix: &str) -> bool {
    let elements = elements(pattern);
    let rest = match elements.get(strip..) {
        Some([]) | None => match elements.last() {
            Some(rest @ Element::Rest { .. }) => std::slice::from_ref(rest),
            _ => return false,
        },
        Some(rest) => rest,
    };
    // A pattern of one length, such as `_XXXXXXXXXXXX`, is made for the numbers of one country, unless it says `00`.
    let has_rest = rest.iter().any(|element| matches!(element, Element::Rest { .. }));
    let is_said = !prefix.is_empty() || matches!(rest.first(), Some(Element::Of(set)) if set.len() == 1);
    (has_rest || is_said)
        && INTERNATIONAL.iter().any(|international| {
            COUNTRIES.iter().all(|country| reaches(rest, international, country, prefix))
        })
}

fn reaches(elements: &[Element], international: &str, country: &str, prefix: &str) -> bool {
    LENGTHS.into_iter().any(|length| {
        let number: String = country.chars().chain("5551234567".chars()).take(length).collect();
        let whole = format!("{international}{number}");
        whole.strip_prefix(prefix).is_some_and(|dialled| matches(elements, dialled))
    })
}

fn matches(elements: &[Element], number: &str) -> bool {
    let mut letters = number.chars();
    for element in elements {
        match (element, letters.next()) {
            (Element::Rest { may_be_empty }, letter) => return *may_be_empty || letter.is_some(),
            (Element::Of(set), Some(letter)) if set.contains(&letter) => {}
            (Element::Of(_), _) => return false,
        }
    }
    letters.next().is_none()
}

fn elements(pattern: &str) -> Vec<Element> {
    let Some(pattern) = pattern.strip_prefix('_') else {
        return pattern.chars().take(MAX_ELEMENTS).map(|letter| Element::Of(vec![letter])).collect();
    };
    let mut elements = Vec::new();
    let mut letters = pattern.chars().take(MAX_ELEMENTS);
    while let Some(letter) = letters.next() {
        elements.push(match letter.to_ascii_uppercase() {
            'X' => Element::Of(('0'..='9').collect()),
            'Z' => Element::Of(('1'..='9').collect()),
            'N' => Element::Of(('2'..='9').collect()),
            '[' => {
                Element::Of(set(&letters.by_ref().take_while(|letter| *letter != ']').collect::<Vec<_>>()))
            }
            '.' => Element::Rest { may_be_empty: false },
            '!' => Element::Rest { may_be_empty: true },
            // Only there to be read by people.
            '-' | ' ' => continue,
            _ => Element::Of(vec![letter]),
        });
    }
    elements
}

fn set(mut class: &[char]) -> Vec<char> {
    let mut letters = Vec::new();
    loop {
        match class {
            [] => return letters,
            [low, '-', high, rest @ ..] => {
                letters.extend((*low..=*high).take(256));
                class = rest;
            }
            [one, rest @ ..] => {
                letters.push(*one);
                class = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_world() {
        for (pattern, strip, prefix) in [
            ("_X.", 0, ""),
            ("_00.", 0, ""),
            ("_011.", 0, ""),
            ("_9011.", 1, ""),
            ("_00.", 2, "+"),
            ("_.", 0, ""),
            ("_[0-9]!", 0, ""),
            ("_+X.", 0, ""),
            ("_9.", 1, ""),
            ("_9.", 2, ""),
            ("_00ZXXXXXXXXX", 0, ""),
        ] {
            assert!(is_international(pattern, strip, prefix), "{pattern} {strip} {prefix}");
        }
        for (pattern, strip, prefix) in [
            ("_NXXNXXXXXX", 0, ""),
            ("_1NXXNXXXXXX", 0, ""),
            ("_0044.", 0, ""),
            ("_XXXX", 0, ""),
            ("_XXXXXXXXXXXX", 0, ""),
            ("s", 0, ""),
            ("_0ZXXXXXXXX", 0, ""),
            ("_9NXXXXXX", 1, ""),
            ("_0X.", 1, "+49"),
        ] {
            assert!(!is_international(pattern, strip, prefix), "{pattern} {strip} {prefix}");
        }
    }
}
