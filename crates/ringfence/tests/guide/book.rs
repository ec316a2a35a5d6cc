//! What holds the book together: the summary, the links, and what may be shown without being run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::docs;

/// What no lab can do: it installs, asks systemd or Docker, or belongs to FreePBX. All else is shown in `console` blocks, and run.
const NOT_RUN: [&str; 5] = ["apt", "docker", "fwconsole", "mdbook", "systemctl"];

#[test]
fn every_page_is_in_the_summary() {
    let summary = docs().join("SUMMARY.md");
    let listed: BTreeSet<PathBuf> = links(&fs::read_to_string(&summary).unwrap())
        .into_iter()
        .map(|link| plain(&docs().join(link)))
        .collect();
    let mut there: BTreeSet<PathBuf> = pages().into_iter().map(|path| plain(&path)).collect();
    there.remove(&plain(&summary));
    assert_eq!(listed, there);
}

#[test]
fn every_link_leads_to_a_file() {
    let readme = docs().join("../README.md");
    let mut lost = Vec::new();
    for page in pages().into_iter().chain([readme]) {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let is_there = target.exists()
                && (heading.is_empty() || headings(&fs::read_to_string(&target).unwrap()).contains(heading));
            if !is_there {
                lost.push(format!("{}: {link}", plain(&page).display()));
            }
        }
    }
    assert!(lost.is_empty(), "links that lead nowhere:\n{}", lost.join("\n"));
}

#[test]
fn what_is_not_run_is_of_few_programs() {
    for page in
        pages().into_iter().filter(|page| page.parent().is_some_and(|folder| folder.ends_with("guide")))
    {
        let text = fs::read_to_string(&page).unwrap();
        let mut kind: Option<&str> = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), kind) {
                (Some(_), Some(_)) => kind = None,
                (Some(begin), None) => kind = Some(begin),
                (None, Some("sh")) => {
                    let program =
                        line.trim_start_matches("sudo ").split_whitespace().next().unwrap_or_default();
                    assert!(
                        NOT_RUN.contains(&program),
                        "{}: `{line}` is not run by any test",
                        page.display()
                    );
                }
                (None, Some(other)) => {
                    let is_known = ["console", "ini", "text", "toml", "yaml"].contains(&other);
                    assert!(is_known, "{}: a block of kind `{other}`", page.display());
                }
                (None, None) => (),
            }
        }
    }
}

/// All pages of the book, the summary too.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [docs(), docs().join("guide")] {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "md")));
    }
    found.sort();
    found
}

/// The relative links of a page, without those in code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            code = !code;
        }
        let pieces = line.split("](").skip(1).filter(|_| !code);
        let targets = pieces.filter_map(|piece| piece.split(')').next());
        found.extend(targets.filter(|target| !target.contains("://")).map(str::to_owned));
    }
    found
}

/// The names of a page's headings, as links have them.
fn headings(text: &str) -> BTreeSet<String> {
    let names = text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let name = line.trim_start_matches('#').trim().to_lowercase();
        let kept = name.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    });
    names.collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => (),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}
