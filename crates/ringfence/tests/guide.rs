//! The guide: each command that it shows is run, in the lab, and says what the page says. `UPDATE_GOLDEN=1` writes what it said
//! into the page.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::path::{Path, PathBuf};
use std::{env, fs};

use lab::skip;

#[path = "guide/book.rs"]
mod book;
#[path = "guide/likeness.rs"]
mod likeness;
#[path = "guide/page.rs"]
mod page;
#[path = "guide/reasons.rs"]
mod reasons;
#[path = "guide/session.rs"]
mod session;

use page::{Page, Part};
use session::Session;

const TOOLS: [&str; 10] = [
    "bpftool",
    "curl",
    "debootstrap",
    "fail2ban-server",
    "iptables-nft-restore",
    "nft",
    "sipp",
    "sshd",
    "svcrack",
    "svmap",
];

/// The pages that have a test here; [`every_page_has_a_test`] compares it with the folder.
const PAGES: &[&str] = &[
    "banned",
    "containers",
    "first-hour",
    "freepbx",
    "from-fail2ban",
    "from-iptables",
    "how-it-works",
    "trunks-and-phones",
    "watching",
];

#[test]
fn banned() {
    is_as_shown("banned");
}

#[test]
fn containers() {
    is_as_shown("containers");
}

#[test]
fn first_hour() {
    is_as_shown("first-hour");
}

#[test]
fn freepbx() {
    is_as_shown("freepbx");
}

#[test]
fn from_fail2ban() {
    is_as_shown("from-fail2ban");
}

#[test]
fn from_iptables() {
    is_as_shown("from-iptables");
}

#[test]
fn how_it_works() {
    is_as_shown("how-it-works");
}

#[test]
fn trunks_and_phones() {
    is_as_shown("trunks-and-phones");
}

#[test]
fn watching() {
    is_as_shown("watching");
}

#[test]
fn every_page_has_a_test() {
    let mut found: Vec<String> = fs::read_dir(docs().join("guide"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".md").map(str::to_owned))
        .collect();
    found.sort();
    assert_eq!(found, PAGES);
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Runs a page from its top to its end, as one session.
fn is_as_shown(name: &str) {
    let path = docs().join(format!("guide/{name}.md"));
    let mut page = Page::read(&fs::read_to_string(&path).unwrap());
    if !page.parts.iter().any(|part| matches!(part, Part::Console(_))) || !skip::ready(name, &TOOLS) {
        return;
    }
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    let mut session = Session::open(name, page.parts.contains(&Part::Asterisk));
    let mut wrong = Vec::new();
    for part in &mut page.parts {
        match part {
            Part::Text(_) | Part::Asterisk => (),
            Part::Hidden { who, command } => session.hidden(*who, command),
            Part::File { path, text } => session.write(path, text),
            Part::Console(exchanges) => {
                for exchange in exchanges {
                    if let Err((status, said)) = session.exchange(exchange) {
                        wrong.push(format!("$ {}\n{said}# status {status}", exchange.command));
                        exchange.status = status;
                        exchange.shown = said.lines().map(str::to_owned).collect();
                    }
                }
            }
        }
    }
    if update {
        fs::write(&path, page.write()).unwrap();
    }
    assert!(update || wrong.is_empty(), "docs/guide/{name}.md shows otherwise:\n{}", wrong.join("\n"));
}
