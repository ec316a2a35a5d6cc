//! A shell on the PBX's host in the lab, in which the paths are those of a real host, and nothing on this machine is changed.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::asterisk::{Account, PHONE};
use lab::phone::{Answer, ECHO, Phone, Transport};
use lab::{Asterisk, AsteriskOptions, Lab, Node, Process};
use rustix::process::Signal;

use crate::likeness::is_like;
use crate::page::{Exchange, Who};

const PATIENCE: Duration = Duration::from_secs(60);
/// What is looked for may come a moment later.
const POLL: Duration = Duration::from_millis(100);

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Makes the host. Its arguments: a folder of its own, the file system for pins, Asterisk's files or nothing, the program, the project.
const HOST: &str = r#"
base="$1" bpffs="$2" asterisk="$3" program="$4" project="$5"
mkdir -p "$base/dev" "$base/etc" "$base/lib" "$base/log" "$base/home/.bin" "$base/run"
cp -r "$project/samples" "$base/home/.samples"
touch "$base/home/.bin/ringfence"
mount --bind "$program" "$base/home/.bin/ringfence"
printf '#!/bin/sh\nexec "$@"\n' > "$base/home/.bin/sudo"
chmod 755 "$base/home/.bin/sudo"
cp -a /etc/. "$base/etc"
rm -rf "$base/etc/asterisk" "$base/etc/ringfence"
mkdir "$base/etc/ringfence"
for name in null zero full random urandom tty; do
    touch "$base/dev/$name"
    mount --bind "/dev/$name" "$base/dev/$name"
done
mkdir -m 1777 "$base/dev/shm"
mount --bind "$bpffs" /sys/fs/bpf
mount --bind "$base/lib" /var/lib
mount --bind "$base/log" /var/log
mount --rbind "$base/home" /mnt
mount --bind "$base/etc" /etc
if test -n "$asterisk"; then
    mkdir /etc/asterisk /var/log/asterisk "$base/run/asterisk"
    mount --bind "$asterisk/run" "$base/run/asterisk"
    mount --bind "$asterisk/etc" /etc/asterisk
    mount --bind "$asterisk/log" /var/log/asterisk
fi
mount --rbind "$base/dev" /dev
mount --rbind "$base/run" /run
mkdir /run/sshd
ssh-keygen -A > /dev/null
echo ready >&2
exec sleep 3600
"#;

/// A host and what runs on it. The order is that of the ends.
pub(crate) struct Session {
    running: Vec<Process>,
    _asterisk: Option<Asterisk>,
    host: Process,
    base: PathBuf,
    lab: Lab,
}

impl Session {
    pub(crate) fn open(page: &str, with_asterisk: bool) -> Self {
        let lab = Lab::up(&format!("guide-{page}").chars().take(24).collect::<String>()).unwrap();
        let asterisk = with_asterisk.then(|| lab.asterisk(&AsteriskOptions::default()).unwrap());
        let files = if with_asterisk { lab.dir().join("asterisk") } else { PathBuf::new() };
        let base = lab.dir().join("host");
        let mut command = lab.command(Node::Pbx, "unshare");
        command.args(["--mount", "--propagation", "slave", "--", "sh", "-ec", HOST, "sh"]);
        command.arg(&base).arg(lab.bpffs()).arg(files).arg(binary()).arg(PROJECT);
        let mut host = lab.spawn("host", command).unwrap();
        assert!(host.wait_for_line("ready", PATIENCE).is_some(), "{}", host.stderr());
        Self { running: Vec::new(), _asterisk: asterisk, host, base, lab }
    }

    /// Does what the page does not show.
    #[track_caller]
    pub(crate) fn hidden(&mut self, who: Who, command: &str) {
        match who {
            Who::Run => {
                let (status, said) = self.shell(command);
                assert_eq!(status, Some(0), "{command}: {said}");
            }
            Who::Wait => until(command, || self.shell(command).0 == Some(0)),
            Who::Background => {
                let process = self.start(command);
                self.running.push(process);
            }
            Who::Attacker => {
                let mut shell = self.lab.command(Node::Attacker, "sh");
                shell.args(["-c", command]).current_dir("/");
                lab::run(shell, PATIENCE).unwrap();
            }
            Who::Phone => self.phone(command),
        }
    }

    /// Writes a file of the host.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let shared = self.base.join("home/.written");
        fs::write(shared, text).unwrap();
        let (status, said) = self.shell(&format!("cat /mnt/.written > {path} && rm /mnt/.written"));
        assert_eq!(status, Some(0), "{path}: {said}");
    }

    /// Runs what a page shows. If it is otherwise: its status, and what it said.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) -> Result<(), (i32, String)> {
        if exchange.status == 0 && exchange.command.contains("ringfence run") {
            return self.run(exchange);
        }
        let (status, said) = self.shell(&exchange.command);
        if status == Some(exchange.status) && is_like(&exchange.shown, &said, true) {
            return Ok(());
        }
        Err((status.unwrap_or(-1), said))
    }

    /// `ringfence run` holds the terminal until `^C`; without that key it goes on in another one.
    fn run(&mut self, exchange: &Exchange) -> Result<(), (i32, String)> {
        let mut parts = exchange.shown.split(|line| line == "^C");
        let before = parts.next().unwrap_or_default();
        let after = parts.next();
        let mut process = self.start(&exchange.command);
        let deadline = Instant::now() + PATIENCE;
        let mut fine = loop {
            let said = process.stdout();
            if said.contains("ready: ") && is_like(before, &said, false) {
                break true;
            }
            let shown_otherwise = said.contains("ready: ") && std::env::var_os("UPDATE_GOLDEN").is_some();
            if process.status().is_some() || Instant::now() >= deadline || shown_otherwise {
                break false;
            }
            thread::sleep(POLL);
        };
        let mut said = process.stdout();
        let mut ended = process.status();
        if let Some(after) = after {
            let printed = said.len();
            process.signal(Signal::INT);
            ended = process.wait(PATIENCE);
            let last = process.stdout().split_off(printed);
            fine = fine && is_like(after, &last, true);
            said = format!("{said}^C\n{last}");
        } else {
            self.running.push(process);
        }
        let status = ended.map_or(0, |status| status.code().unwrap_or(-1));
        if fine && status == exchange.status { Ok(()) } else { Err((status, said)) }
    }

    fn phone(&self, what: &str) {
        let server = SocketAddr::new(IpAddr::V4(Node::Pbx.v4()), 5060);
        let phone = Phone::new(&self.lab, Node::Phone, PHONE, Transport::Udp);
        match what {
            "register" => assert_eq!(phone.register(server).unwrap(), Answer::Done),
            "guess" => {
                let account = Account { user: PHONE.user, password: "what-was-it-again" };
                let guesser = Phone::new(&self.lab, Node::Attacker, account, Transport::Udp);
                assert!(
                    (0..20).any(|_| guesser.register(server).unwrap() == Answer::Nothing),
                    "never banned"
                );
            }
            "call" => assert!(phone.call(server, ECHO).unwrap().audio_both_ways()),
            _ => panic!("a phone cannot `{what}`"),
        }
    }

    /// Runs a command to its end.
    fn shell(&self, command: &str) -> (Option<i32>, String) {
        let done = lab::run(self.command(&format!("exec 2>&1\n{command}")), PATIENCE).unwrap();
        (done.status.code(), done.stdout)
    }

    fn start(&self, command: &str) -> Process {
        self.lab.spawn("guide", self.command(&format!("exec 2>&1\nexec {command}"))).unwrap()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.host.id().to_string(), "--mount", "--net", "--wd=/mnt", "--"]);
        command.args(["sh", "-c", script]);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("/mnt/.bin:{path}")).env("SAMPLES", "/mnt/.samples");
        command.env("HOME", "/mnt").env_remove("SSH_CONNECTION");
        command
    }
}

/// The program under test: `RINGFENCE_BIN` where the task runner built one, else the one that cargo built with this test.
fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(POLL);
    }
}
