//! `cargo xtask bench filters`: `fail2ban-regex` and `ringfence test-filter` on the same logs, one after the other.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::median;
use crate::step::{cargo, run};
use crate::target_dir;

/// Lines of a log; fail2ban, which is slower and runs in two ways, gets fewer of them.
const LINES: u32 = 1_000_000;
const THEIR_LINES: u32 = LINES / 25;

/// The second way to run `fail2ban-regex`: the first expression that matches counts, as in its server. As it comes it tries all of
/// them on every line.
const AS_SERVER: &str = "--no-check-all";

/// A log to be made.
struct Case {
    name: &'static str,
    filter: &'static str,
    log: Log,
}

enum Log {
    /// Of a hundred lines so many are failures.
    Made { failures: u32, line: fn(u32, bool) -> String },
    /// fail2ban's own, again and again, without what is annotated: nearly all failures, and each line in another form.
    Annotated,
}

const CASES: [Case; 11] = [
    Case { name: "auth.log, 5 % failures", filter: "sshd", log: Log::Made { failures: 5, line: auth } },
    Case { name: "auth.log, all failures", filter: "sshd", log: Log::Made { failures: 100, line: auth } },
    Case {
        name: "Asterisk's full, 2 % failures",
        filter: "asterisk",
        log: Log::Made { failures: 2, line: full },
    },
    Case {
        name: "Asterisk's security, all failures",
        filter: "asterisk",
        log: Log::Made { failures: 100, line: full },
    },
    annotated("annotated: asterisk", "asterisk"),
    annotated("annotated: sshd", "sshd"),
    annotated("annotated: apache-auth", "apache-auth"),
    annotated("annotated: postfix", "postfix"),
    annotated("annotated: dovecot", "dovecot"),
    annotated("annotated: nginx-http-auth", "nginx-http-auth"),
    annotated("annotated: freeswitch", "freeswitch"),
];

/// Where Debian's package has the annotated logs.
const ANNOTATED: &str = "/usr/lib/python3/dist-packages/fail2ban/tests/files/logs";

const fn annotated(name: &'static str, filter: &'static str) -> Case {
    Case { name, filter, log: Log::Annotated }
}

pub(super) fn run_all() -> Result<()> {
    run(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
    println!(
        "{:<36} {:>16} {:>16} {:>16} {:>7} {:>7}",
        "lines a second of one processor", "fail2ban-regex", AS_SERVER, "ringfence", "times", "times"
    );
    for case in CASES {
        if matches!(case.log, Log::Annotated) && !Path::new(ANNOTATED).join(case.filter).exists() {
            println!("{:<36} skipped: `{ANNOTATED}` has no such log", case.name);
            continue;
        }
        let (short, long) = (write(&case, THEIR_LINES)?, write(&case, LINES)?);
        let empty = target_dir().join("bench-empty.log");
        File::create(&empty)?;
        let rate_of_theirs = |options: &[&str]| {
            let run = |log: &Path| theirs(options, case.filter, log);
            rate(THEIR_LINES, || run(&short), || run(&empty))
        };
        let (as_it_comes, as_server) = (rate_of_theirs(&[])?, rate_of_theirs(&[AS_SERVER])?);
        let ours = rate(LINES, || ours(case.filter, &long), || ours(case.filter, &empty))?;
        println!(
            "{:<36} {as_it_comes:>16.0} {as_server:>16.0} {ours:>16.0} {:>7.0} {:>7.0}",
            case.name,
            ours / as_it_comes,
            ours / as_server
        );
        for path in [short, long, empty] {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
    }
    Ok(())
}

/// Lines a second, without what the program takes to start; the middle one of three runs.
fn rate(lines: u32, on_log: impl Fn() -> Command, on_nothing: impl Fn() -> Command) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..3 {
        let taken = cpu_time_of(on_log())?.saturating_sub(cpu_time_of(on_nothing())?);
        rates.push(f64::from(lines) / taken.as_secs_f64().max(0.01));
    }
    Ok(median(&mut rates))
}

fn theirs(options: &[&str], filter: &str, log: &Path) -> Command {
    let mut command = Command::new("fail2ban-regex");
    command.args(["--print-no-missed", "--print-no-ignored"]).args(options).arg(log).arg(filter);
    command
}

fn ours(filter: &str, log: &Path) -> Command {
    let mut command = Command::new(target_dir().join("release/ringfence"));
    command.arg("test-filter").arg(log).arg(filter);
    command
}

/// What a program takes of one processor, which other programs disturb less than the time on the wall.
fn cpu_time_of(mut command: Command) -> Result<Duration> {
    let before = children_time()?;
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(children_time()?.saturating_sub(before))
}

/// Of all children so far: `cutime` and `cstime` of proc_pid_stat(5), in hundredths of a second.
fn children_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read `/proc/self/stat`")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split(' ').skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn write(case: &Case, lines: u32) -> Result<PathBuf> {
    let path = target_dir().join(format!("bench-{}-{lines}.log", case.filter));
    let file = File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut out = BufWriter::new(file);
    match case.log {
        Log::Made { failures, line } => {
            for number in 0..lines {
                // 37 and 100 have no divisor in common: failures lie among the others.
                let failure = number * 37 % 100 < failures;
                writeln!(out, "{}", line(number, failure))?;
            }
        }
        Log::Annotated => {
            let log = Path::new(ANNOTATED).join(case.filter);
            let text = std::fs::read(&log).with_context(|| format!("cannot read `{}`", log.display()))?;
            let kept: Vec<&[u8]> = text
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
                .collect();
            for line in kept.iter().cycle().take(lines as usize) {
                out.write_all(line)?;
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()?;
    Ok(path)
}

/// Twenty lines a second.
fn clock(number: u32) -> (u32, u32, u32, u32) {
    let second = number / 20;
    (1 + second / 86_400, second / 3600 % 24, second / 60 % 60, second % 60)
}

fn attacker(number: u32) -> String {
    format!("198.51.{}.{}", number / 7 % 256, number / 3 % 256)
}

fn auth(number: u32, failure: bool) -> String {
    let (day, hour, minute, second) = clock(number);
    let (host, port, user) = (attacker(number), 40_000 + number % 9999, number % 50);
    let process = 1000 + number % 30_000;
    let sshd = |text: String| format!("sshd[{process}]: {text}");
    let text = match (failure, number % 4) {
        (true, 0) => {
            sshd(format!("Failed password for invalid user admin{user} from {host} port {port} ssh2"))
        }
        (true, 1) => sshd(format!("Failed password for root from {host} port {port} ssh2")),
        (true, 2) => sshd(format!("Invalid user oracle{user} from {host} port {port}")),
        (true, _) => {
            sshd(format!("Connection closed by authenticating user root {host} port {port} [preauth]"))
        }
        (false, 0) => {
            sshd("pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)".to_owned())
        }
        (false, 1) => format!("CRON[{process}]: pam_unix(cron:session): session closed for user root"),
        (false, 2) => format!("systemd-logind[412]: New session {number} of user deploy."),
        (false, _) => format!(
            "sudo: deploy : TTY=pts/0 ; PWD=/home/deploy ; USER=root ; COMMAND=/usr/bin/apt-get update {number}"
        ),
    };
    format!("Nov {day:2} {hour:02}:{minute:02}:{second:02} pbx {text}")
}

fn full(number: u32, failure: bool) -> String {
    let (day, hour, minute, second) = clock(number);
    let (host, account, thread) = (attacker(number), 100 + number % 900, 1000 + number % 99);
    let event = |kind: &str, severity: &str, rest: &str| {
        format!(
            "SECURITY[{thread}] res_security_log.c: SecurityEvent=\"{kind}\",EventTV=\"2026-11-{day:02}T10:00:00.000+0000\",\
             Severity=\"{severity}\",Service=\"PJSIP\",EventVersion=\"2\",AccountID=\"{account}\",SessionID=\"0x7f{number:x}\",\
             LocalAddress=\"IPV4/UDP/192.0.2.1/5060\",RemoteAddress=\"IPV4/UDP/{host}/5060\",{rest}"
        )
    };
    let text = match (failure, number % 4) {
        (true, 0 | 1) => {
            event("InvalidPassword", "Error", "Challenge=\"\",ReceivedChallenge=\"x\",ReceivedHash=\"y\"")
        }
        (true, 2) => format!(
            "NOTICE[{thread}] chan_sip.c: Registration from '\"{account}\" <sip:{account}@192.0.2.1>' failed for '{host}:5060' - Wrong password"
        ),
        (true, _) => format!(
            "NOTICE[{thread}] res_pjsip/pjsip_distributor.c: Request 'INVITE' from '<sip:{account}@192.0.2.1>' failed for '{host}:5060' \
             (callid: {number}) - No matching endpoint found"
        ),
        (false, 0) => event("SuccessfulAuth", "Informational", "UsingPassword=\"1\""),
        (false, _) => format!(
            "VERBOSE[{thread}][C-{number:08x}] pbx.c: Executing [s@macro-dial:7] Set(\"SIP/trunk-{number:08x}\", \"CDR(userfield)={account}\") in new stack"
        ),
    };
    format!("[2026-11-{day:02} {hour:02}:{minute:02}:{second:02}] {text}")
}
