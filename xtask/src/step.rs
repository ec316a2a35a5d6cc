//! Steps with a heading, a time and, at the end, a table of them all.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What is run one after the other, up to the first failure.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    title: String,
    time: Duration,
    /// What the step could not do.
    note: Option<String>,
}

impl Steps {
    /// Runs one step under its heading. A failure prints the table of what was done so far and is handed on.
    pub(crate) fn run<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n== {title}");
        let begin = Instant::now();
        let result = work();
        let time = begin.elapsed();
        match result {
            Ok(value) => {
                println!("   {title}: {:.1} s", time.as_secs_f32());
                self.done.push(Done { title: title.to_owned(), time, note: None });
                Ok(value)
            }
            Err(error) => {
                print!("{}", self.table(Some((title, time))));
                Err(error.context(format!("the step `{title}` failed")))
            }
        }
    }

    /// Runs a command as a step. When it fails, the error is the command to repeat it with.
    pub(crate) fn command(&mut self, title: &str, command: Command) -> Result<()> {
        self.run(title, || run(command))
    }

    /// Says what the last step could not do, now and in the table.
    pub(crate) fn note(&mut self, note: Option<String>) {
        if let (Some(last), Some(note)) = (self.done.last_mut(), note) {
            println!("   {note}");
            last.note = Some(note);
        }
    }

    /// Prints the table of all steps.
    pub(crate) fn summary(&self) {
        print!("{}", self.table(None));
    }

    fn table(&self, failed: Option<(&str, Duration)>) -> String {
        let mut text = String::from("\n== summary\n");
        let mut row = |name: &str, time: Duration, how: &str| {
            // Writing to a string cannot fail.
            writeln!(text, "   {name:<24} {:>8.1} s   {how}", time.as_secs_f32()).ok();
        };
        let mut total = Duration::ZERO;
        for Done { title, time, note } in &self.done {
            total += *time;
            row(title, *time, &note.as_ref().map_or("ok".to_owned(), |note| format!("ok, but {note}")));
        }
        if let Some((title, time)) = failed {
            total += time;
            row(title, time, "FAILED");
        }
        row("total", total, if failed.is_some() { "FAILED" } else { "ok" });
        text
    }
}

/// Runs a command with this program's own input and output.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let line = line(&command);
    println!("   $ {line}");
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("it ended with {status}; to repeat it:\n  {line}");
    }
    Ok(())
}

/// A cargo command in the workspace, by the cargo that runs this program.
pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(crate::workspace()).args(args);
    command
}

/// The command as one can type it, with the variables that it sets.
fn line(command: &Command) -> String {
    let quoted = |word: &OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let variables = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), quoted(value)))
    });
    let program = command.get_program();
    // Cargo's full path says nothing that its name does not.
    let program = if program == std::env::var_os("CARGO").unwrap_or_default() {
        "cargo".to_owned()
    } else {
        quoted(program)
    };
    let words: Vec<String> = variables.chain([program]).chain(command.get_args().map(quoted)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_how_to_repeat_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]).env("WITH", "a space");
        let error = run(command).unwrap_err().to_string();
        assert!(error.contains("WITH='a space' sh -c 'exit 7'"), "{error}");
        assert!(error.contains('7'));
    }

    #[test]
    fn the_first_failure_ends_it_and_is_in_the_table() {
        let mut steps = Steps::default();
        steps.run("fine", || Ok(())).unwrap();
        steps.run("half", || Ok(())).unwrap();
        steps.note(Some("no root".to_owned()));
        steps.run::<()>("bad", || bail!("why")).unwrap_err();
        let table = steps.table(Some(("bad", Duration::from_millis(1500))));
        assert!(table.contains("half") && table.contains("ok, but no root"), "{table}");
        assert!(table.contains("1.5 s   FAILED"), "{table}");
    }
}
