//! What a kernel had to say, and the table of all.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

/// What became of one kernel.
#[derive(Debug)]
pub(super) struct Outcome {
    /// By its own word, or what was to be booted.
    kernel: String,
    /// Whether the object loads, the gate's tests pass, and traffic is judged; `None` if it did not come to that.
    steps: [Option<bool>; 3],
    /// Programs, and the instructions that the verifier went through.
    verified: Vec<(String, u32)>,
    time: Duration,
    failure: Option<String>,
    log: PathBuf,
}

impl Outcome {
    /// Reads what the job said.
    pub(super) fn new(kernel: String, said: Result<String>, log: PathBuf, time: Duration) -> Self {
        let mut outcome = Self { kernel, steps: [None; 3], verified: Vec::new(), time, failure: None, log };
        match said {
            Ok(text) => outcome.read(&text),
            Err(error) => {
                outcome.failure = Some(format!("{error:#}"));
                // What it said until then.
                let text = std::fs::read(&outcome.log).unwrap_or_default();
                outcome.read(&String::from_utf8_lossy(&text));
            }
        }
        outcome
    }

    fn read(&mut self, text: &str) {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [loads, gate, run] = &mut self.steps;
            match words.as_slice() {
                ["@kernel", version] => self.kernel = (*version).to_owned(),
                ["@loads", status] => *loads = Some(*status == "0"),
                ["@gate", status] => *gate = Some(*status == "0"),
                ["@run", status] => *run = Some(*status == "0"),
                // The test runner may have begun the line.
                [.., "verified", program, count] => {
                    if let Ok(count) = count.parse()
                        && !self.verified.iter().any(|(known, _)| known == program)
                    {
                        self.verified.push(((*program).to_owned(), count));
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn is_fine(&self) -> bool {
        self.failure.is_none() && self.steps == [Some(true); 3]
    }
}

/// One line a kernel, then the instructions of each program, then where to look for what failed.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!("{:<32} {:>8} {:>8} {:>8} {:>8}\n", "kernel", "loads", "gate", "run/drop", "time");
    let mut line = |words: String| {
        // Writing to a string cannot fail.
        writeln!(text, "{}", words.trim_end()).ok();
    };
    let word = |step: Option<bool>| match step {
        Some(true) => "ok",
        Some(false) => "FAILED",
        None => "-",
    };
    for outcome in outcomes {
        let [loads, gate, run] = outcome.steps.map(word);
        let seconds = outcome.time.as_secs();
        line(format!("{:<32} {loads:>8} {gate:>8} {run:>8} {seconds:>6} s", outcome.kernel));
    }
    line(String::new());
    let mut head = format!("{:<20}", "verified instructions");
    outcomes.iter().for_each(|outcome| write!(head, " {:>32}", outcome.kernel).unwrap_or_default());
    line(head);
    let mut programs: Vec<&str> =
        outcomes.iter().flat_map(|outcome| &outcome.verified).map(|(name, _)| name.as_str()).collect();
    programs.sort_unstable();
    programs.dedup();
    for program in programs {
        let mut row = format!("{program:<21}");
        for outcome in outcomes {
            let count = outcome.verified.iter().find(|(name, _)| name == program);
            let count = count.map_or("-".to_owned(), |(_, count)| count.to_string());
            write!(row, " {count:>32}").ok();
        }
        line(row);
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_fine()) {
        line(String::new());
        let why = outcome.failure.as_deref().unwrap_or("a step failed");
        line(format!("{}: {why}; its console is in {}", outcome.kernel, outcome.log.display()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Outcome {
        Outcome::new("6.1".to_owned(), Ok(text.to_owned()), PathBuf::from("x.log"), Duration::from_secs(61))
    }

    #[test]
    fn what_a_machine_says_is_a_row() {
        let fine = outcome("@kernel 6.1.0\ntest x ... verified gate 4711\nok\n@loads 0\n@gate 0\n@run 0\n");
        assert!(fine.is_fine());
        let table = table(&[fine]);
        assert!(table.contains("6.1.0") && table.contains("4711") && table.contains("61 s"), "{table}");
        assert!(!table.contains("console"), "{table}");
    }

    #[test]
    fn a_machine_that_fell_silent_is_a_failure() {
        let silent = outcome("@kernel 6.1.0\n@loads 0\n@gate 101\n");
        assert!(!silent.is_fine());
        let table = table(&[silent]);
        assert!(table.contains("FAILED") && table.contains(" - ") && table.contains("x.log"), "{table}");
    }
}
