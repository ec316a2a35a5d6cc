//! What listens on a host and what its PBX is told in, a policy for it out.
//!
//! Nothing is asked here: sockets, files and sessions are in [`Host`], and the same host gives the same text. What is open and
//! why is decided in `services`, who is trusted in `trust`, what the PBX can tell in `witnesses`; `text` writes, and lets nothing
//! that a stranger named break the file.
#![forbid(unsafe_code)]

mod ports;
mod services;
mod text;
mod trust;
mod witnesses;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use audit::{PBX_PROGRAMS, Profile, Socket};

use services::Services;
use text::Writer;

/// What is known of a host.
#[derive(Clone, Debug)]
pub struct Host {
    pub sockets: Vec<Socket>,
    /// Ports that the kernel gives to clients.
    pub client_ports: RangeInclusive<u16>,
    /// TCP ports on which somebody has an SSH session.
    pub ssh_ports: BTreeSet<u16>,
    /// Packets go through it: containers, a tunnel.
    pub forwards: bool,
    /// Asterisk's configuration, and the folder that it is in.
    pub asterisk: Option<(String, Profile)>,
    /// Where whoever administers it comes from.
    pub operators: Vec<IpAddr>,
    /// The secret for the manager interface, and the file that it is in.
    pub manager_secret: (String, Option<String>),
    /// Why the PBX's log cannot be searched; `None` if it can.
    pub log_fault: Option<String>,
}

/// A policy, and what is to be said about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Draft {
    pub text: String,
    /// Names of services that it opens.
    pub opened: Vec<String>,
    /// Names of those that it suggests, and leaves closed.
    pub closed: Vec<String>,
    /// What its reader should know before all else; a line each.
    pub remarks: Vec<String>,
}

/// Drafts a policy.
#[must_use]
pub fn draft(host: &Host) -> Draft {
    let mut services = Services::decide(host);
    let mut writer = Writer::default();
    let source = match &host.asterisk {
        Some((folder, _)) => format!(", from Asterisk's configuration in {folder}"),
        None => String::new(),
    };
    writer.comment(&format!(
        "A policy for this host, drafted by `ringfence init` from the sockets that listen here{source} and from who \
         administers it. Each line says why it is there: change what you know better, and ask `ringfence check`."
    ));
    writer.comment("");
    writer.comment(
        "What is not said here is as shipped: names of scanners that are searched for, detection, limits for sources that nobody \
         knows. docs/policy.md has the language.",
    );
    writer.blank();
    if host.forwards {
        writer.comment(
            "This host passes packets on (`ip_forward` or `forwarding` is on: containers, a tunnel); its own services are guarded all \
             the same.",
        );
        writer.line("forward = \"accept\"");
        writer.blank();
    }
    services.write(&mut writer);
    trust::write(host, &mut writer, &mut services.remarks);
    witnesses::write(host, &mut writer);
    let names = |all: &[services::Service]| all.iter().map(|service| service.name.clone()).collect();
    Draft {
        text: writer.finish(),
        opened: names(&services.opened),
        closed: names(&services.closed),
        remarks: services.remarks,
    }
}

impl Host {
    /// The programs of a PBX that run here, by name.
    #[must_use]
    pub fn pbx_programs(&self) -> BTreeSet<&str> {
        let programs = self.sockets.iter().filter_map(|socket| socket.program.as_deref());
        programs.filter(|program| PBX_PROGRAMS.contains(program)).collect()
    }

    /// Whether there is anything to be called a PBX.
    #[must_use]
    pub fn has_pbx(&self) -> bool {
        self.asterisk.is_some() || !self.pbx_programs().is_empty()
    }
}
