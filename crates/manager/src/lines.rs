//! Lines of bounded length, out of bytes that come in pieces.

use memchr::memchr;

/// Bytes of a line that are kept. What a stranger may put into one is shorter than a SIP message's header.
pub const MAX_LINE: usize = 4096;

/// How lines end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Only CR and LF together: a lone LF is part of a value, which a stranger may have chosen.
    CrLf,
    /// LF, with or without CR.
    Lf,
}

/// A line without its end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// More was written than is kept.
    pub(crate) cut: bool,
}

/// What of a line has come so far.
#[derive(Debug)]
pub(crate) struct Lines {
    end: End,
    line: Line,
    /// The last byte that came, kept or not.
    last: u8,
}

impl Lines {
    pub(crate) fn new(end: End) -> Self {
        Self { end, line: Line::default(), last: 0 }
    }

    /// Takes bytes off `input` up to the end of a line. `None`: all was taken, and there is no whole line yet.
    pub(crate) fn take(&mut self, input: &mut &[u8]) -> Option<Line> {
        while let Some(at) = memchr(b'\n', input) {
            let (before, rest) = input.split_at_checked(at)?;
            self.keep(before);
            *input = rest.get(1..).unwrap_or_default();
            let is_end = self.end == End::Lf || self.last == b'\r';
            if is_end {
                return Some(self.finish());
            }
            self.keep(b"\n");
        }
        self.keep(input);
        *input = &[];
        None
    }

    /// What there is of a line that has not ended.
    pub(crate) fn begun(&self) -> &[u8] {
        &self.line.bytes
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE - self.line.bytes.len().min(MAX_LINE);
        self.line.bytes.extend(bytes.iter().take(room));
        self.line.cut |= bytes.len() > room;
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    fn finish(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.line);
        if !line.cut && line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        self.last = 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(end: End, bytes: &[u8], piece: usize) -> Vec<Line> {
        let mut lines = Lines::new(end);
        let mut found = Vec::new();
        for mut piece in bytes.chunks(piece) {
            while let Some(line) = lines.take(&mut piece) {
                found.push(line);
            }
        }
        found
    }

    #[test]
    fn a_lone_line_feed_is_part_of_a_value() {
        for piece in 1..12 {
            let found = lines(End::CrLf, b"a\nb\rc\r\n\r\nd", piece);
            let texts: Vec<&[u8]> = found.iter().map(|line| line.bytes.as_slice()).collect();
            assert_eq!(texts, [b"a\nb\rc".as_slice(), b""]);
        }
        let found = lines(End::Lf, b"a\r\nb\n\n", 1);
        assert_eq!(found.iter().map(|line| line.bytes.len()).collect::<Vec<_>>(), [1, 1, 0]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        for piece in [1, 4095, 4096, 4097, 9000] {
            let text = [vec![b'x'; MAX_LINE + 1], b"\r\nnext\r\n".to_vec()].concat();
            let found = lines(End::CrLf, &text, piece);
            assert_eq!((found[0].bytes.len(), found[0].cut), (MAX_LINE, true));
            assert_eq!((found[1].bytes.as_slice(), found[1].cut), (b"next".as_slice(), false));
        }
    }
}
