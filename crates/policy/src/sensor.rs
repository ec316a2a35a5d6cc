//! What a policy says about who else may testify: a PBX's manager interface, and senders of HEP.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use manager::Server;

use crate::ruleset::Network;

/// A PBX that tells who tries to get in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manager {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    pub kind: Server,
    pub address: SocketAddr,
    /// Empty for FreeSWITCH's event socket's own password.
    pub user: String,
    pub secret: Secret,
    pub tls: Option<Tls>,
}

/// A password, or where it is.
#[derive(Clone, Eq, PartialEq)]
pub enum Secret {
    /// An absolute path. The secret is the first line of the file.
    File(PathBuf),
    /// Written in the policy.
    Text(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Text(_) => f.write_str("Text(…)"),
        }
    }
}

/// How the server shows who it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tls {
    /// Certificates, in PEM, that are believed; `None` for those that browsers believe.
    pub ca_file: Option<PathBuf>,
    /// The name in the server's certificate, where it is not the address.
    pub name: Option<String>,
}

/// Copies of SIP messages, from others and to others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hep {
    /// Where copies are received; empty for nowhere.
    pub listen: Vec<SocketAddr>,
    pub udp: bool,
    pub tcp: bool,
    /// Whose copies are believed.
    pub senders: Vec<Network>,
    /// What each copy has to have, and what is exported has.
    pub password: Option<Secret>,
    /// Where copies of what the gate saw are sent, by UDP.
    pub export_to: Option<SocketAddr>,
    /// Who we are to the receiver.
    pub capture_id: u32,
}
