//! The whole job in one picture: a real Asterisk under attack, first bare, then behind Ringfence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use lab::{Asterisk, AsteriskOptions, Guard, Lab, Node, guard};

use crate::install;
use crate::step::{Steps, cargo};
use crate::{target_dir, workspace};

mod scenes;

use scenes::Scene;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Another policy than the article's (`../shared/data/article/iptables`) or, without that, `samples/asterisk.rules`
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Another program than `target/release/ringfence`, which is built first
    #[arg(long)]
    binary: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    ensure!(install::is_root(), "the demo needs root for its network namespaces: sudo cargo xtask demo");
    let policy = policy(args)?;
    let binary = args.binary.clone().unwrap_or_else(|| target_dir().join("release/ringfence"));
    let mut steps = Steps::default();
    let missing = steps.run("packages", install::packages)?;
    steps.note(missing);
    if args.binary.is_none() {
        steps.command("release build", cargo(["build", "--release", "--package", "ringfence"]))?;
    }
    steps.run("asterisk 22", asterisk_files)?;
    let lab = steps.run("lab", || {
        println!("   attacker {}, phone {}, PBX {}", Node::Attacker.v4(), Node::Phone.v4(), Node::Pbx.v4());
        Ok(Lab::up("demo")?)
    })?;
    let asterisk = steps.run("asterisk starts", || Ok(lab.asterisk(&AsteriskOptions { guests: true })?))?;
    show(&mut steps, &lab, &asterisk, &binary, &policy)
}

fn show(steps: &mut Steps, lab: &Lab, asterisk: &Asterisk, binary: &Path, policy: &Path) -> Result<()> {
    let _doors = scenes::listeners(lab)?;
    let bare = steps.run("attacks on the bare PBX", || scenes::play(lab, asterisk))?;
    let mut guard = steps.run("ringfence run", || {
        println!("   policy: {}", policy.display());
        let guard = Guard::start(lab, binary, policy)?;
        println!("   {}", guard.ready());
        Ok(guard)
    })?;
    let guarded = steps.run("the same, guarded", || scenes::play(lab, asterisk))?;

    println!("\n{}", table(&bare, &guarded));
    drop_log(&guard);
    steps.run("ringfence stop --clean", || stop(lab, &mut guard))?;
    steps.summary();
    verdict(&bare, &guarded)
}

fn policy(args: &DemoArgs) -> Result<PathBuf> {
    let article = workspace().join("../shared/data/article/iptables");
    let sample = workspace().join("samples/asterisk.rules");
    let chosen = match &args.policy {
        Some(policy) => policy.clone(),
        None if article.exists() => article,
        None => sample,
    };
    chosen.canonicalize().with_context(|| format!("cannot find the policy `{}`", chosen.display()))
}

fn asterisk_files() -> Result<()> {
    let root = lab::asterisk::root()?;
    println!("   {} in {}", lab::asterisk::version(&root)?, root.display());
    Ok(())
}

/// What Ringfence wrote to the system's log about the packets that it dropped.
fn drop_log(guard: &Guard<'_>) {
    const SHOWN: usize = 6;
    let log = guard.system_log();
    let lines: Vec<&String> = log.iter().filter(|line| line.contains("iptables-badsip: ")).collect();
    println!("== the system's log: {} lines about dropped packets, the first {SHOWN}", lines.len());
    for line in lines.iter().take(SHOWN) {
        println!("   {line}");
    }
    if let Ok(status) = guard.command(&["status"]) {
        println!("\n== ringfence status\n{}", indented(&status.text()));
    }
}

fn stop(lab: &Lab, guard: &mut Guard<'_>) -> Result<()> {
    let output = guard.command(&["stop", "--clean"])?;
    ensure!(
        output.status.success(),
        "`ringfence stop --clean` ended with {}: {}",
        output.status,
        output.text()
    );
    ensure!(
        guard.process().wait(Duration::from_secs(10)).is_some(),
        "the daemon still runs after `ringfence stop --clean`"
    );
    let remains = guard::remains(lab)?;
    if !remains.is_empty() {
        bail!("something is left:\n{}", remains.join("\n"));
    }
    println!("   nothing is left: no nft table, no program on an interface, no pin");
    Ok(())
}

fn table(bare: &[Scene], guarded: &[Scene]) -> String {
    let head = ["", "bare PBX", "SIP seen", "behind Ringfence", "SIP seen"].map(str::to_owned);
    let body = bare.iter().zip(guarded).map(|(before, after)| {
        let seen = |scene: &Scene| scene.seen.map(|seen| seen.to_string()).unwrap_or_default();
        [before.title.to_owned(), before.outcome.clone(), seen(before), after.outcome.clone(), seen(after)]
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        if number == 0 {
            text.push_str(&widths.map(|width| "-".repeat(width)).join("  "));
            text.push('\n');
        }
    }
    text + "\"SIP seen\": messages from there in Asterisk's own log.\n"
}

/// The demo fails when it does not show what it is there to show.
fn verdict(bare: &[Scene], guarded: &[Scene]) -> Result<()> {
    let failed = |scenes: &[Scene], guarded: bool| -> Vec<String> {
        let wrong = scenes.iter().filter(|scene| scene.good != scene.expected(guarded));
        wrong.map(|scene| format!("{}: {}", scene.title, scene.outcome)).collect()
    };
    let (before, after) = (failed(bare, false), failed(guarded, true));
    ensure!(before.is_empty(), "on the bare PBX this was not as it should be:\n{}", before.join("\n"));
    ensure!(after.is_empty(), "behind Ringfence this was not as it should be:\n{}", after.join("\n"));
    println!("\nThe scanners found a PBX before and nothing after; the phone did not notice.");
    Ok(())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}
