//! The kernel's word that something in a folder changed (inotify(7)).

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// Watches folders. It only says *that* something changed: what, the files themselves tell.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    folders: BTreeSet<std::path::PathBuf>,
}

impl Watch {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// The kernel has no more of them (`fs.inotify.max_user_instances`).
    pub fn new() -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { inotify, folders: BTreeSet::new() })
    }

    /// Watches a folder too. One that does not exist yet is asked for again by the next call.
    pub fn add(&mut self, folder: &Path) {
        if self.folders.contains(folder) {
            return;
        }
        let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ATTRIB;
        if add_watch(&self.inotify, folder, what).is_ok() {
            self.folders.insert(folder.to_owned());
        }
    }

    /// Waits until something changes, or the time is over; whether something changed.
    pub fn wait(&mut self, most: Duration) -> bool {
        let time = Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(most.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut fds, Some(&time)) {
            Ok(0) | Err(Errno::INTR) => return false,
            Ok(_) => {}
            Err(_) => {
                // Without the kernel's word the files are looked at in turn.
                std::thread::sleep(most);
                return false;
            }
        }
        self.drain();
        true
    }

    /// Takes what waits; the kernel drops what finds no room, which changes nothing here.
    fn drain(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut gone = false;
        while let Ok(event) = reader.next() {
            gone |= event.events().contains(rustix::fs::inotify::ReadFlags::IGNORED);
        }
        if gone {
            // A folder was removed; one of that name may come again.
            self.folders.clear();
        }
    }
}
