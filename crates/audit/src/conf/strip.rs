//! Comments.

/// Nested deeper, the start of a comment is text; Asterisk's own bound.
const MAX_NESTED: usize = 128;

/// Takes comments out of the lines of one file.
#[derive(Debug, Default)]
pub(super) struct Comments {
    /// Lines where the blocks began that are open.
    open: Vec<u32>,
}

impl Comments {
    /// The line without comments and with `\;` as `;`.
    pub(super) fn strip(&mut self, line: &str, number: u32) -> String {
        let mut kept = String::new();
        let mut rest = line;
        // What precedes the rest, as `--;` and `\;` look back, but never over a mark.
        while let Some((before, after)) = rest.split_once(';') {
            let is_open = !self.open.is_empty();
            if !is_open && before.ends_with('\\') {
                kept.push_str(before.strip_suffix('\\').unwrap_or(before));
                kept.push(';');
                rest = after;
            } else if let Some(inner) = block_start(after).filter(|_| self.open.len() < MAX_NESTED) {
                if !is_open {
                    kept.push_str(before);
                }
                self.open.push(number);
                rest = inner;
            } else if is_open {
                if before.ends_with("--") {
                    self.open.pop();
                }
                rest = after;
            } else {
                kept.push_str(before);
                return kept;
            }
        }
        if self.open.is_empty() {
            kept.push_str(rest);
        }
        kept
    }

    /// Where a block began that nothing ended.
    pub(super) fn unended(&self) -> Option<u32> {
        self.open.first().copied()
    }
}

/// `;--` begins a block, `;---` is a line that someone drew.
fn block_start(after: &str) -> Option<&str> {
    after.strip_prefix("--").filter(|inner| !inner.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(lines: &[&str]) -> Vec<String> {
        let mut comments = Comments::default();
        lines.iter().map(|line| comments.strip(line, 1)).collect()
    }

    #[test]
    fn comments_end_lines_and_span_them() {
        assert_eq!(strip(&["a = b ; c", "; d", r"e = f\;g ; h"]), ["a = b ", "", "e = f;g "]);
        assert_eq!(strip(&["a ;-- b --; c", "d ;-- e", "f", "g --; h"]), ["a  c", "d ", "", " h"]);
        assert_eq!(strip(&[";---- a ----", "b"]), ["", "b"]);
        assert_eq!(strip(&[";-- a", ";-- b", "--; c", "--; d"]), ["", "", "", " d"]);
    }
}
