//! Real servers, phones and attack tools in network namespaces of their own, for tests and the demo.
//!
//! ```text
//!   attacker 203.0.113.66 ──┐
//!                           ├── net (router) ── pbx 198.51.100.10   Asterisk 22 in a chroot
//!   phone    192.0.2.20   ──┘
//! ```
//!
//! Every part is the real thing: Asterisk from Debian unstable, sipvicious, sipsak, nmap and sipp from the machine's own
//! distribution. [`Lab::up`] makes the namespaces, and dropping the [`Lab`] ends every process in them and removes them. What
//! a killed run left behind is removed by the next `up`. Only root can have a lab; see [`skip::ready`] for tests.

#![forbid(unsafe_code)]

pub mod asterisk;
pub mod attack;
mod error;
pub mod guard;
mod network;
pub mod phone;
pub mod probe;
mod process;
pub mod skip;
mod state;
mod system_log;
pub mod tls;
pub mod tools;
mod topology;

pub use asterisk::{Asterisk, AsteriskOptions};
pub use error::LabError;
pub use guard::Guard;
pub use network::Lab;
pub use process::{Output, Process, run};
pub use state::{LabStatus, list};
pub use topology::Node;
