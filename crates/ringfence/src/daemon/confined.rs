//! What the daemon gives up once the policy is in force, and the processes that do for it what it then cannot do, or should not.

use std::path::PathBuf;
use std::sync::Arc;

use host::confine::{Confinement, Entered, Role};
use host::fetchers::Fetchers;
use host::machine::sessions::Sessions;
use serde_json::{Value, json};

use crate::cli::RunArgs;
use crate::exit::Exit;

/// Processes of ours, and how the daemon will be confined.
#[derive(Debug)]
pub(crate) struct Helpers {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) fetchers: Arc<Fetchers>,
    /// `None`: nothing is given up.
    confinement: Option<Confinement>,
}

/// What the daemon has given up.
#[derive(Debug)]
pub(crate) struct Confined(Option<Entered>);

impl Helpers {
    /// Starts them.
    pub(crate) fn start(args: &RunArgs) -> Result<Self, Exit> {
        let free = args.no_confine;
        host::machine::keep_mounts();
        let writable: Vec<PathBuf> =
            [&args.state_dir, &args.daemon.run_dir, &args.pin_dir].into_iter().cloned().collect();
        Ok(Self {
            sessions: Arc::new(Sessions::start(free)?),
            fetchers: Arc::new(Fetchers::start(free)?),
            confinement: (!free).then(|| Confinement::new(Role::Daemon, writable)),
        })
    }

    /// What a thread begins with that runs before the daemon is confined.
    pub(crate) fn confine(&self, role: Role) -> impl FnOnce() + Send + 'static {
        let confinement = self.confinement.as_ref().map(|confinement| confinement.of(role));
        // What could not be had is seen when the threads are looked at.
        move || drop(confinement.map(|confinement| confinement.enter()))
    }

    /// Confines the calling thread, and all that it starts from now on.
    pub(crate) fn confine_daemon(&self) -> Confined {
        Confined(self.confinement.as_ref().map(Confinement::enter))
    }
}

impl Confined {
    /// What is to be said about it; nothing if all is as it should be.
    pub(crate) fn warning(&self) -> String {
        match &self.0 {
            None => "warning: --no-confine: whoever takes this daemon over has all of root\n".to_owned(),
            Some(entered) => {
                entered.missing.iter().map(|why| format!("warning: not confined by {why}\n")).collect()
            }
        }
    }

    /// For `status`: read back from the kernel just now, for every thread.
    pub(crate) fn json(&self, helpers: &Helpers) -> Value {
        let mut now = self.0.clone().unwrap_or_default().json();
        if let Some(now) = now.as_object_mut() {
            now.insert("switched_off".to_owned(), json!(self.0.is_none()));
            let processes =
                json!({ "sessions": helpers.sessions.confined(), "fetchers": helpers.fetchers.confined() });
            now.insert("processes".to_owned(), processes);
        }
        now
    }
}
