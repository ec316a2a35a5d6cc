//! What README shows of `replay` is what it says.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Between the lines that are shown stand others.
const LEFT_OUT: &str = "…";

#[test]
fn replay_says_what_readme_shows() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let mut examples = 0;
    for block in text.split("```").skip(1).step_by(2) {
        let mut shown = block.lines().filter(|line| !line.is_empty() && !line.starts_with("$ cargo"));
        let Some(command) = shown.next().and_then(|line| line.strip_prefix("$ ")) else { continue };
        let Some((_, arguments)) = command.split_once("ringfence replay ") else { continue };
        examples += 1;
        let said = said(arguments);
        let shown: Vec<&str> = shown.collect();
        let parts: Vec<&[&str]> = shown.split(|line| *line == LEFT_OUT).collect();
        let [first, .., last] = parts.as_slice() else { panic!("`{command}` shows all of its lines") };
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.get(..first.len()), Some(*first), "the beginning of `{command}`");
        assert_eq!(said.get(said.len() - last.len()..), Some(*last), "the end of `{command}`");
    }
    assert_eq!(examples, 2);
}

/// What a shell shows.
fn said(arguments: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", &format!("\"$0\" replay {arguments} 2>&1"), env!("CARGO_BIN_EXE_ringfence")])
        .current_dir(root())
        .output()
        .expect("a shell");
    String::from_utf8(output.stdout).expect("text")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
