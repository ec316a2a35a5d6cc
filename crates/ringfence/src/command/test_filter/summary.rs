use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, SystemTime};

use filters::{Host, MAX_LINE, Matcher, Outcome};
use foldhash::fast::RandomState;
use serde_json::json;

use super::{rfc3339, seconds};
use crate::cli::TestFilterArgs;
use crate::disk::shortened;
use crate::exit::Exit;

/// Hosts that are counted one by one.
const MAX_HOSTS: usize = 100_000;
/// Lines, hosts and expressions that are shown of each kind.
const SHOWN: usize = 10;
/// Letters of a line that are shown.
const WIDTH: usize = 160;

/// What was found in a log.
#[derive(Debug)]
pub(super) struct Summary {
    began: SystemTime,
    lines: u64,
    matched: u64,
    ignored: u64,
    undated: u64,
    gave_up: u64,
    cut: u64,
    ambiguous: u64,
    /// How often each expression found something, up to the last that did.
    regexes: Vec<u64>,
    /// How often, and when last.
    hosts: HashMap<Host, (u64, Duration), RandomState>,
    ambiguous_lines: Vec<String>,
    unmatched_lines: Vec<String>,
    gave_up_lines: Vec<String>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            began: SystemTime::now(),
            lines: 0,
            matched: 0,
            ignored: 0,
            undated: 0,
            gave_up: 0,
            cut: 0,
            ambiguous: 0,
            regexes: Vec::new(),
            hosts: HashMap::default(),
            ambiguous_lines: Vec::new(),
            unmatched_lines: Vec::new(),
            gave_up_lines: Vec::new(),
        }
    }
}

impl Summary {
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn see(&mut self, line: &[u8], outcome: &Outcome) {
        self.lines += 1;
        self.undated += u64::from(!outcome.dated);
        self.cut += u64::from(outcome.cut);
        let number = self.lines;
        let shown = || format!("{number}: {}", shortened(&String::from_utf8_lossy(line), WIDTH));
        if outcome.gave_up > 0 {
            self.gave_up += 1;
            keep(&mut self.gave_up_lines, shown);
        }
        for failure in &outcome.failures {
            if self.regexes.len() <= failure.regex {
                self.regexes.resize(failure.regex + 1, 0);
            }
            if let Some(count) = self.regexes.get_mut(failure.regex) {
                *count += 1;
            }
            if let Some(host) = self.hosts.get_mut(&failure.host) {
                *host = (host.0 + 1, host.1.max(failure.time));
            } else if self.hosts.len() < MAX_HOSTS {
                self.hosts.insert(failure.host.clone(), (1, failure.time));
            }
            if let Some(other) = &failure.other {
                self.ambiguous += 1;
                keep(&mut self.ambiguous_lines, || format!("{} or {other}? {}", failure.host, shown()));
            }
        }
        if !outcome.failures.is_empty() {
            self.matched += 1;
        } else if outcome.ignored {
            self.ignored += 1;
        } else if outcome.dated {
            keep(&mut self.unmatched_lines, shown);
        }
    }

    pub(super) fn write_json(&self, out: &mut impl Write) -> Result<(), Exit> {
        let summary = json!({
            "type": "summary",
            "lines": self.lines,
            "matched": self.matched,
            "ignored": self.ignored,
            "undated": self.undated,
            "hosts": self.hosts.len(),
            "ambiguous": self.ambiguous,
            "gave_up": self.gave_up,
            "cut": self.cut,
        });
        writeln!(out, "{summary}")?;
        Ok(())
    }

    pub(super) fn write_text(
        &self,
        out: &mut impl Write,
        args: &TestFilterArgs,
        matcher: &Matcher,
    ) -> Result<(), Exit> {
        writeln!(out, "{} in {}", args.filter, args.log.display())?;
        self.write_regexes(out, matcher)?;
        self.write_hosts(out)?;
        let forms: Vec<(u64, &str)> = matcher.date_forms().map(|(form, count)| (count, form)).collect();
        if !forms.is_empty() {
            writeln!(out, "\n  dates  as `datepattern`")?;
            forms
                .iter()
                .try_for_each(|(count, form)| writeln!(out, "{count:>7}  {}", shortened(form, WIDTH)))?;
        }
        let rest = self.lines - self.matched - self.ignored;
        section(
            out,
            "either of two hosts, perhaps written by one of them",
            self.ambiguous,
            &self.ambiguous_lines,
        )?;
        section(out, "an expression took too long here", self.gave_up, &self.gave_up_lines)?;
        section(out, "no match", rest, &self.unmatched_lines)?;
        writeln!(
            out,
            "\n{} lines: {} matched, {} ignored, {rest} not; {} without a date",
            self.lines, self.matched, self.ignored, self.undated
        )?;
        if self.cut > 0 {
            writeln!(
                out,
                "{} lines are longer than {MAX_LINE} bytes; the rest of them was not looked at",
                self.cut
            )?;
        }
        let seconds = seconds(self.began).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = self.lines as f64 / seconds.max(1e-6);
        writeln!(out, "{seconds:.2} s, {rate:.0} lines a second")?;
        Ok(())
    }

    fn write_regexes(&self, out: &mut impl Write, matcher: &Matcher) -> Result<(), Exit> {
        let filter = matcher.filter();
        if let Some(prefix) = filter.prefix_regex() {
            writeln!(out, "\nprefix   {}", shortened(prefix, WIDTH))?;
        }
        let silent = filter.fail_regexes().len() - self.regexes.iter().filter(|count| **count > 0).count();
        writeln!(
            out,
            "\nmatches  failregex ({silent} others of {} match nothing)",
            filter.fail_regexes().len()
        )?;
        for (regex, text) in filter.fail_regexes().iter().enumerate() {
            if let Some(count) = self.regexes.get(regex).filter(|count| **count > 0) {
                writeln!(out, "{count:>7}  {:>2}: {}", regex + 1, shortened(text, WIDTH))?;
            }
        }
        Ok(())
    }

    fn write_hosts(&self, out: &mut impl Write) -> Result<(), Exit> {
        let mut hosts: Vec<_> = self.hosts.iter().collect();
        hosts.sort_by_key(|(host, (count, _))| (std::cmp::Reverse(*count), *host));
        if hosts.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nmatches  host, and when last ({} in all)", hosts.len())?;
        for (host, (count, last)) in hosts.iter().take(SHOWN) {
            let host = shortened(&host.to_string(), WIDTH);
            writeln!(out, "{count:>7}  {host:<20} {}", rfc3339(*last))?;
        }
        Ok(())
    }
}

fn keep(lines: &mut Vec<String>, line: impl FnOnce() -> String) {
    if lines.len() < SHOWN {
        lines.push(line());
    }
}

fn section(out: &mut impl Write, title: &str, count: u64, lines: &[String]) -> Result<(), Exit> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title} ({count}):")?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    Ok(())
}
