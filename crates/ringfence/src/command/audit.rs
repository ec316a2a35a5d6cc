//! `ringfence audit`: what is weak about the PBX's own configuration.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use audit::{Accepted, Files, Here, MAX_FILE, Protocol, Socket, Style};
use policy::toml::{Action, Sources};

use crate::cli::{AuditArgs, DEFAULT_POLICY, Format};
use crate::command::read_policy;
use crate::disk::shortened;
use crate::exit::Exit;

/// What is told on stderr about things that could not be looked at.
const MAX_NOTES: usize = 20;

/// Looks, and says what it found; the status says whether something needs attention.
pub(crate) fn run(args: &AuditArgs) -> Result<ExitCode, Exit> {
    let mut accepted = args.accepted.as_deref().map(read_accepted).transpose()?.unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let here = here(args)?;
    let mut report = audit::audit(&Disk, &args.asterisk_dir, now, here).map_err(|error| unread(&error))?;
    report.accept(&mut accepted);
    let mut err = io::stderr().lock();
    for note in report.notes.iter().take(MAX_NOTES) {
        writeln!(err, "note: {}", shortened(note, 400))?;
    }
    for (line, id) in accepted.unused() {
        let path = args.accepted.as_deref().unwrap_or(Path::new(""));
        writeln!(err, "note: {}:{line}: nothing is found that `{id}` would silence here", path.display())?;
    }
    let mut out = io::stdout().lock();
    let text = match args.format {
        Format::Json => report.json(),
        Format::Text if out.is_terminal() => report.text(Style::Terminal),
        Format::Text => report.text(Style::Plain),
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::from(u8::from(!report.findings.is_empty())))
}

/// For `map_err`: what could not be read, and what helps.
pub(super) fn unread(error: &audit::Error) -> Exit {
    Exit::System(format!("{error}\nhelp: {}", error.help()))
}

/// What runs beside the configuration, unless it is a copy.
fn here(args: &AuditArgs) -> Result<Option<Here>, Exit> {
    let directory = args.asterisk_dir.canonicalize().unwrap_or_else(|_| args.asterisk_dir.clone());
    let is_here = audit::is_in_force(&Disk, &directory) || audit::is_in_force(&Disk, &args.asterisk_dir);
    if !is_here && args.policy.is_none() {
        return Ok(None);
    }
    let sockets = if is_here { listening()? } else { Vec::new() };
    Ok(Some(Here { sockets, open_udp: open_udp(args.policy.as_deref())? }))
}

/// What listens, as the kernel tells.
pub(super) fn listening() -> Result<Vec<Socket>, Exit> {
    let sockets = host::machine::listening_sockets()?.into_iter().map(|socket| Socket {
        protocol: if socket.is_tcp { Protocol::Tcp } else { Protocol::Udp },
        port: socket.port,
        address: socket.address,
        program: socket.program,
    });
    Ok(sockets.collect())
}

/// The UDP ports that a policy opens to anyone, apart from those that it searches; `None` without a policy that closes others.
/// The one that nobody named may be missing or wrong.
fn open_udp(named: Option<&Path>) -> Result<Option<Vec<RangeInclusive<u16>>>, Exit> {
    let policy = match named {
        Some(path) => read_policy(path)?,
        None => match read_policy(Path::new(DEFAULT_POLICY)) {
            Ok(policy) => policy,
            Err(_) => return Ok(None),
        },
    };
    if policy.default_action().is_none_or(|action| action == Action::Accept) {
        return Ok(None);
    }
    let services = policy.services().iter().filter(|service| service.from == Sources::Anyone);
    Ok(Some(
        services.filter(|service| !service.inspect).flat_map(|service| service.udp.iter().cloned()).collect(),
    ))
}

fn read_accepted(path: &Path) -> Result<Accepted, Exit> {
    let bytes = Disk.read(path).map_err(Exit::io("read", path))?;
    Accepted::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|error| Exit::No(format!("{}: {error}", path.display())))
}

/// FreePBX links to files of its web server's folder, which a copy of the configuration does not have. That is not the same as
/// a file that never was: what it says is in force.
fn dangling(path: &Path) -> Option<io::Error> {
    let target = std::fs::read_link(path).ok()?;
    (!path.exists())
        .then(|| io::Error::other(format!("it is a link to {}, which is not there", target.display())))
}

/// The disk, as the place where configuration is.
pub(super) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = File::open(path).map_err(|error| dangling(path).unwrap_or(error))?;
        // A pipe or a device would never end, or wait for somebody.
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes = Vec::new();
        // One byte more than is allowed, so that too much is seen.
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = std::fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        Ok(paths)
    }
}
