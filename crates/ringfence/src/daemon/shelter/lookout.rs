//! Who is logged in, and what addresses this host has, looked for beside the event loop: a look at all processes and connections takes
//! milliseconds, and who gives himself away meanwhile is to be banned at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use host::machine::sessions::Sessions;

use crate::exit::Exit;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lookout {
    sessions: Arc<Sessions>,
    orders: SyncSender<()>,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What came of a look.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When it began: who comes later is not among them.
    pub(crate) at: Instant,
    /// This host's own; `None` where the kernel does not tell.
    pub(crate) own: Option<BTreeSet<IpAddr>>,
    /// Where sessions come from, or why nobody knows.
    pub(crate) operators: Result<BTreeSet<IpAddr>, String>,
}

impl Lookout {
    /// Waits for orders. The thread begins with `begin`, and ends with the value.
    pub(crate) fn spawn(
        sessions: Arc<Sessions>,
        begin: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Exit> {
        // An order that comes while one waits is the same one.
        let (orders, receiver) = sync_channel(1);
        let seen = Arc::new(Mutex::new(None));
        let (asked, told) = (Arc::clone(&sessions), Arc::clone(&seen));
        std::thread::Builder::new()
            .name("lookout".to_owned())
            .spawn(move || {
                begin();
                while let Ok(()) = receiver.recv() {
                    let look = look(&asked);
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
                }
            })
            .map_err(|error| Exit::System(format!("cannot start a thread: {error}")))?;
        Ok(Self { sessions, orders, seen })
    }

    /// Has somebody look, and does not wait for it.
    pub(crate) fn order(&self) {
        // One that waits already will do.
        let _ = self.orders.try_send(());
    }

    /// What came of the last order, if it was not taken yet.
    pub(crate) fn take(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks now, and waits.
    pub(crate) fn look(&self) -> Seen {
        look(&self.sessions)
    }
}

impl Seen {
    /// Only what addresses this host has, looked for now.
    pub(crate) fn without_sessions() -> Self {
        let at = Instant::now();
        Self { at, own: host::machine::own_addresses().ok(), operators: Ok(BTreeSet::new()) }
    }
}

fn look(sessions: &Sessions) -> Seen {
    let operators = |_| sessions.peers().map_err(|error| host::error::chain(&error));
    let seen = Seen::without_sessions();
    Seen { operators: seen.operators.and_then(operators), ..seen }
}
