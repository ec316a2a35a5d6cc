//! What a process of ours gives up for the rest of its life, so that whoever takes it over has little: capabilities, system
//! calls, files. Each is a wall of its own; where the kernel has not got one the others stand, and `InForce` says so.
//!
//! What is given up is a thread's own, and goes on to the threads and programs that it starts. So a thread that runs before its
//! process is confined has to confine itself; `InForce::read` looks at all of them.

/// Which system calls there are, by what they are for.
mod calls;
/// What may be done with files.
mod files;
/// The system calls that are left.
mod filter;
/// What is in force.
mod in_force;
/// Capabilities and users.
mod privileges;

use std::path::PathBuf;

pub use in_force::{InForce, Landlock};
use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

pub use privileges::become_nobody;

/// What a thread or process of ours is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The main process, which keeps the policy in force.
    Daemon,
    /// The thread that writes the ledger: as the daemon, without a capability.
    Ledger,
    /// The thread that ends connections of banned sources: as the daemon, with what that takes.
    Sever,
    /// The process that looks who is logged in.
    Sessions,
    /// The process that starts those of [`Role::Fetch`].
    Fetchers,
    /// A process that asks one server for one list.
    Fetch,
}

/// A wall.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wall {
    Capabilities,
    Files,
    Calls,
}

impl Wall {
    /// In the order in which they can be built: what builds one takes calls that the last refuses.
    pub const ALL: [Self; 3] = [Self::Capabilities, Self::Files, Self::Calls];
}

/// What becomes of a thread.
#[derive(Clone, Debug)]
pub struct Confinement {
    role: Role,
    /// Folders that may be written to, with all that is in them.
    writable: Vec<PathBuf>,
}

impl Confinement {
    /// `writable` are the folders that the daemon may write to; the others write to none.
    pub fn new(role: Role, writable: Vec<PathBuf>) -> Self {
        Self { role, writable }
    }

    /// The same for another thread of the same process.
    #[must_use]
    pub fn of(&self, role: Role) -> Self {
        Self { role, writable: self.writable.clone() }
    }

    /// Confines the calling thread for ever. Where a wall cannot be built the others stand.
    pub fn enter(&self) -> Entered {
        let mut entered = Entered::default();
        for wall in Wall::ALL {
            match self.build(wall) {
                Ok(built) => entered.landlock = built.or(entered.landlock),
                Err(why) => entered.missing.push(why),
            }
        }
        entered
    }

    /// Builds one wall.
    ///
    /// # Errors
    /// What the kernel refused, and why.
    pub fn build(&self, wall: Wall) -> Result<Option<Landlock>, String> {
        match wall {
            Wall::Capabilities => privileges::keep(self.role.capabilities()).map(|()| None),
            Wall::Files => files::restrict(self.role, &self.writable).map(Some),
            Wall::Calls => filter::install(self.role).map(|()| None),
        }
    }
}

/// What came of confining a thread.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entered {
    /// `None` without the wall around files.
    pub landlock: Option<Landlock>,
    /// What could not be had, each as what it was and why.
    pub missing: Vec<String>,
}

impl Entered {
    /// For `status`, with what the kernel says just now of every thread of this process.
    pub fn json(&self) -> Value {
        let landlock = match self.landlock {
            Some(Landlock::InForce(version)) => json!(version),
            Some(Landlock::Unused) | None => Value::Null,
        };
        let Some(now) = InForce::read(None) else { return Value::Null };
        json!({
            "user": now.user,
            "capabilities": now.names(),
            "no_new_privs": now.no_new_privileges,
            "seccomp": now.calls,
            "landlock": landlock,
            "missing": self.missing,
        })
    }
}

impl Role {
    /// The capabilities that it keeps.
    pub fn capabilities(self) -> CapabilitySet {
        match self {
            // Programs and maps, what reads memory of the kernel (the gate's helpers are checked as tracing ones), nftables
            // and links, logs of other users.
            Self::Daemon => {
                CapabilitySet::BPF
                    | CapabilitySet::PERFMON
                    | CapabilitySet::NET_ADMIN
                    | CapabilitySet::DAC_READ_SEARCH
            }
            Self::Sever => CapabilitySet::NET_ADMIN,
            // /proc/PID/fd of whoever it is.
            Self::Sessions => CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH,
            Self::Ledger | Self::Fetchers | Self::Fetch => CapabilitySet::empty(),
        }
    }
}
