//! `ringfence init`: a policy for this very host.

/// Puts a file in its place at once.
mod place;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

use audit::{Profile, SecurityLog};
use draft::{Draft, Host};
use policy::Policy;
use policy::sensor::Secret;

use super::audit::{Disk, listening, unread};
use crate::cli::{DEFAULT_POLICY, InitArgs};
use crate::daemon::{lockout, logs};
use crate::disk::shortened;
use crate::exit::Exit;

/// Where Asterisk's packages and FreePBX put the configuration.
const ASTERISK: &str = "/etc/asterisk";
/// Where the manual says to put the manager's secret.
const SECRET: &str = "/etc/ringfence/manager.secret";
/// Sessions of SSH that are trusted.
const MAX_OPERATORS: usize = 16;

/// Looks, drafts and writes.
pub(crate) fn run(args: &InitArgs) -> Result<ExitCode, Exit> {
    if !args.dry_run {
        place::may_be_written(&args.output, args.force)?;
    }
    let host = look(args)?;
    let draft = draft::draft(&host);
    let name = args.output.display().to_string();
    // What cannot be used is not handed out.
    let policy = Policy::parse(&name, draft.text.clone().into_bytes()).map_err(Exit::Policy)?;
    logs::prepare(&policy)?;
    let mut err = io::stderr().lock();
    for remark in &draft.remarks {
        writeln!(err, "note: {remark}")?;
    }
    if let Err(Exit::No(text)) = lockout::check(&policy, &host::machine::ssh_sessions()?) {
        writeln!(err, "warning: {text}")?;
    }
    let mut out = io::stdout().lock();
    if args.dry_run {
        out.write_all(draft.text.as_bytes())?;
    } else {
        place::write(&args.output, &draft.text, args.force)?;
        out.write_all(done(&name, &draft).as_bytes())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What was done, and what to do next.
fn done(name: &str, draft: &Draft) -> String {
    let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let policy = if name == DEFAULT_POLICY { String::new() } else { format!(" --policy {name}") };
    let observe = format!("ringfence run{policy} --observe");
    let confirm = format!("ringfence run{policy} --confirm 60s");
    let width = observe.len().max(confirm.len()).max("ringfence audit".len()).max(name.len() + 16);
    format!(
        "wrote {name}\n  opens {}\n  leaves closed, with the line to open it: {}\n\nnext:\n  \
         {:width$}  read it; is it right?\n  \
         {observe:width$}  tells what it would do; nothing is dropped\n  \
         {confirm:width$}  in force; taken off again unless `ringfence confirm` comes in time\n  \
         {:width$}  what is weak about the PBX itself\n",
        list(&draft.opened),
        list(&draft.closed),
        format!("ringfence check {name}"),
        "ringfence audit",
    )
}

fn look(args: &InitArgs) -> Result<Host, Exit> {
    let sessions = host::machine::ssh_sessions()?;
    let asterisk = asterisk(args.asterisk_dir.as_deref())?;
    let log = asterisk.as_ref().and_then(|(_, profile)| profile.security_log.as_ref());
    let peers = sessions.iter().map(|session| session.peer).collect();
    Ok(Host {
        sockets: listening()?,
        client_ports: host::machine::client_ports(),
        ssh_ports: sessions.iter().map(|session| session.port).collect(),
        forwards: host::machine::forwards(),
        operators: operators(peers, std::env::var("SSH_CONNECTION").ok().as_deref()),
        manager_secret: (SECRET.to_owned(), host::secret::read(&Secret::File(SECRET.into())).ok()),
        log_fault: log.and_then(log_fault),
        asterisk,
    })
}

/// The configuration; nothing if nobody named a folder and there is none in the usual one.
fn asterisk(named: Option<&Path>) -> Result<Option<(String, Profile)>, Exit> {
    let folder = named.unwrap_or(Path::new(ASTERISK));
    match audit::profile(&Disk, folder) {
        Ok(profile) => Ok(Some((shortened(&folder.display().to_string(), 300), profile))),
        Err(audit::Error::Nothing { .. }) if named.is_none() => Ok(None),
        Err(error @ audit::Error::Nothing { .. }) => {
            Err(Exit::No(format!("{error}\nhelp: {}", error.help())))
        }
        Err(error) => Err(unread(&error)),
    }
}

/// Where whoever runs this comes from. `SSH_CONNECTION` may be an old one, as in a terminal that outlived its session, so it
/// counts only if there is a session from there, or none can be seen.
fn operators(sessions: Vec<IpAddr>, connection: Option<&str>) -> Vec<IpAddr> {
    let own = connection.and_then(|text| text.split_whitespace().next()?.parse::<IpAddr>().ok());
    let own = own.map(|address| address.to_canonical());
    let mut operators = match own {
        Some(own) if sessions.is_empty() || sessions.contains(&own) => vec![own],
        Some(_) | None => sessions,
    };
    operators.retain(|address| !address.is_loopback());
    operators.sort();
    operators.dedup();
    operators.truncate(MAX_OPERATORS);
    operators
}

/// Why a jail could not search it.
fn log_fault(log: &SecurityLog) -> Option<String> {
    if !Path::new(&log.path).is_file() {
        return Some(format!("there is no file {} yet", log.path));
    }
    let jail = "[jails.asterisk]\nfiles = [\"/x\"]\n".to_owned();
    match Policy::parse("jail", jail.into_bytes())
        .map_err(Exit::Policy)
        .and_then(|policy| logs::prepare(&policy))
    {
        Ok(_) => None,
        Err(_) => Some(
            "fail2ban's filter `asterisk` is in neither /etc/ringfence/filter.d nor /etc/fail2ban/filter.d"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_operator_is_who_is_here_now() {
        let (one, other) = (address("203.0.113.5"), address("2001:db8::5"));
        let connection = Some("203.0.113.5 51234 198.51.100.1 22");
        assert_eq!(operators(vec![], None), [one; 0]);
        assert_eq!(operators(vec![], connection), [one]);
        assert_eq!(operators(vec![other, one], connection), [one]);
        assert_eq!(operators(vec![other], connection), [other], "an old terminal");
        assert_eq!(operators(vec![one, other, one], None), [one, other]);
        assert_eq!(operators(vec![address("127.0.0.1")], Some("nonsense")), [one; 0]);
    }
}
