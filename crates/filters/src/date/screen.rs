use super::template::Template;
use crate::pattern::{Bits, Care, MOST, Sieve};

/// Says which forms can be in a line.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    /// Those that hold at the beginning of a line only, and the others.
    at_start: Option<Sieve>,
    anywhere: Option<Sieve>,
    /// By the number of a form: whether it is of the first, and which it is there.
    places: Vec<(bool, usize)>,
}

/// What is known of a line so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Possible {
    at_start: Option<Bits>,
    anywhere: Option<Bits>,
}

impl Screen {
    pub(super) fn new(templates: &[Template]) -> Self {
        let sieve = |at_start: bool| {
            let of_kind = templates.iter().map(|template| &template.pattern);
            Sieve::new(of_kind.filter(|pattern| pattern.is_at_start() == at_start))
        };
        let mut counts = [0; 2];
        let mut place = |template: &Template| {
            let at_start = template.pattern.is_at_start();
            let [others, first] = &mut counts;
            let count = if at_start { first } else { others };
            *count += 1;
            (at_start, *count - 1)
        };
        Self {
            places: templates.iter().map(&mut place).collect(),
            at_start: sieve(true),
            anywhere: sieve(false),
        }
    }

    /// Whether a form can be in a line, as far as that is known.
    pub(super) fn may_match(&mut self, template: usize, line: &str, possible: &mut Possible) -> bool {
        let Some(&(at_start, bit)) = self.places.get(template).filter(|(_, bit)| *bit < MOST) else {
            return true;
        };
        let (sieve, known) = if at_start {
            (&mut self.at_start, &mut possible.at_start)
        } else {
            (&mut self.anywhere, &mut possible.anywhere)
        };
        let look = || {
            sieve
                .as_mut()
                .and_then(|sieve| sieve.which(line, Care::Full))
                .map_or(Bits::MAX, |(which, _)| which)
        };
        *known.get_or_insert_with(look) >> bit & 1 == 1
    }
}
