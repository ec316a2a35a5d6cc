//! Tests that need root, and how they say that they did not run.

use std::io::Write as _;

use rustix::process::geteuid;

use crate::tools;

/// Where this is set to `1`, a test that cannot run fails instead of being skipped. `cargo xtask test` sets it for root.
pub const NO_SKIP: &str = "RINGFENCE_NO_SKIP";

/// Whether a test that needs the lab and these programs can run here. When not, says so on the terminal, past the test
/// runner's capture, or fails where [`NO_SKIP`] is set.
///
/// ```no_run
/// if !lab::skip::ready("unguarded", &["nmap"]) {
///     return;
/// }
/// ```
#[must_use]
pub fn ready(test: &str, programs: &[&str]) -> bool {
    if !geteuid().is_root() {
        skip(test, "needs root");
        return false;
    }
    if let Err(error) = tools::need(programs) {
        skip(test, &error.to_string());
        return false;
    }
    true
}

/// Says that a test does not run here, and why.
///
/// # Panics
/// Where [`NO_SKIP`] is `1`.
pub fn skip(test: &str, why: &str) {
    let strict = std::env::var(NO_SKIP).is_ok_and(|value| value == "1");
    assert!(!strict, "the test `{test}` may not be skipped here, but {why}");
    note(test, why);
}

/// Says that a part of a test does not run here because its input is not part of the project, and why.
pub fn note(test: &str, why: &str) {
    // `eprintln!` would be swallowed for a test that passes.
    writeln!(std::io::stderr(), "SKIPPED {test}: {why}").ok();
}
