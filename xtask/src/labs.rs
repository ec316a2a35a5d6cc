//! A lab for people: it stays until it is taken down.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use lab::asterisk::{ACCOUNTS, Log, WEAK};
use lab::{Asterisk, AsteriskOptions, Lab, Node};

use crate::install;

#[derive(Debug, Args)]
pub(crate) struct LabArgs {
    /// Which lab, when there is more than one
    #[arg(long, default_value = "lab", global = true)]
    name: String,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make namespaces with an attacker, a phone and a running Asterisk 22
    Up {
        /// Let Asterisk turn callers without a password away, as a careful administrator does
        #[arg(long)]
        no_guests: bool,
    },
    /// Remove all of it, also what is left of a broken one
    Down,
    /// Run a command inside: `exec attacker svmap 198.51.100.10`
    Exec {
        /// `attacker`, `phone`, `pbx` or `net` (the router between them)
        node: Node,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a command of Asterisk's own: `asterisk pjsip show endpoints`
    Asterisk {
        /// The words of the command
        #[arg(required = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
    /// List the labs on this machine
    Status,
}

pub(crate) fn run(args: &LabArgs) -> ExitCode {
    match act(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: &LabArgs) -> Result<ExitCode> {
    let name = args.name.as_str();
    match &args.what {
        What::Up { no_guests } => up(name, !no_guests)?,
        What::Down => {
            Lab::down(name)?;
            println!("the lab `{name}` is gone");
        }
        What::Exec { node, command } => {
            let status = Lab::find(name)?.attach(*node, command)?;
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        What::Asterisk { words } => {
            let lab = Lab::find(name)?;
            print!("{}", Asterisk::find(&lab)?.cli(&words.join(" "))?);
        }
        What::Status => status()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(name: &str, guests: bool) -> Result<()> {
    if install::is_root() {
        install::packages()?;
    }
    let lab = Lab::up_to_stay(name)?;
    let started = lab.asterisk(&AsteriskOptions { guests });
    let asterisk = match started {
        Ok(asterisk) => asterisk,
        Err(error) => {
            Lab::down(name)?;
            return Err(error.into());
        }
    };
    let log = asterisk.log_path(Log::Full);
    asterisk.leave();

    println!("the lab `{name}` is up:");
    for node in Node::HOSTS {
        println!("  {:<9} {:<14} {:<18} namespace {}", node, node.v4(), node.v6(), lab.namespace(node));
    }
    println!("\nAsterisk 22 answers on UDP and TCP port 5060 of the PBX. Its accounts:");
    for account in ACCOUNTS {
        let note = if account == WEAK { "   (weak, for crackers)" } else { "" };
        println!("  {:<5} {}{note}", account.user, account.password);
    }
    let pbx = Node::Pbx.v4();
    let xtask = "cargo xtask lab";
    println!("\nAttack it:");
    println!("  {xtask} exec attacker svmap {pbx}");
    println!("  {xtask} exec attacker svwar -m INVITE -e 100-110,1000-1001 {pbx}");
    println!("  {xtask} exec attacker svcrack -u {} -r 100-110 {pbx}", WEAK.user);
    println!("  {xtask} exec attacker sipsak -v -s sip:600@{pbx}");
    println!("  {xtask} exec attacker nmap -n -sS --reason {pbx}");
    println!("Guard it:");
    println!("  {xtask} exec pbx target/release/ringfence run --policy samples/asterisk.rules \\");
    println!(
        "      --state-dir {0}/state --run-dir {0}/run --pin-dir {1}/ringfence",
        lab.dir().display(),
        lab.bpffs().display()
    );
    println!("Watch it:");
    println!("  tail -f {}", log.display());
    println!("  {xtask} asterisk pjsip show contacts");
    println!("Remove it:");
    println!("  {xtask} down");
    Ok(())
}

fn status() -> Result<()> {
    let labs = lab::list()?;
    if labs.is_empty() {
        println!("there is no lab on this machine; `cargo xtask lab up` makes one");
    }
    for lab in labs {
        let kind = match (lab.kept, lab.owned) {
            (true, _) => "stays until `cargo xtask lab down`",
            (false, true) => "belongs to a running test or demo",
            (false, false) => "left behind by a dead run; the next lab removes it",
        };
        println!("{:<16} {:>3} processes   {kind}", lab.id, lab.processes);
    }
    Ok(())
}
