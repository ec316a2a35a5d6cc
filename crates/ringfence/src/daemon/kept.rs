//! The policy that stayed in force, to go back to. Two files in the state directory, each the text of a policy: `policy.kept` was
//! the last to be loaded without `--confirm`, or to be confirmed; `policy.unconfirmed` was tried with `--confirm`, and nobody has
//! confirmed it yet.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use policy::Policy;

use crate::cli::RunArgs;
use crate::command::read_policy;
use crate::exit::Exit;

const KEPT: &str = "policy.kept";
const UNCONFIRMED: &str = "policy.unconfirmed";

/// How the policy in force came to be so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    /// Loaded as it is, or confirmed.
    Kept,
    /// Until somebody confirms, or the time is over.
    OnTrial,
    /// Nobody confirmed the policy after it.
    RolledBack,
    /// Nothing is enforced, so there is nothing to go back to.
    Observed,
}

impl Standing {
    /// Of the policy that `run` is given.
    pub(super) fn new(args: &RunArgs) -> Self {
        match args.confirm {
            _ if args.observe => Self::Observed,
            Some(_) => Self::OnTrial,
            None => Self::Kept,
        }
    }

    /// As `status` calls it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::OnTrial => "on-trial",
            Self::RolledBack => "rolled-back",
            Self::Observed => "observed",
        }
    }
}

/// The policies of a state directory.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self { folder: state_dir.to_owned() }
    }

    /// Whether there is a policy to go back to.
    pub(crate) fn is_there(&self) -> bool {
        self.folder.join(KEPT).exists()
    }

    /// The policy to go back to.
    pub(crate) fn read(&self) -> Result<Policy, Exit> {
        read_policy(&self.folder.join(KEPT))
    }

    /// Whether this policy was tried and not confirmed, and there is another one to go back to. After a crash in the middle of a
    /// trial it must not come back by itself.
    pub(crate) fn is_unconfirmed(&self, policy: &Policy) -> bool {
        let text = policy.source().text().as_bytes();
        let is = |name| fs::read(self.folder.join(name)).is_ok_and(|there| there == text);
        is(UNCONFIRMED) && self.is_there() && !is(KEPT)
    }

    /// From now on this one is gone back to.
    pub(crate) fn keep(&self, policy: &Policy) -> io::Result<()> {
        self.write(KEPT, policy.source().text().as_bytes())?;
        let unconfirmed = self.folder.join(UNCONFIRMED);
        if fs::read(&unconfirmed).is_ok_and(|there| there == policy.source().text().as_bytes()) {
            fs::remove_file(unconfirmed)?;
        }
        Ok(())
    }

    /// Before a policy is tried; what was tried last, for [`Kept::put_back`].
    pub(crate) fn try_out(&self, policy: &Policy) -> Result<Option<Vec<u8>>, Exit> {
        let before = fs::read(self.folder.join(UNCONFIRMED)).ok();
        self.write(UNCONFIRMED, policy.source().text().as_bytes())
            .map_err(Exit::io("write", &self.folder.join(UNCONFIRMED)))?;
        Ok(before)
    }

    /// It was not tried after all.
    pub(crate) fn put_back(&self, before: Option<Vec<u8>>) -> io::Result<()> {
        match before {
            Some(text) => self.write(UNCONFIRMED, &text),
            None => fs::remove_file(self.folder.join(UNCONFIRMED)),
        }
    }

    /// What was tried is confirmed.
    pub(crate) fn accept(&self) -> io::Result<()> {
        match fs::rename(self.folder.join(UNCONFIRMED), self.folder.join(KEPT)) {
            // Kept already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// All of it or nothing. A policy may hold secrets.
    fn write(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let fresh = self.folder.join(format!("{name}.new"));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(fresh, self.folder.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        Policy::parse("test", text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_nobody_confirmed_is_known_until_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::of(folder.path());
        let (old, new) = (policy("signatures = []\n"), policy("icmp = \"drop\"\n"));
        assert_eq!(kept.try_out(&new).unwrap(), None);
        assert!(!kept.is_unconfirmed(&new), "there is nothing to go back to");
        kept.keep(&old).unwrap();
        assert!(kept.is_unconfirmed(&new) && !kept.is_unconfirmed(&old));
        assert_eq!(kept.read().unwrap().source().text(), old.source().text());
        kept.accept().unwrap();
        assert!(!kept.is_unconfirmed(&new));
        assert_eq!(kept.read().unwrap().source().text(), new.source().text());
        let before = kept.try_out(&old).unwrap();
        assert!(kept.is_unconfirmed(&old));
        kept.put_back(before).unwrap();
        assert!(!kept.is_unconfirmed(&old));
        assert_eq!(kept.try_out(&old).unwrap(), None);
        kept.keep(&old).unwrap();
        kept.keep(&new).unwrap();
        assert!(!kept.is_unconfirmed(&old), "it was loaded as it is since");
    }
}
