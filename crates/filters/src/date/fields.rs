use crate::Error;

/// The regular expressions that `%…` stands for, each with the group that says what it is. Longer names first.
const CODES: &[(&str, &str)] = &[
    // As in fail2ban: a year of this century, and numbers that have all their digits.
    ("ExY", r"(?P<Y>20\d\d)"),
    ("Exy", r"(?P<y>\d{2})"),
    ("Exm", r"(?P<m>0[1-9]|1[0-2])"),
    ("Exd", r"(?P<d>[12]\d|0[1-9]|3[01])"),
    ("ExH", r"(?P<H>[01]\d|2[0-3])"),
    ("ExM", r"(?P<M>[0-5]\d)"),
    ("ExS", r"(?P<S>[0-5]\d|6[01])"),
    ("Exk", r" ?(?P<H>[01]?\d|2[0-3])"),
    ("Exl", r" ?(?P<I>1[0-2]|\d)"),
    ("ExZ", r"(?P<Z>[A-Z](?:[A-Z]{2,4})?)"),
    ("Exz", r"(?P<z>(?:[A-Z](?:[A-Z]{2,4})?)?[+-][01]\d(?::?\d{2})?|[A-Z](?:[A-Z]{2,4})?)"),
    ("a", "(?P<a>mon|tue|wed|thu|fri|sat|sun)"),
    ("A", "(?P<A>wednesday|thursday|saturday|tuesday|monday|friday|sunday)"),
    ("b", "(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
    ("B", "(?P<B>september|february|november|december|january|october|august|march|april|june|july|may)"),
    ("d", r"(?P<d>[12]\d|[0 ]?[1-9]|3[01])"),
    ("f", "(?P<f>[0-9]{1,6})"),
    ("G", r"(?P<G>\d{4})"),
    ("H", r"(?P<H>[01]?\d|2[0-3])"),
    ("I", "(?P<I>1[0-2]|0[1-9]|[1-9])"),
    ("j", r"(?P<j>36[0-6]|3[0-5]\d|[12]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])"),
    ("k", r" ?(?P<H>[0-2]?\d)"),
    ("l", r" ?(?P<I>1?\d)"),
    ("m", "(?P<m>0?[1-9]|1[0-2])"),
    ("M", r"(?P<M>[0-5]?\d)"),
    ("p", "(?P<p>am|pm)"),
    ("S", r"(?P<S>[0-5]?\d|6[01])"),
    ("u", "(?P<u>[1-7])"),
    ("U", r"(?P<U>5[0-3]|[0-4]\d|\d)"),
    ("V", r"(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)"),
    ("w", "(?P<w>[0-6])"),
    ("W", r"(?P<W>5[0-3]|[0-4]\d|\d)"),
    ("y", r"(?P<y>\d\d)"),
    ("Y", r"(?P<Y>\d{4})"),
    ("z", r"(?P<z>Z|UTC|GMT|[+-][01]\d(?::?\d{2})?)"),
    ("Z", "(?P<Z>Z|[A-Z]{3,5})"),
    ("%", "%"),
];

/// Replaces every `%…` of a date pattern.
pub(super) fn expand(pattern: &str) -> Result<String, Error> {
    let mut done = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        done.push_str(before);
        let code = CODES.iter().find_map(|(name, regex)| after.strip_prefix(name).map(|rest| (regex, rest)));
        let Some((regex, after)) = code else {
            let found: String = after.chars().take(3).collect();
            return Err(Error::new(format!("`%{found}` is no part of a date"))
                .help("parts are %Y %m %d %H %M %S and others; `%%` is a percent sign, in a filter `%%%%`"));
        };
        done.push_str(regex);
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

/// Whether names of days or months are in a pattern: then case does not matter in all of it.
pub(super) fn has_words(pattern: &str) -> bool {
    let letters: Vec<char> = pattern.chars().collect();
    letters.windows(2).enumerate().any(|(at, pair)| {
        let escaped = at > 0 && letters.get(at - 1) == Some(&'%');
        !escaped && matches!(pair, ['%', 'a' | 'A' | 'b' | 'B' | 'p' | 'c'])
    })
}
