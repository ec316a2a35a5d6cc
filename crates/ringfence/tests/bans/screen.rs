//! `top` on a terminal, which tmux is.

use std::path::PathBuf;
use std::time::Duration;

use lab::{Lab, Node};

use crate::scene::{ATTACKER, SIP, Scene, binary, json, says, until};

/// A terminal with a shell command on it.
struct Terminal<'a> {
    lab: &'a Lab,
    socket: PathBuf,
}

impl<'a> Terminal<'a> {
    fn open(scene: &'a Scene, command: &str) -> Self {
        let terminal = Self { lab: &scene.lab, socket: scene.lab.dir().join("tmux") };
        terminal.tmux(&["new-session", "-d", "-x", "140", "-y", "40", command]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = self.lab.command(Node::Pbx, "tmux");
        command.args(["-f", "/dev/null", "-S"]).arg(&self.socket).args(args);
        let output = lab::run(command, Duration::from_secs(10)).unwrap();
        assert!(output.status.success(), "{args:?}: {}", output.text());
        output.stdout
    }

    fn shows(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn waits_for(&self, text: &str) {
        until(&format!("{text} on the screen"), Duration::from_secs(10), || self.shows().contains(text));
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = self.lab.command(Node::Pbx, "tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server");
        lab::run(command, Duration::from_secs(10)).ok();
    }
}

#[test]
fn top_shows_what_status_says_and_bans_as_they_happen() {
    let Some(scene) = Scene::new("top", &["tmux"]) else { return };
    let guard = scene.guard();
    let attacker = ATTACKER.to_string();
    for number in 1..=16 {
        says(&guard, &["ban", &format!("10.0.0.{number}")], 0);
    }
    let program = binary().display().to_string();
    let run_dir = scene.directory("run").display().to_string();
    let terminal =
        Terminal::open(&scene, &format!("{program} top --run-dir {run_dir}; echo ended $?; sleep 60"));
    terminal.waits_for("16 in force");
    assert!(terminal.shows().contains("eth0 (driver)"), "{}", terminal.shows());
    assert!(!terminal.shows().contains(&format!("ban {attacker}")), "not yet: {}", terminal.shows());

    says(&guard, &["ban", &attacker, "--reason", "live"], 0);
    terminal.waits_for(&format!("ban {attacker} by operator: live"));
    terminal.waits_for("17 in force");
    assert!(!scene.serves(Node::Attacker, SIP));
    let dropped = || json(&guard, &["status"])[0]["packets"]["drop"].as_u64().unwrap();
    assert!(dropped() >= 2);
    terminal.waits_for(&format!(" {} dropped (", dropped()));
    until("who is dropped", Duration::from_secs(10), || {
        terminal.shows().lines().any(|line| line.contains(&attacker) && line.contains("banned"))
    });
    let status = json(&guard, &["status"]).remove(0);
    assert_eq!(status["bans"]["active"], 17);
    let by_reason = &status["packets"]["by_reason"]["banned"];
    let row = terminal.shows().lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("banned") && words.next() == Some(&by_reason.to_string())
    });
    assert!(row, "banned {by_reason} in\n{}", terminal.shows());

    terminal.tmux(&["send-keys", "q"]);
    terminal.waits_for("ended 0");
    drop(terminal);
    // A pipe is no terminal.
    let said = says(&guard, &["top"], 1);
    assert!(said.contains("top needs a terminal"), "{said}");
}
