//! `[jails.NAME]`, checked.

use std::path::PathBuf;
use std::time::Duration;

use super::feeds::period;
use super::{check_name, word};
use crate::jail::{Jail, Logs};
use crate::toml::defaults;
use crate::toml::file;
use crate::toml::reader::{List, Reader, Span, Spanned};
use crate::toml::values::{BadValue, bad};

/// Jails of one policy.
const MOST_JAILS: usize = 64;
/// Files of one jail.
const MOST_FILES: usize = 64;
const LONGEST_FILTER: usize = 400;
const WITHIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
/// The kernel keeps longer terms for ever.
const BAN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(180 * 86_400));
/// Filters of logs about SIP; others say so with `sip`.
const SIP_FILTERS: [&str; 4] = ["asterisk", "freeswitch", "kamailio", "opensips"];

pub(super) fn check(written: Option<(Vec<file::Jail>, Span)>, reader: &mut Reader<'_>) -> Vec<Jail> {
    let Some((written, span)) = written else { return Vec::new() };
    if written.len() > MOST_JAILS {
        let message = format!("{} jails; there is room for {MOST_JAILS}", written.len());
        reader.error(&span, message, "give one jail several files");
    }
    written.iter().filter_map(|one| jail(one, reader)).collect()
}

fn jail(written: &file::Jail, reader: &mut Reader<'_>) -> Option<Jail> {
    const PORTS: [(&str, engine::Scope); 2] =
        [("all", engine::Scope::AllPorts), ("sip", engine::Scope::SipPorts)];
    let name = &written.name;
    check_name(name, "a jail", reader);
    let filter = written.filter.as_ref().map_or_else(
        || Some(name.value.clone()),
        |text| Some(reader.value(&text.span, self::filter(&text.value))?.value),
    );
    let logs = logs(written, reader);
    let most = written.max_failures.as_ref();
    let most = most.and_then(|most| reader.value(&most.span, max_failures(most.value)));
    let mut time = |written: &Option<Spanned<String>>, key: &str, bounds| {
        let written = written.as_ref()?;
        Some(reader.value(&written.span, period(&written.value, key, bounds))?.value)
    };
    let within = time(&written.within, "within", WITHIN).unwrap_or(defaults::JAIL_WITHIN);
    let ban = time(&written.ban, "ban", BAN);
    let scope = word(written.ports.as_ref(), "ports", &PORTS, reader).map_or(PORTS[0].1, |(scope, _)| scope);
    let filter = filter?;
    let is_known = SIP_FILTERS.iter().any(|known| filter.starts_with(known));
    Some(Jail {
        logs: logs?,
        rule: engine::Jail {
            name: name.value.clone(),
            max_failures: most.map_or(defaults::JAIL_FAILURES, |most| most.value),
            within,
            ban,
            scope,
            is_sip: written.sip.as_ref().map_or(is_known, |sip| sip.value),
        },
        filter,
    })
}

/// One of the two.
fn logs(written: &file::Jail, reader: &mut Reader<'_>) -> Option<Logs> {
    const EITHER: &str = "write `files = [\"/var/log/auth.log\"]`, or `journal = true`";
    let journal = written.journal.as_ref().filter(|journal| journal.value);
    match (&written.files, journal) {
        (Some(_), Some(journal)) => {
            reader.error(&journal.span, "`files` and `journal` in one jail", "take one of the two out");
            None
        }
        (Some(files), None) => self::files(files, reader),
        (None, Some(_)) => Some(Logs::Journal),
        (None, None) => {
            if !written.is_wrong {
                let message = format!("the jail `{}` has no log to search", written.name.value);
                reader.error(&written.name.span, message, EITHER);
            }
            None
        }
    }
}

fn files(files: &List<String>, reader: &mut Reader<'_>) -> Option<Logs> {
    if files.empty {
        reader.error(&files.span, "no files to search", "name at least one");
        return None;
    }
    if files.items.len() > MOST_FILES {
        let message = format!("{} files; there is room for {MOST_FILES}", files.items.len());
        reader.error(&files.span, message, "use a pattern, as `\"/var/log/apache2/*.log\"`");
        return None;
    }
    let paths: Vec<PathBuf> =
        files.items.iter().filter_map(|one| Some(reader.value(&one.span, path(&one.value))?.value)).collect();
    (paths.len() == files.items.len()).then_some(Logs::Files(paths))
}

fn path(text: &str) -> Result<PathBuf, BadValue> {
    if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        return bad(format!("`{text}` is no absolute path of a file"), "write the whole path, from `/` on");
    }
    let folder = text.rsplit_once('/').map_or("", |(folder, _)| folder);
    if folder.contains(['*', '?', '[']) {
        let help = "only the last part may have `*` and `?`; name each folder";
        return bad(format!("`{text}` has a pattern in a folder's name"), help);
    }
    Ok(PathBuf::from(text))
}

fn filter(text: &str) -> Result<String, BadValue> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST_FILTER || text.contains(char::is_control) {
        let help =
            "write a filter's name as `\"sshd\"`, with options as `\"sshd[mode=aggressive]\"`, or a path";
        return bad("this is no filter", help);
    }
    Ok(text.to_owned())
}

fn max_failures(number: i64) -> Result<u16, BadValue> {
    match u16::try_from(number) {
        Ok(most) if (1..=engine::Jail::MOST).contains(&most) => Ok(most),
        Ok(_) | Err(_) => {
            let help = format!("it counts failures, from 1 to {}", engine::Jail::MOST);
            bad(format!("`max-failures` cannot be {number}"), help)
        }
    }
}
