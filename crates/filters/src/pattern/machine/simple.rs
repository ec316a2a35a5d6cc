use super::Reader;
use crate::pattern::code::Op;

impl Reader<'_> {
    /// How many bytes a step takes that takes them by one look, if it does.
    pub(super) fn simple(self, op: Op, at: usize) -> Option<usize> {
        let rest = self.text.as_bytes().get(at..)?;
        match op {
            Op::Byte(byte) => (rest.first() == Some(&byte)).then_some(1),
            Op::Short(head) => head.begins(rest).then_some(head.len()),
            Op::Text(text) => {
                let text = self.code.texts.get(text as usize)?;
                rest.starts_with(text).then_some(text.len())
            }
            Op::Words(words) => self.code.words.get(words as usize)?.begins(rest),
            Op::Set(set) => self.set(set)?.take(self.text, at),
            Op::Take { .. }
            | Op::Run(_)
            | Op::Either(_)
            | Op::Jump(_)
            | Op::Save(_)
            | Op::Progress { .. }
            | Op::Look(_)
            | Op::Around { .. }
            | Op::Peek { .. }
            | Op::Atomic { .. }
            | Op::Back { .. }
            | Op::If { .. }
            | Op::Match => None,
        }
    }

    /// How far such a step looks.
    pub(super) fn looked(self, op: Op, at: usize) -> usize {
        let len = match op {
            Op::Short(head) => head.len(),
            Op::Text(text) => self.code.texts.get(text as usize).map_or(0, |text| text.len()),
            Op::Words(words) => self.code.words.get(words as usize).map_or(0, |words| words.longest),
            Op::Byte(_)
            | Op::Set(_)
            | Op::Take { .. }
            | Op::Run(_)
            | Op::Either(_)
            | Op::Jump(_)
            | Op::Save(_)
            | Op::Progress { .. }
            | Op::Look(_)
            | Op::Around { .. }
            | Op::Peek { .. }
            | Op::Atomic { .. }
            | Op::Back { .. }
            | Op::If { .. }
            | Op::Match => 0,
        };
        self.behind(at).max(at + len)
    }

    /// Behind the letter at a place, and behind one byte more: `$` asks what follows a line end.
    #[inline]
    pub(super) fn behind(self, at: usize) -> usize {
        at + if self.text.as_bytes().get(at).is_none_or(u8::is_ascii) { 2 } else { 5 }
    }
}
