use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::{Lab, Node, Process};

use super::{row, shell, show};

/// Addresses in one call of its client.
const TOGETHER: usize = 500;

const JAIL: &str = "[DEFAULT]\nbantime = 30d\nbackend = polling\n[bench]\nenabled = true\nfilter = asterisk\n\
    port = 5060\nprotocol = udp\nbanaction = nftables-multiport\n";

/// Bans by its client through its usual nftables action, and what a restart takes.
pub(super) fn run(lab: &Lab, count: u32) -> Result<()> {
    if lab::tools::find("fail2ban-server").is_none() {
        println!("\nfail2ban is not installed");
        return Ok(());
    }
    println!("\nfail2ban, {count} addresses, its action `nftables-multiport`, its own database");
    let base = lab.dir().join("fail2ban");
    let config = base.join("etc");
    fs::create_dir_all(&base)?;
    ensure!(
        shell(lab, &format!("cp -r /etc/fail2ban {}", config.display()))?.status.success(),
        "no configuration"
    );
    for other in ["jail.local", "jail.d/defaults-debian.conf"] {
        // What is enabled there is not ours.
        fs::remove_file(config.join(other)).ok();
    }
    let log = base.join("log");
    fs::write(&log, "")?;
    fs::write(config.join("jail.local"), format!("{JAIL}logpath = {}\n", log.display()))?;
    let server = format!("[Definition]\ndbfile = {}\n", base.join("db").display());
    fs::write(config.join("fail2ban.local"), server)?;
    let options = format!("-c {} -s {base}/socket -p {base}/pid", config.display(), base = base.display());
    let start = || -> Result<Process> {
        let mut command = lab.command(Node::Pbx, "fail2ban-server");
        command.args(options.split(' ')).args(["-f", "-x"]);
        Ok(lab.spawn("fail2ban", command)?)
    };
    let server = start()?;
    let client = |what: &str| shell(lab, &format!("fail2ban-client {options} {what}"));
    wait(|| Ok(client("status bench")?.status.success()))?;
    let begin = Instant::now();
    let all: Vec<String> = (0..count)
        .map(|number| Ipv4Addr::from(0x0b00_0000 | number.wrapping_mul(0x9e_3779) & 0xff_ffff).to_string())
        .collect();
    for some in all.chunks(TOGETHER) {
        let done = client(&format!("set bench banip {}", some.join(" ")))?;
        ensure!(done.status.success(), "{}", done.text());
    }
    row("its client is done", show(begin.elapsed()));
    wait(|| Ok(in_force(lab)? == all.len()))?;
    let time = begin.elapsed();
    row("all are in force", format!("{}, {:.0} a second", show(time), f64::from(count) / time.as_secs_f64()));
    drop(server);
    shell(lab, "nft flush ruleset")?;
    let begin = Instant::now();
    let _server = start()?;
    wait(|| Ok(in_force(lab)? == all.len()))?;
    row("in force again after a restart", show(begin.elapsed()));
    shell(lab, "nft flush ruleset")?;
    Ok(())
}

/// Addresses in its set.
fn in_force(lab: &Lab) -> Result<usize> {
    let listed = shell(lab, "nft list table inet f2b-table 2>/dev/null || true")?.stdout;
    Ok(listed.split([',', '{', '}']).filter(|element| element.trim().starts_with("11.")).count())
}

fn wait(mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(600);
    while !is_so()? {
        ensure!(Instant::now() < end, "fail2ban did not do it in time");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
