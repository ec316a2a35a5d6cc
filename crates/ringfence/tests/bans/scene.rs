//! A host with two services that answer everything, and what the tests ask of it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::probe::{self, Listener, UdpProbe};
use lab::{Guard, Lab, Node, Output, skip};
use serde_json::Value;

pub(crate) const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
pub(crate) const PHONE: IpAddr = IpAddr::V4(Node::Phone.v4());
pub(crate) const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
pub(crate) const SIP: u16 = 5060;
/// No port of SIP.
pub(crate) const OTHER: u16 = 4000;

pub(crate) const POLICY: &str = "signatures = []\n[services]\n\
    sip = { udp = [5060], tcp = [5060], inspect = true }\n\
    ssh = { tcp = [22, 2222] }\nother = { udp = [4000] }\n";

/// The program under test: `RINGFENCE_BIN` where the task runner built one, else the one that cargo built with this test.
pub(crate) fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// A lab with the two services in it.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) policy: PathBuf,
    _services: Vec<Listener>,
}

impl Scene {
    /// `None` where the test cannot run.
    pub(crate) fn new(test: &str, tools: &[&str]) -> Option<Self> {
        if !skip::ready(test, &[&["bpftool", "nft"], tools].concat()) {
            return None;
        }
        let lab = Lab::up(test).unwrap();
        let policy = lab.dir().join("policy.toml");
        std::fs::write(&policy, POLICY).unwrap();
        let mut services: Vec<Listener> =
            [SIP, OTHER].iter().map(|port| Listener::udp_echo(&lab, Node::Pbx, *port).unwrap()).collect();
        services.shrink_to_fit();
        Some(Self { lab, policy, _services: services })
    }

    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard::start(&self.lab, &binary(), &self.policy).unwrap()
    }

    /// With more in its environment.
    pub(crate) fn guard_in(&self, environment: &[(&str, &str)]) -> Guard<'_> {
        let interface = [Node::INTERFACE];
        Guard::start_before(&self.lab, &binary(), &self.policy, &interface, environment).unwrap()
    }

    /// Whether a datagram of a node is answered; drops are asked twice, as a datagram may be lost.
    pub(crate) fn serves(&self, from: Node, port: u16) -> bool {
        (0..2).any(|_| {
            let to = SocketAddr::new(PBX, port);
            let answer = probe::udp(&self.lab, from, to, b"OPTIONS sip:a SIP/2.0\r\n\r\n", WAIT).unwrap();
            matches!(answer, UdpProbe::Reply(_))
        })
    }

    /// A directory of the daemon that [`Scene::guard`] starts: `run`, `state`.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.lab.dir().join("ringfence").join(name)
    }

    /// `ringfence run` to its end, with `run_dir` in place of the usual one.
    pub(crate) fn run(&self, run_dir: &str, pins: &str, more: &[&str]) -> Output {
        self.run_with("state", run_dir, pins, more)
    }

    /// The same with another state directory.
    pub(crate) fn run_with(&self, state: &str, run_dir: &str, pins: &str, more: &[&str]) -> Output {
        let mut command = self.lab.command(Node::Pbx, &binary().display().to_string());
        command.arg("run").arg("--policy").arg(&self.policy).args(["--interface", Node::INTERFACE]);
        command.arg("--state-dir").arg(self.directory(state));
        command.arg("--run-dir").arg(self.directory(run_dir));
        command.arg("--pin-dir").arg(self.lab.bpffs().join(pins)).args(more);
        lab::run(command, Duration::from_secs(20)).unwrap()
    }

    /// A shell command in the PBX's namespace, in which `$R` is the program and `$D` its run directory.
    pub(crate) fn shell(&self, script: &str) -> Output {
        let mut command = self.lab.command(Node::Pbx, "sh");
        command.args(["-c", script]).env("R", binary()).env("D", self.directory("run"));
        lab::run(command, Duration::from_secs(60)).unwrap()
    }
}

const WAIT: Duration = Duration::from_millis(700);

/// A command that has to end with this status; what it said.
#[track_caller]
pub(crate) fn says(guard: &Guard<'_>, args: &[&str], status: i32) -> String {
    let output = guard.command(args).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {}", output.text());
    output.text()
}

/// Lines of JSON of a command.
#[track_caller]
pub(crate) fn json(guard: &Guard<'_>, args: &[&str]) -> Vec<Value> {
    let output = guard.command(&[args, &["--format", "json"]].concat()).unwrap();
    output.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// What `status --verify` says.
#[track_caller]
pub(crate) fn verify(guard: &Guard<'_>) -> Value {
    json(guard, &["status", "--verify"]).remove(0)
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
