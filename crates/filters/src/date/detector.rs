use std::time::Duration;

use jiff::tz::TimeZone;

use super::Forms;
use super::civil::Calendar;
use super::screen::{Possible, Screen};
use super::template::Template;
use crate::pattern::{Choice, Found, Layouts};

/// How long a form may go unused before another may take its place, in seconds.
const UNUSED: f64 = 300.0;
const FAR: usize = 0x7fff_ffff;

/// Finds dates in the lines of one log.
#[derive(Clone, Debug)]
pub(crate) struct Detector {
    forms: Forms,
    /// By which engine each of them is searched for.
    choices: Vec<Choice>,
    /// How each of them lay in a line.
    layouts: Vec<Layouts>,
    screen: Screen,
    calendar: Calendar,
    /// Most likely first.
    slots: Vec<Slot>,
    /// Where the last date began and what stood there, where it ended and what stood there.
    last_start: (usize, Option<u8>, Option<u8>),
    last_end: (usize, Option<u8>, Option<u8>),
    last_slot: usize,
    first_unused: usize,
    found: Found,
    /// Which form matched in it last.
    found_form: Option<usize>,
    /// How a line began in which that form matched at the beginning: as far as it looked. The next often begins in the same way.
    begin: String,
    /// What that date said at some time.
    said: Option<(Duration, Option<Duration>)>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// In `Forms::templates`.
    template: usize,
    /// How often it won, and when last.
    hits: u64,
    last_used: f64,
    /// How often it matched, whether it won or not.
    matches: u64,
    distance: usize,
}

/// A date in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    /// Where the match begins, which may be before it.
    pub(crate) from: usize,
    /// What is cut out.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Which form it has.
    pub(crate) form: usize,
}

/// Where a form matched: the whole, and what is cut out.
#[derive(Clone, Copy, Debug)]
struct Match {
    start: usize,
    end: usize,
    cut: (usize, usize),
}

impl Detector {
    pub(crate) fn new(forms: &Forms) -> Self {
        let slots = (0..forms.templates.len())
            .map(|template| Slot { template, hits: 0, last_used: 0.0, matches: 0, distance: FAR })
            .collect();
        Self {
            forms: forms.clone(),
            choices: vec![Choice::default(); forms.templates.len()],
            layouts: vec![Layouts::default(); forms.templates.len()],
            screen: Screen::new(&forms.templates),
            calendar: Calendar::default(),
            slots,
            last_start: (1, None, None),
            last_end: (FAR, None, None),
            last_slot: FAR,
            first_unused: 0,
            found: Found::default(),
            found_form: None,
            begin: String::new(),
            said: None,
        }
    }

    /// The forms that were found, as `datepattern` has them, and how often.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (&str, u64)> {
        let used = self.slots.iter().filter(|slot| slot.hits > 0);
        used.filter_map(|slot| Some((self.forms.templates.get(slot.template)?.name.as_str(), slot.hits)))
    }

    /// Finds the date of a line, and remembers which form it has.
    pub(crate) fn find(&mut self, line: &str, now: Duration) -> Option<Seen> {
        let mut spare = None;
        let mut skipped = FAR;
        if let Some(won) = self.try_last(line, &mut spare, &mut skipped) {
            return Some(self.won(line, self.last_slot, won, now));
        }
        let (slot, won) = self.search(line, spare, skipped)?;
        Some(self.won(line, slot, won, now))
    }

    /// What the date says that was just found; `None` if there is no such time.
    pub(crate) fn time(
        &mut self,
        line: &str,
        seen: Seen,
        now: Duration,
        zone: &TimeZone,
    ) -> Option<Duration> {
        if self.found_form == Some(seen.form) {
            if let Some((then, time)) = self.said
                && then == now
            {
                return time;
            }
            let template = self.forms.templates.get(seen.form)?;
            let time = template.time(line, &self.found, (now, zone), &mut self.calendar);
            self.said = Some((now, time));
            return time;
        }
        self.time_again(line, seen, now, zone)
    }

    /// What a date says that was found earlier.
    pub(crate) fn time_again(
        &mut self,
        line: &str,
        seen: Seen,
        now: Duration,
        zone: &TimeZone,
    ) -> Option<Duration> {
        (self.found_form, self.said) = (None, None);
        let template = self.forms.templates.get(seen.form)?;
        let from = if template.anchored { 0 } else { seen.from };
        let mut found = std::mem::take(&mut self.found);
        let again = template.pattern.search_from(line, from, &mut found).unwrap_or(false);
        let time = if again { template.time(line, &found, (now, zone), &mut self.calendar) } else { None };
        self.found = found;
        time
    }

    /// The form that won last, at the same place.
    fn try_last(
        &mut self,
        line: &str,
        spare: &mut Option<(usize, Match)>,
        skipped: &mut usize,
    ) -> Option<Match> {
        let slot = self.last_slot;
        let anchored = self.template(slot)?.anchored;
        let (from, to) = (self.last_start.0, self.last_end.0);
        let found = if anchored {
            *skipped = slot;
            self.matches(slot, line, 0)
        } else if self.same_bounds(line.as_bytes())
            && line.is_char_boundary(from)
            && line.is_char_boundary(to)
        {
            self.matches(slot, line.get(..to)?, from)
        } else {
            *skipped = slot;
            self.matches(slot, line, 0)
        }?;
        if self.slots.len() == 1 || anchored || (found.start == from && found.end == to) {
            return Some(found);
        }
        *spare = Some((slot, found));
        None
    }

    /// Whether the same letters stand around the place where the last date was.
    fn same_bounds(&self, line: &[u8]) -> bool {
        let (start, before, first) = self.last_start;
        let (end, last, after) = self.last_end;
        let at = |at: Option<usize>| at.and_then(|at| line.get(at)).copied();
        let sign = |byte: Option<u8>| byte.is_some_and(|byte| !byte.is_ascii_alphanumeric() && byte < 0x80);
        let begins = at(start.checked_sub(1)) == before || (at(Some(start)) == first && sign(first));
        let ends = at(Some(end)) == after || (at(end.checked_sub(1)) == last && sign(last));
        begins && ends
    }

    /// Every form in turn, until one is good enough; else the one that matched first in the line.
    fn search(
        &mut self,
        line: &str,
        mut spare: Option<(usize, Match)>,
        skipped: usize,
    ) -> Option<(usize, Match)> {
        let mut possible = Possible::default();
        for slot in 0..self.slots.len() {
            if slot == skipped || !self.may_match(slot, line, &mut possible) {
                continue;
            }
            let Some(found) = self.matches(slot, line, 0) else { continue };
            let Some(current) = self.slots.get(slot) else { continue };
            let next_is_fresh = self.slots.get(slot + 1).is_none_or(|next| next.matches == 0);
            let is_last = slot + 1 >= self.slots.len();
            let anchored = self.template(slot).is_some_and(|template| template.anchored);
            let stop = is_last || anchored || (found.start == 0 && current.hits > 0 && next_is_fresh);
            // What begins later than it used to may be in the message.
            if !stop && (found.start > current.distance || found.start > self.last_start.0) {
                if spare.is_none_or(|(_, best)| found.start < best.start) {
                    spare = Some((slot, found));
                }
                continue;
            }
            return Some((slot, found));
        }
        spare
    }

    fn template(&self, slot: usize) -> Option<&Template> {
        self.slots.get(slot).and_then(|slot| self.forms.templates.get(slot.template))
    }

    fn may_match(&mut self, slot: usize, line: &str, possible: &mut Possible) -> bool {
        let Some(slot) = self.slots.get(slot) else { return false };
        self.screen.may_match(slot.template, line, possible)
    }

    fn matches(&mut self, slot: usize, line: &str, from: usize) -> Option<Match> {
        let slot = self.slots.get_mut(slot)?;
        let template = self.forms.templates.get(slot.template)?;
        let again = self.found_form == Some(slot.template)
            && from == 0
            && !self.begin.is_empty()
            && line.as_bytes().starts_with(self.begin.as_bytes());
        if again {
            let (start, end) = self.found.span(0)?;
            slot.matches += 1;
            return Some(Match { start, end, cut: self.found.span(1).unwrap_or((start, end)) });
        }
        (self.found_form, self.said) = (None, None);
        self.begin.clear();
        let layouts = self.layouts.get_mut(slot.template).filter(|_| from == 0);
        let is_like = layouts.is_some_and(|layouts| {
            layouts.recall((&template.pattern, &template.groups), line, &mut self.found)
        });
        let choice = self.choices.get_mut(slot.template).filter(|_| from == 0);
        let searched = match choice {
            _ if is_like => Ok(true),
            Some(choice) => choice.search(&template.pattern, line, &mut self.found),
            None => template.pattern.search_from(line, from, &mut self.found),
        };
        if !searched.unwrap_or(false) {
            return None;
        }
        self.found_form = Some(slot.template);
        let (start, end) = self.found.span(0)?;
        let found = Match { start, end, cut: self.found.span(1).unwrap_or((start, end)) };
        slot.matches += 1;
        let reach = self.found.reach();
        self.begin.push_str(line.get(..reach).filter(|_| from == 0).unwrap_or_default());
        Some(found)
    }

    /// Remembers who won, where, and what stood around it.
    fn won(&mut self, line: &str, slot: usize, found: Match, now: Duration) -> Seen {
        let bytes = line.as_bytes();
        let at = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied();
        let Match { start, end, cut } = found;
        self.last_start = (start, at(start.checked_sub(1)), at(Some(start)));
        self.last_end = (end, at(end.checked_sub(1)), at(Some(end)));
        let mut form = 0;
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.hits += 1;
            slot.last_used = now.as_secs_f64();
            slot.distance = start;
            form = slot.template;
        }
        if self.first_unused == slot {
            self.first_unused += 1;
        }
        self.last_slot = if slot != 0 && slot != self.last_slot { self.move_up(slot) } else { slot };
        Seen { from: start, start: cut.0, end: cut.1, form }
    }

    /// Moves a form to the front if it has earned that.
    fn move_up(&mut self, slot: usize) -> usize {
        let mut place = if self.first_unused < slot { self.first_unused } else { slot / 2 };
        if !self.may_pass(slot, place) {
            if place == slot - 1 {
                return slot;
            }
            place = slot - 1;
            if !self.may_pass(slot, place) {
                return slot;
            }
        }
        let moved = self.slots.remove(slot);
        self.slots.insert(place, moved);
        while self.slots.get(self.first_unused).is_some_and(|slot| slot.hits > 0) {
            self.first_unused += 1;
        }
        place
    }

    fn may_pass(&self, slot: usize, other: usize) -> bool {
        let (Some(slot), Some(other)) = (self.slots.get(slot), self.slots.get(other)) else { return false };
        self.weight(slot) > self.weight(other) || slot.last_used - UNUSED > other.last_used
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of lines and a place in a line")]
    fn weight(&self, slot: &Slot) -> f64 {
        let weight = self.forms.templates.get(slot.template).map_or(1.0, |template| template.weight);
        slot.hits as f64 * weight / slot.distance.max(1) as f64
    }
}
