//! Every check and every test, in the order in which a mistake shows soonest.

use std::fs;

use anyhow::{Context, Result};
use clap::Args;

use crate::install::{self, is_root};
use crate::step::{Steps, cargo, run};
use crate::{bpf, target_dir};

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Install nothing; what is missing makes its step fail
    #[arg(long)]
    no_install: bool,
    /// Only the tests themselves, without format, lint, documentation and licence checks
    #[arg(long)]
    tests_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CiArgs {
    #[command(flatten)]
    test: TestArgs,
    /// Only look the dependencies up in the RustSec advisory database, which needs the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn ci(args: &CiArgs) -> Result<()> {
    if !args.advisories {
        return test(&args.test);
    }
    let mut steps = Steps::default();
    steps.run("cargo commands", install::cargo_commands)?;
    steps.command("advisories", cargo(["deny", "check", "advisories"]))?;
    steps.summary();
    Ok(())
}

pub(crate) fn test(args: &TestArgs) -> Result<()> {
    let mut steps = Steps::default();
    if !args.no_install {
        let missing = steps.run("packages", install::packages)?;
        steps.note(missing);
    }
    if !args.tests_only {
        if !args.no_install {
            steps.run("cargo commands", install::cargo_commands)?;
        }
        lint(&mut steps)?;
    }
    steps.run("kernel object", bpf::check)?;
    steps.command("release build", cargo(["build", "--release", "--package", "ringfence"]))?;
    steps.run("tests", tests)?;
    if !is_root() {
        steps.note(Some("without root, what needs a network namespace was skipped".to_owned()));
    }
    steps.summary();
    Ok(())
}

fn lint(steps: &mut Steps) -> Result<()> {
    steps.command("format", cargo(["fmt", "--all", "--check"]))?;
    // The kernel half is not in the workspace.
    let bpf = cargo(["fmt", "--manifest-path", "crates/gate-bpf/Cargo.toml", "--check"]);
    steps.command("format of the kernel half", bpf)?;
    let fuzz = cargo(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]);
    steps.command("format of the fuzz targets", fuzz)?;
    steps.command("clippy", cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    steps.run("fuzz targets", fuzz_targets)?;
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    steps.command("documentation", doc)?;
    // The next step looks at the crates of all targets, not only of those that were built.
    steps.command("crates of all targets", cargo(["fetch", "--locked", "--quiet"]))?;
    // The advisory database is not asked here: the same commit must not pass today and fail tomorrow.
    let deny = cargo(["deny", "--offline", "check", "bans", "licenses", "sources"]);
    steps.command("dependencies", deny)
}

/// Whether the fuzz targets fit the crates; running them takes another compiler (`fuzz/Cargo.toml`).
fn fuzz_targets() -> Result<()> {
    // The fuzzer itself, which is C++, is not built for it; without a file in its place all would be checked anew each time.
    let fuzzer = target_dir().join("libfuzzer.a");
    if !fuzzer.exists() {
        fs::create_dir_all(target_dir()).context("cannot make the target directory")?;
        fs::write(&fuzzer, []).with_context(|| format!("cannot write `{}`", fuzzer.display()))?;
    }
    let mut check = cargo(["check", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
    check.arg(target_dir()).env("CUSTOM_LIBFUZZER_PATH", fuzzer);
    run(check)
}

/// Runs the tests. As root nothing may be skipped; without root the tests say themselves what they skip.
fn tests() -> Result<()> {
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    // What users get is what the lab tests.
    command.env("RINGFENCE_BIN", target_dir().join("release/ringfence"));
    if is_root() {
        command.env(lab::skip::NO_SKIP, "1");
    }
    run(command)
}
