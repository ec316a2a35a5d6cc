//! Lines of TOML. Names come from files and programs that others wrote; none of them ends a comment or a text.

use std::fmt::Write as _;

/// Columns of a line of a comment.
const WIDTH: usize = 110;
/// A longer word or name is cut.
const LONGEST: usize = 300;

/// A policy that is being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    pub(crate) fn finish(self) -> String {
        format!("{}\n", self.text.trim_end())
    }

    pub(crate) fn blank(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A line as it is; what is not ours in it has to be quoted.
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Words as a comment, over as many lines as it takes.
    pub(crate) fn comment(&mut self, words: &str) {
        self.comment_behind("", words);
    }

    /// The same, moved in.
    pub(crate) fn comment_behind(&mut self, indent: &str, words: &str) {
        let words = harmless(words);
        let mut line = format!("{indent}#");
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim() != "#" {
                self.line(&line);
                line = format!("{indent}#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// Lines that would be the policy's if their marks were taken away.
    pub(crate) fn suggestion(&mut self, lines: &str) {
        for line in lines.lines() {
            let line = format!("# {line}");
            self.line(line.trim_end());
        }
    }
}

/// A text of TOML.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// On one line, not too long, without what a terminal or a reader's eye would obey.
fn harmless(text: &str) -> String {
    let obeyed = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|letter| if obeyed(letter) { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// What somebody else named, as part of a comment.
pub(crate) fn named(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    harmless(&shown)
}

/// A key for a service, of letters, digits and dashes.
pub(crate) fn key(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let key: String = text.chars().take(24).map(plain).collect();
    match key.trim_matches('-') {
        "" => "other".to_owned(),
        key => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_what_they_are() {
        assert_eq!(quoted("a\"b\\c\nd\u{7f}"), r#""a\"b\\c\u000Ad\u007F""#);
        assert_eq!(key("Node (Main)!"), "node--main");
        assert_eq!(key("…"), "other");
        let mut writer = Writer::default();
        writer.comment("one\n[services]\ntwo");
        assert_eq!(writer.finish(), "# one\u{fffd}[services]\u{fffd}two\n");
    }

    #[test]
    fn comments_are_wrapped() {
        let mut writer = Writer::default();
        writer.comment(&"word ".repeat(60));
        let text = writer.finish();
        assert!(
            text.lines().count() == 3
                && text.lines().all(|line| line.starts_with("# word") && line.len() <= WIDTH)
        );
    }
}
