//! What stands in the kernel against what stands in the ledger: found on a thread of its own, repaired by the daemon.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use host::gate::{Sources, Standing};
use ledger::{Net, Reader, Scope, Time};

use super::book::{is_one_source, monotonic};
use super::clock;
use crate::exit::Exit;

/// Differences that one look tells; more wait for the next.
const MOST: usize = 100_000;
/// Nanoseconds by which a deadline in the kernel may be off: it counts in units of 1.07 s, and wall and monotonic clock drift.
const SLACK: u64 = 5_000_000_000;

/// One difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Drift {
    /// In the ledger, not in the kernel, or not until then or not on all its ports.
    Missing { source: Net, until: Option<Time>, scope: Scope },
    /// In the kernel, not in the ledger.
    Extra { source: Net },
    /// Trusted, and not in the kernel.
    Untrusted { source: Net },
    /// Let through in the kernel, and not trusted.
    Alien { source: Net },
}

/// What a look found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub(crate) drifts: Vec<Drift>,
    /// Bans that stand in both.
    pub(crate) agree: usize,
    /// Differences that were repaired so far, and the first of them in words.
    pub(crate) repaired: usize,
    pub(crate) told: Vec<String>,
}

/// Compares; `trusted` is to be let through. To be called where it disturbs nobody: a million bans take a second.
pub(crate) fn look(pins: &Path, reader: &Arc<Mutex<Reader>>, trusted: &[Net]) -> Result<Look, Exit> {
    let found = host::gate::standing(pins)?;
    let mut there: HashMap<Net, (u64, bool)> = found
        .bans
        .into_iter()
        .filter(|ban| ban.address != host::gate::MARKED)
        .map(|ban| (Net::new(ban.address, 128), (ban.until, ban.all_ports)))
        .collect();
    let mut let_through = Vec::new();
    let now = host::machine::monotonic();
    for network in found.networks {
        let net = Net::new(network.address, network.prefix);
        match network.standing {
            Standing::Trusted => let_through.push(net),
            Standing::Banned { all_ports } if network.until > now => {
                there.insert(net, (network.until, all_ports));
            }
            Standing::Banned { .. } => {}
        }
    }
    let mut look = Look::default();
    let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = reader.active(Time::from(clock::now()), |row| {
        if !row.rules {
            return;
        }
        let source = row.ban.source;
        let wanted = monotonic(row.until);
        let is_there = there.remove(&source).is_some_and(|(until, all_ports)| {
            all_ports == (row.scope == Scope::AllPorts) && is_close(until, wanted)
        });
        // What is about to end may end there a moment before.
        if is_there || wanted.saturating_sub(now) < SLACK {
            look.agree += 1;
        } else if look.drifts.len() < MOST && !let_through.contains(&source) {
            look.drifts.push(Drift::Missing { source, until: row.until, scope: row.scope });
        }
    });
    asked.map_err(|error| Exit::System(error.to_string()))?;
    drop(reader);
    let extra = there.into_iter().filter(|(_, (until, _))| until.saturating_sub(now) > SLACK);
    look.drifts.extend(extra.take(MOST).map(|(source, _)| Drift::Extra { source }));
    let lacking = trusted.iter().filter(|net| !let_through.contains(net));
    look.drifts.extend(lacking.map(|source| Drift::Untrusted { source: *source }));
    let aliens = let_through.iter().filter(|net| !trusted.contains(net));
    look.drifts.extend(aliens.take(MOST).map(|source| Drift::Alien { source: *source }));
    look.drifts.sort_by_key(|drift| drift.source());
    Ok(look)
}

/// Whether a ban stands in the kernel now as it should.
pub(crate) fn stands(
    sources: &mut Sources<'_>,
    source: Net,
    until: Option<Time>,
    scope: Scope,
) -> Result<bool, Exit> {
    let wanted = monotonic(until);
    let found = if is_one_source(source) {
        sources.find(source.address())?.map(|ban| (ban.until, ban.all_ports))
    } else {
        sources.find_network(source.address(), source.prefix()).and_then(|network| match network.standing {
            Standing::Banned { all_ports } => Some((network.until, all_ports)),
            Standing::Trusted => None,
        })
    };
    let is_it = |(until, all_ports)| all_ports == (scope == Scope::AllPorts) && is_close(until, wanted);
    Ok(found.is_some_and(is_it))
}

/// Terms of more than half a year stand for ever in the kernel; whoever wrote them ends them.
fn is_close(until: u64, wanted: u64) -> bool {
    until == u64::MAX || until.abs_diff(wanted) < SLACK
}

impl Drift {
    pub(crate) fn source(&self) -> Net {
        match self {
            Self::Missing { source, .. }
            | Self::Extra { source }
            | Self::Untrusted { source }
            | Self::Alien { source } => *source,
        }
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = |source: Net| if is_one_source(source) { "" } else { "network " };
        match self {
            Self::Missing { source, .. } => {
                write!(f, "the ban of {}{source} was not in the kernel as the ledger has it", kind(*source))
            }
            Self::Extra { source } => {
                write!(f, "{}{source} was banned in the kernel, but not in the ledger", kind(*source))
            }
            Self::Alien { source } => {
                write!(f, "{source} was let through in the kernel, but nobody trusts it")
            }
            Self::Untrusted { source } => write!(f, "trusted {source} was not let through in the kernel"),
        }
    }
}
