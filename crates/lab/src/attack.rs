//! The attackers' own tools, as Debian ships them, with their usual settings.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::error::LabError;
use crate::network::Lab;
use crate::process::{Output, run};
use crate::tools;
use crate::topology::Node;

const PATIENCE: Duration = Duration::from_secs(60);

/// A row of `svmap`'s table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDevice {
    /// Where it answered from.
    pub address: String,
    /// What it calls itself.
    pub user_agent: String,
}

/// A row of `svwar`'s table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundExtension {
    /// The extension.
    pub extension: String,
    /// `reqauth`, `noauth` or `weird`.
    pub authentication: String,
}

/// Looks for SIP devices with `svmap` (UDP, OPTIONS, the stock user agent `friendly-scanner`).
///
/// # Errors
/// When the tool cannot be run or prints something unknown.
pub fn svmap(lab: &Lab, from: Node, target: IpAddr) -> Result<Vec<FoundDevice>, LabError> {
    let mut args = vec![target.to_string()];
    if target.is_ipv6() {
        args.insert(0, "-6".to_owned());
    }
    let output = sipvicious(lab, from, "svmap", &args)?;
    let rows = table("svmap", &output)?;
    rows.into_iter()
        .map(|row| pair("svmap", row, |address, user_agent| FoundDevice { address, user_agent }))
        .collect()
}

/// Tries extensions with `svwar`, such as `100,1000-1005`, by `method` (REGISTER, INVITE or OPTIONS).
///
/// # Errors
/// When the tool cannot be run or prints something unknown.
pub fn svwar(
    lab: &Lab,
    from: Node,
    target: IpAddr,
    extensions: &str,
    method: &str,
) -> Result<Vec<FoundExtension>, LabError> {
    let args = ["-e", extensions, "-m", method, &target.to_string()].map(str::to_owned);
    let output = sipvicious(lab, from, "svwar", &args)?;
    let rows = table("svwar", &output)?;
    rows.into_iter()
        .map(|row| {
            pair("svwar", row, |extension, authentication| FoundExtension { extension, authentication })
        })
        .collect()
}

/// Guesses the password of an extension with `svcrack` from a range of numbers such as `100-200`.
///
/// # Errors
/// When the tool cannot be run or prints something unknown.
pub fn svcrack(
    lab: &Lab,
    from: Node,
    target: IpAddr,
    user: &str,
    range: &str,
) -> Result<Option<String>, LabError> {
    let args = ["-u", user, "-r", range, &target.to_string()].map(str::to_owned);
    let output = sipvicious(lab, from, "svcrack", &args)?;
    let mut rows = table("svcrack", &output)?.into_iter();
    rows.next().map(|row| pair("svcrack", row, |_, password| password)).transpose()
}

/// Sends one OPTIONS with `sipsak` and returns the status code of the last answer, if there was one.
///
/// # Errors
/// When the tool cannot be run.
pub fn sipsak(lab: &Lab, from: Node, target: SocketAddr, user: &str) -> Result<Option<u16>, LabError> {
    let mut command = lab.command(from, "sipsak");
    // Its timers at a tenth of RFC 3261's: the lab is one hop away, and a dropped request should not take 32 s.
    let port = target.port().to_string();
    command.args(["-v", "--timer-t1=50", "-r", &port, "-s", &format!("sip:{user}@{}", host(target.ip()))]);
    let output = run(command, PATIENCE)?;
    Ok(last_status(&output.text()))
}

/// A line of `nmap`'s port table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The port number.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// `open`, `closed`, `filtered`, `open|filtered`.
    pub state: String,
    /// Why nmap thinks so: `syn-ack`, `reset`, `host-prohibited`, `no-response`, …
    pub reason: String,
}

/// Scans TCP ports with `nmap -sS`, such as `22,80,5060`.
///
/// # Errors
/// When the tool cannot be run.
pub fn nmap_tcp(lab: &Lab, from: Node, target: IpAddr, ports: &str) -> Result<Vec<Port>, LabError> {
    nmap(lab, from, target, "-sS", ports)
}

/// Scans UDP ports with `nmap -sU`.
///
/// # Errors
/// When the tool cannot be run.
pub fn nmap_udp(lab: &Lab, from: Node, target: IpAddr, ports: &str) -> Result<Vec<Port>, LabError> {
    nmap(lab, from, target, "-sU", ports)
}

fn nmap(lab: &Lab, from: Node, target: IpAddr, kind: &str, ports: &str) -> Result<Vec<Port>, LabError> {
    let mut command = lab.command(from, "nmap");
    command.args([kind, "-n", "-Pn", "--reason", "-p", ports]);
    if target.is_ipv6() {
        command.arg("-6");
    }
    command.arg(target.to_string());
    let output = run(command, PATIENCE)?;
    Ok(port_table(&output.stdout))
}

/// Runs one of sipvicious's tools. Debian calls them `svmap`, others `sipvicious_svmap`.
fn sipvicious(lab: &Lab, from: Node, tool: &'static str, args: &[String]) -> Result<Output, LabError> {
    let long = format!("sipvicious_{tool}");
    let program = [tool, long.as_str()].into_iter().find(|name| tools::find(name).is_some());
    let program = program.ok_or(LabError::MissingTool { program: tool, package: "sipvicious" })?;
    let mut command = lab.command(from, program);
    command.args(args);
    litter_in(&mut command, &lab.scratch(tool)?);
    run(command, PATIENCE)
}

/// sipvicious keeps a session database in the home directory.
fn litter_in(command: &mut Command, dir: &Path) {
    command.current_dir(dir).env("HOME", OsString::from(dir));
}

/// The rows below the heading of a table that sipvicious prints with `|`, `+` and `=`.
fn table(tool: &'static str, output: &Output) -> Result<Vec<Vec<String>>, LabError> {
    let text = output.text();
    if text.contains("found nothing") {
        return Ok(Vec::new());
    }
    let mut lines = text.lines().skip_while(|line| !line.starts_with("+="));
    if lines.next().is_none() {
        return Err(LabError::Unexpected { tool, text });
    }
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    Ok(lines.filter(|line| line.starts_with('|')).map(cells).collect())
}

fn pair<T>(
    tool: &'static str,
    row: Vec<String>,
    make: impl FnOnce(String, String) -> T,
) -> Result<T, LabError> {
    match <[String; 2]>::try_from(row) {
        Ok([first, second]) => Ok(make(first, second)),
        Err(row) => Err(LabError::Unexpected { tool, text: row.join(" | ") }),
    }
}

fn last_status(text: &str) -> Option<u16> {
    let starts = text.lines().filter_map(|line| line.strip_prefix("SIP/2.0 "));
    starts.filter_map(|rest| rest.split(' ').next()?.parse().ok()).next_back()
}

fn port_table(text: &str) -> Vec<Port> {
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let (port, protocol) = fields.next()?.split_once('/')?;
        let state = fields.next()?;
        let _service = fields.next()?;
        let reason = fields.next()?;
        Some(Port {
            port: port.parse().ok()?,
            protocol: protocol.to_owned(),
            state: state.to_owned(),
            reason: reason.to_owned(),
        })
    };
    text.lines().filter_map(row).collect()
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn printed(text: &str) -> Output {
        Output { status: ExitStatus::from_raw(0), stdout: text.to_owned(), stderr: String::new() }
    }

    #[test]
    fn tables_are_read() {
        let output = printed(
            "+-----------+----------------+\n\
             | Extension | Authentication |\n\
             +===========+================+\n\
             | 100       | reqauth        |\n\
             +-----------+----------------+\n\
             | 1000      | noauth         |\n\
             +-----------+----------------+\n",
        );
        assert_eq!(table("svwar", &output).unwrap(), [["100", "reqauth"], ["1000", "noauth"]]);
        assert!(table("svwar", &printed("WARNING:root:found nothing\n")).unwrap().is_empty());
        assert!(table("svwar", &printed("Traceback (most recent call last):\n")).is_err());
    }

    #[test]
    fn ports_are_read() {
        let text = "Nmap scan report for 198.51.100.10\n\
            PORT     STATE    SERVICE REASON\n\
            22/tcp   open     ssh     syn-ack ttl 63\n\
            5061/tcp filtered sip-tls host-prohibited from 198.51.100.10 ttl 63\n";
        let ports = port_table(text);
        assert_eq!(ports.len(), 2);
        assert_eq!((ports[0].port, ports[0].state.as_str()), (22, "open"));
        assert_eq!((ports[1].protocol.as_str(), ports[1].reason.as_str()), ("tcp", "host-prohibited"));
    }

    #[test]
    fn the_last_answer_counts() {
        let text = "request:\nOPTIONS sip:a SIP/2.0\nresponse:\nSIP/2.0 401 Unauthorized\n\nSIP/2.0 200 OK\n";
        assert_eq!(last_status(text), Some(200));
        assert_eq!(last_status("OPTIONS sip:a SIP/2.0\n"), None);
    }
}
