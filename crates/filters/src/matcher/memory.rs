use crate::Failure;

/// Texts that are kept, and bytes of the largest of them.
const MAX_TEXTS: usize = 8;
const MAX_KEPT: usize = 4096;

/// Memory of failures that were told, for those that come: who floods a log makes one of each line.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    failures: Vec<Failure>,
    lines: Vec<String>,
    texts: Vec<String>,
}

impl Memory {
    pub(super) fn take_back(&mut self, mut failures: Vec<Failure>) {
        for Failure { user, mut lines, .. } in failures.drain(..) {
            for text in lines.drain(..).chain(user) {
                if self.texts.len() < MAX_TEXTS && text.capacity() <= MAX_KEPT {
                    self.texts.push(text);
                }
            }
            self.lines = lines;
        }
        self.failures = failures;
    }

    pub(super) fn text(&mut self, text: &str) -> String {
        let mut copy = self.texts.pop().unwrap_or_default();
        copy.clear();
        copy.push_str(text);
        copy
    }

    pub(super) fn lines<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.extend(texts.map(|text| self.text(text)));
        lines
    }

    pub(super) fn failures(&mut self, failure: Failure) -> Vec<Failure> {
        let mut failures = std::mem::take(&mut self.failures);
        failures.push(failure);
        failures
    }
}
