//! A server on port 5060, UDP and TCP, that remembers every byte and says 200 to every request.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::{Lab, Node};

/// What came: one entry for each datagram and each connection.
type Heard = Arc<Mutex<Vec<Vec<u8>>>>;

/// Serves until it is dropped.
pub(crate) struct Server {
    heard: Heard,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(lab: &Lab) -> Self {
        let (udp, tcp) = lab
            .inside(Node::Pbx, || {
                (UdpSocket::bind(("::", 5060)).unwrap(), TcpListener::bind(("::", 5060)).unwrap())
            })
            .unwrap();
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (heard, stop) = (Heard::default(), Arc::new(AtomicBool::new(false)));
        let mut connections: Vec<(TcpStream, usize)> = Vec::new();
        let datagrams = serve(&stop, &heard, move |heard| datagram(&udp, heard));
        let streams = serve(&stop, &heard, move |heard| {
            if let Ok((stream, _)) = tcp.accept() {
                stream.set_nonblocking(true).unwrap();
                heard.push(Vec::new());
                connections.push((stream, heard.len() - 1));
            }
            connections.retain_mut(|(stream, place)| more(stream, heard, *place));
        });
        Self { heard, stop, workers: vec![datagrams, streams] }
    }

    /// Whether `text` was in a datagram, or in what a connection brought.
    pub(crate) fn heard(&self, text: &[u8]) -> bool {
        self.heard.lock().unwrap().iter().any(|one| one.windows(text.len()).any(|window| window == text))
    }

    /// As [`Self::heard`], or will be in a moment.
    pub(crate) fn hears(&self, text: &[u8], limit: Duration) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if self.heard(text) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    pub(crate) fn forget(&self) {
        // The places of connections stay.
        self.heard.lock().unwrap().iter_mut().for_each(Vec::clear);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            worker.join().ok();
        }
    }
}

fn serve(
    stop: &Arc<AtomicBool>,
    heard: &Heard,
    mut turn: impl FnMut(&mut Vec<Vec<u8>>) + Send + 'static,
) -> JoinHandle<()> {
    let (stop, heard) = (Arc::clone(stop), Arc::clone(heard));
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            turn(&mut heard.lock().unwrap());
            thread::sleep(Duration::from_millis(2));
        }
    })
}

fn datagram(socket: &UdpSocket, heard: &mut Vec<Vec<u8>>) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let message = buffer.get(..length).unwrap().to_vec();
        socket.send_to(&answer(&message), from).ok();
        heard.push(message);
    }
}

/// Whether the connection may bring more.
fn more(stream: &mut TcpStream, heard: &mut [Vec<u8>], place: usize) -> bool {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => false,
        Ok(length) => {
            let all = heard.get_mut(place).unwrap();
            all.extend_from_slice(buffer.get(..length).unwrap());
            if all.ends_with(b"\r\n\r\n") {
                stream.write_all(&answer(all)).ok();
            }
            true
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

fn answer(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut answer = String::from("SIP/2.0 200 OK\r\n");
    for name in ["Via:", "From:", "To:", "Call-ID:", "CSeq:"] {
        if let Some(line) = text.lines().find(|line| line.starts_with(name)) {
            answer.push_str(line);
            answer.push_str(if name == "To:" { ";tag=server-1\r\n" } else { "\r\n" });
        }
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    answer.into_bytes()
}
