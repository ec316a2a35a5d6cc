//! `ringfence convert jail.local`: what fail2ban's jails become in a policy.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use filters::jail::Jail;
use filters::{Filter, Kind};

use crate::disk::{Disk, FILTER_FOLDERS, told};
use crate::exit::Exit;

/// The policy's own bounds.
const LONGEST_BAN: Duration = Duration::from_secs(180 * 86_400);
const SHORTEST_BAN: Duration = Duration::from_secs(60);
const LONGEST_WITHIN: Duration = Duration::from_secs(30 * 86_400);
const LONGEST_NAME: usize = 32;

/// Writes the enabled jails as `[jails.NAME]` to stdout, and what they say differently to stderr.
pub(super) fn run(path: &Path) -> Result<ExitCode, Exit> {
    let jails = Jail::read(path, &Disk).map_err(|error| told(&error))?;
    let enabled: Vec<&Jail> = jails.iter().filter(|jail| jail.enabled).collect();
    if enabled.is_empty() {
        return Err(Exit::No(format!("{}: no jail is enabled", path.display())));
    }
    let folders =
        path.parent().map(|folder| folder.join("filter.d")).into_iter().chain(FILTER_FOLDERS.map(Into::into));
    let folders: Vec<_> = folders.collect();
    let folders: Vec<&Path> = folders.iter().map(AsRef::as_ref).collect();
    for jail in &enabled {
        for difference in differences(jail, &folders) {
            writeln!(io::stderr(), "differs: {}: [{}] {difference}", path.display(), jail.name)?;
        }
    }
    let toml: Vec<String> = enabled.iter().filter(|jail| has_log(jail)).map(|jail| toml(jail)).collect();
    write!(io::stdout(), "{}", toml.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn toml(jail: &Jail) -> String {
    let mut out = format!("[jails.{}]\nfilter = {}\n", name(&jail.name), quoted(&jail.filter));
    if jail.journal {
        out.push_str("journal = true\n");
    } else {
        let files: Vec<String> =
            jail.files.iter().filter(|file| is_path(file)).map(|file| quoted(file)).collect();
        let _ = writeln!(out, "files = [{}]", files.join(", "));
    }
    let ports = if jail.is_sip() { "sip" } else { "all" };
    let _ = writeln!(
        out,
        "max-failures = {}\nwithin = \"{}\"\nban = \"{}\"\nports = \"{ports}\"",
        jail.max_failures.clamp(1, u32::from(engine::Jail::MOST)),
        period(jail.within.clamp(Duration::from_secs(1), LONGEST_WITHIN)),
        period(ban(jail)),
    );
    if jail.is_sip() {
        out.push_str("sip = true\n");
    }
    out
}

fn ban(jail: &Jail) -> Duration {
    jail.ban.unwrap_or(LONGEST_BAN).clamp(SHORTEST_BAN, LONGEST_BAN)
}

fn has_log(jail: &Jail) -> bool {
    jail.journal || jail.files.iter().any(|file| is_path(file))
}

/// A path as the policy takes it: from the root on, with a pattern in its last part only.
fn is_path(file: &str) -> bool {
    let folder = file.rsplit_once('/').map(|(folder, _)| folder);
    file.starts_with('/') && folder.is_some_and(|folder| !folder.contains(['*', '?', '[']))
}

/// What does not become the same.
fn differences(jail: &Jail, folders: &[&Path]) -> Vec<String> {
    let mut said = Vec::new();
    if jail.ban != Some(ban(jail)) {
        let before = jail.ban.map_or_else(|| "ever".to_owned(), period);
        said.push(format!("bans for {before}; here for {}", period(ban(jail))));
    }
    if name(&jail.name) != jail.name {
        said.push(format!("is called {} here", name(&jail.name)));
    }
    if !jail.is_sip() && !jail.ports.is_empty() {
        said.push(format!("bans from the ports {}; here from all", jail.ports.join(",")));
    }
    if !jail.ignored.is_empty() {
        said.push(format!(
            "never bans {}; here that is `[trust]` of the policy, or `ringfence trust`",
            jail.ignored.join(" ")
        ));
    }
    for file in jail.files.iter().filter(|file| !jail.journal && !is_path(file)) {
        said.push(format!("searches {file}, which is left out: name each folder, from `/` on"));
    }
    if !has_log(jail) {
        said.push("has no log to search, and is left out".to_owned());
    }
    let kind = if jail.journal { Kind::Journal } else { Kind::File };
    if let Err(error) = Filter::load(&jail.filter, kind, folders, &Disk) {
        said.push(format!("its filter cannot be used: {error}"));
    }
    said
}

/// As the policy has names: letters, digits, `-` and `_`.
fn name(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    name.chars().take(LONGEST_NAME).map(plain).collect()
}

/// A string of JSON is one of TOML, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// In the largest unit that has no rest.
fn period(time: Duration) -> String {
    let seconds = time.as_secs();
    let unit = [("d", 86_400), ("h", 3600), ("m", 60)]
        .into_iter()
        .find(|(_, unit)| seconds.is_multiple_of(*unit) && seconds > 0);
    unit.map_or_else(|| format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_becomes_a_table() {
        let jail = Jail {
            name: "my jail".to_owned(),
            enabled: true,
            filter: "asterisk[mode=\"x\"]".to_owned(),
            files: vec!["/var/log/asterisk/full".to_owned()],
            journal: false,
            max_failures: 5,
            within: Duration::from_secs(600),
            ban: Some(Duration::from_secs(5400)),
            ports: vec!["5060".to_owned(), "sips".to_owned()],
            ignored: Vec::new(),
        };
        assert_eq!(
            toml(&jail),
            "[jails.my-jail]\nfilter = \"asterisk[mode=\\\"x\\\"]\"\nfiles = [\"/var/log/asterisk/full\"]\nmax-failures = 5\n\
             within = \"10m\"\nban = \"90m\"\nports = \"sip\"\nsip = true\n"
        );
    }
}
