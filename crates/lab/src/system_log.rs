//! A system log of the lab's own: what a program writes to `/dev/log`, and nobody else's lines.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::{LabError, file, system};

/// Lines beyond this many are read and thrown away.
const LINES: usize = 10_000;

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct SystemLog {
    path: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl SystemLog {
    pub(crate) fn listen(path: &Path) -> Result<Self, LabError> {
        let socket = UnixDatagram::bind(path).map_err(file("listen on", path))?;
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .map_err(system("give the log socket a time limit"))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stopped) = (Arc::clone(&lines), Arc::clone(&stop));
        let worker = thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                match socket.recv(&mut buffer) {
                    Ok(length) => keep(&kept, buffer.get(..length).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Self { path: path.to_owned(), lines, stop, worker: Some(worker) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lines so far, each with the priority that it begins with, such as `<30>ringfence[12]: …`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn keep(lines: &Mutex<Vec<String>>, datagram: &[u8]) {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() < LINES {
        lines.push(String::from_utf8_lossy(datagram).trim_end().to_owned());
    }
}

impl Drop for SystemLog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            worker.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_whole() {
        let dir = std::env::temp_dir().join(format!("ringfence-lab-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let log = SystemLog::listen(&dir.join("log")).unwrap();
        let program = UnixDatagram::unbound().unwrap();
        program.send_to(b"<30>ringfence: one\n", log.path()).unwrap();
        program.send_to(b"<30>ringfence: two", log.path()).unwrap();
        let begin = std::time::Instant::now();
        while log.lines().len() < 2 && begin.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(log.lines(), ["<30>ringfence: one", "<30>ringfence: two"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
