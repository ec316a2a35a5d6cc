//! Policies as people write them: `good/*.rules` load, `bad/*.rules` and `bad-toml/*.toml` fail with exactly the text beside
//! them.
//! `UPDATE_GOLDEN=1 cargo test -p policy` writes the expected texts anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};

use policy::Policy;
use policy::diagnostic::{Diagnostic, Source, Style};
use policy::iptables;
use policy::ruleset::Family;

#[test]
fn every_bad_rule_file_is_explained() {
    explained(&files_in("bad", "rules"));
}

#[test]
fn every_bad_toml_policy_is_explained() {
    explained(&files_in("bad-toml", "toml"));
}

fn explained(files: &[PathBuf]) {
    let mut wrong = Vec::new();
    for file in files {
        let Err(mistakes) = load(file) else {
            wrong.push(format!("{} loads", file.display()));
            continue;
        };
        let text: Vec<String> = mistakes.iter().map(|mistake| mistake.render(Style::Plain)).collect();
        let text = text.join("\n");
        let golden = file.with_extension("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, text).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_good_policy_loads_without_doubt() {
    for file in files_in("good", "rules") {
        match load(&file) {
            Ok(warnings) => assert_eq!(warnings, [], "{}", file.display()),
            Err(mistakes) => {
                let text: String = mistakes.iter().map(|mistake| mistake.render(Style::Plain)).collect();
                panic!("{}:\n{text}", file.display());
            }
        }
    }
}

#[test]
fn the_file_of_the_article_loads() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/article/iptables");
    if !file.exists() {
        lab::skip::note("the_articles_file_loads", "the article's own file is not here");
        return;
    }
    let loaded = Policy::parse("iptables", fs::read(&file).unwrap()).unwrap();
    assert_eq!(loaded.warnings(), []);
    let rules = loaded.set(Family::Ipv4).unwrap();
    let counts: Vec<_> = rules.chains.iter().map(|chain| (chain.name.as_str(), chain.rules.len())).collect();
    assert_eq!(counts, [("INPUT", 16), ("FORWARD", 1), ("OUTPUT", 0), ("BADSIP", 2)]);
    assert!(rules.needs_conntrack());
}

fn files_in(folder: &str, kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == kind));
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Rule files are read as such, whatever they look like.
fn load(file: &Path) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let name = file.file_name().unwrap().to_string_lossy();
    let bytes = fs::read(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "toml") {
        return Policy::parse(&name, bytes).map(|policy| policy.warnings().to_vec());
    }
    let source = Source::from_bytes(&name, bytes).map_err(|error| vec![error])?;
    iptables::parse_source(source).map(|file| file.warnings)
}
