//! Our nftables table, through the `nft` command: applied in one transaction, read back, removed.

use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};

use policy::plan::nft::{TABLE, removal};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Checks a ruleset without applying it.
///
/// # Errors
///
/// [`Error::NoNft`], or [`Error::Nft`] with nft's own words.
pub fn check(ruleset: &str) -> Result<(), Error> {
    feed(&["--check", "--file", "-"], ruleset)
}

/// Applies a ruleset: all of it or nothing.
///
/// # Errors
///
/// As [`check`].
pub fn apply(ruleset: &str) -> Result<(), Error> {
    feed(&["--file", "-"], ruleset)
}

/// Removes the table, if it is there.
///
/// # Errors
///
/// As [`check`].
pub fn remove() -> Result<(), Error> {
    apply(&removal())
}

/// The table as the kernel has it now, without counters and without the elements that packets put into sets; `None` if
/// it is not there.
///
/// # Errors
///
/// [`Error::NoNft`] or [`Error::Nft`].
pub fn list() -> Result<Option<String>, Error> {
    let output = run(&["--stateless", "--terse", "list", "table", "inet", TABLE], "")?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// A fingerprint of the table as the kernel has it now; `None` if it is not there.
///
/// # Errors
///
/// As [`list`].
pub fn fingerprint() -> Result<Option<[u8; 32]>, Error> {
    Ok(list()?.map(|text| Sha256::digest(text).into()))
}

/// Packets and bytes by the line of the policy whose rule counted them.
///
/// # Errors
///
/// As [`list`].
pub fn counters() -> Result<Vec<Counter>, Error> {
    let output = run(&["--json", "list", "table", "inet", TABLE], "")?;
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let tree: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Nft { reason: format!("its JSON cannot be read: {error}") })?;
    let items = tree.get("nftables").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    Ok(items.iter().filter_map(|item| counter(item.get("rule")?)).collect())
}

/// What one rule of the table counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Counter {
    /// The rule's comment, such as `line 12`.
    pub comment: String,
    pub verdict: CounterVerdict,
    pub packets: u64,
    pub bytes: u64,
}

/// How a counted rule ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CounterVerdict {
    Accept,
    Drop,
    Reject,
    /// The packet went on.
    Other,
}

fn counter(rule: &serde_json::Value) -> Option<Counter> {
    let expressions = rule.get("expr")?.as_array()?;
    let find = |key: &str| expressions.iter().find_map(|expression| expression.get(key));
    let counted = find("counter")?;
    let verdict = match (find("accept"), find("drop"), find("reject")) {
        (Some(_), _, _) => CounterVerdict::Accept,
        (_, Some(_), _) => CounterVerdict::Drop,
        (_, _, Some(_)) => CounterVerdict::Reject,
        (None, None, None) => CounterVerdict::Other,
    };
    Some(Counter {
        comment: rule.get("comment").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        verdict,
        packets: counted.get("packets")?.as_u64()?,
        bytes: counted.get("bytes")?.as_u64()?,
    })
}

fn feed(arguments: &[&str], ruleset: &str) -> Result<(), Error> {
    let output = run(arguments, ruleset)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Nft { reason: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

fn run(arguments: &[&str], input: &str) -> Result<Output, Error> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound { Error::NoNft } else { Error::io("run", "nft")(error) }
    };
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // `nft` that ends before it has read all says why on stderr; a broken pipe says nothing more.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map_err(failed)
}
