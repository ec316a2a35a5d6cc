//! Single questions to a host: is this port open, and if not, how was it refused.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, recv, socket_with};

use crate::error::{LabError, system};
use crate::network::Lab;
use crate::topology::Node;

/// How a TCP connection attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpProbe {
    /// Somebody listens.
    Open,
    /// The host answered with RST: nobody listens, and nothing is in front.
    RefusedRst,
    /// An ICMP error came back for our SYN.
    Icmp(IcmpError),
    /// No answer in time.
    Timeout,
}

/// What came back for a UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UdpProbe {
    /// A datagram.
    Reply(Vec<u8>),
    /// An ICMP error.
    Icmp(IcmpError),
    /// Nothing in time.
    Silent,
}

/// The ICMP or ICMPv6 "destination unreachable" messages that firewalls and closed ports send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpError {
    /// ICMP type 3 code 3, ICMPv6 type 1 code 4.
    PortUnreachable,
    /// ICMP type 3 code 10: what `--reject-with icmp-host-prohibited` sends (RFC 1812, 5.2.7.1).
    HostProhibited,
    /// ICMP type 3 code 13, ICMPv6 type 1 code 1.
    AdminProhibited,
    /// Another code.
    Other {
        /// The message's type.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

/// Tries to connect from a node.
///
/// # Errors
/// When the namespace cannot be entered or a socket not be opened.
pub fn tcp(lab: &Lab, from: Node, to: SocketAddr, limit: Duration) -> Result<TcpProbe, LabError> {
    lab.inside(from, || {
        let errors = IcmpWatch::open(to)?;
        let Err(failure) = TcpStream::connect_timeout(&to, limit) else { return Ok(TcpProbe::Open) };
        // The kernel hands the message to raw sockets before it fails the connection.
        if let Some(error) = errors.next_for(IPPROTO_TCP) {
            return Ok(TcpProbe::Icmp(error));
        }
        let is = |kind| failure.kind() == kind;
        if is(ErrorKind::ConnectionRefused) {
            Ok(TcpProbe::RefusedRst)
        } else if is(ErrorKind::TimedOut) || is(ErrorKind::WouldBlock) {
            Ok(TcpProbe::Timeout)
        } else {
            Err(LabError::System { operation: format!("connect to {to}"), source: failure })
        }
    })?
}

/// Sends one datagram from a node and waits for what comes back.
///
/// # Errors
/// When the namespace cannot be entered or a socket not be opened.
pub fn udp(
    lab: &Lab,
    from: Node,
    to: SocketAddr,
    payload: &[u8],
    limit: Duration,
) -> Result<UdpProbe, LabError> {
    lab.inside(from, || {
        let what = || format!("send a datagram to {to}");
        let errors = IcmpWatch::open(to)?;
        let socket = UdpSocket::bind((from.address_like(to.ip()), 0)).map_err(system(what()))?;
        socket.connect(to).map_err(system(what()))?;
        socket.set_read_timeout(Some(limit)).map_err(system(what()))?;
        socket.send(payload).map_err(system(what()))?;
        let mut buffer = vec![0; 65_535];
        match socket.recv(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                Ok(UdpProbe::Reply(buffer))
            }
            // Which ICMP error it was, only the raw socket knows.
            Err(_) => Ok(errors.next_for(IPPROTO_UDP).map_or(UdpProbe::Silent, UdpProbe::Icmp)),
        }
    })?
}

/// Whether one ICMP echo request, sent with `ping`, is answered within two seconds.
///
/// # Errors
/// When `ping` cannot be run.
pub fn ping(lab: &Lab, from: Node, to: IpAddr) -> Result<bool, LabError> {
    Ok(lab.exec(from, ["ping", "-n", "-c", "1", "-W", "2", &to.to_string()])?.status.success())
}

/// A listener on a node, for as long as the value lives.
#[derive(Debug)]
pub struct Listener {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Listener {
    /// Accepts TCP connections on all addresses of a node, says `hello` and closes.
    ///
    /// # Errors
    /// When the port is taken or the namespace cannot be entered.
    pub fn tcp(lab: &Lab, node: Node, port: u16) -> Result<Self, LabError> {
        let listener = lab
            .inside(node, || TcpListener::bind(("::", port)))?
            .map_err(system(format!("listen on TCP port {port} in `{node}`")))?;
        listener.set_nonblocking(true).map_err(system("make the listener non-blocking"))?;
        Ok(Self::serve(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.write_all(b"hello\n").ok();
            }
        }))
    }

    /// Sends UDP datagrams that reach a port of a node back to where they came from.
    ///
    /// # Errors
    /// When the port is taken or the namespace cannot be entered.
    pub fn udp_echo(lab: &Lab, node: Node, port: u16) -> Result<Self, LabError> {
        let socket = lab
            .inside(node, || UdpSocket::bind(("::", port)))?
            .map_err(system(format!("listen on UDP port {port} in `{node}`")))?;
        socket.set_nonblocking(true).map_err(system("make the socket non-blocking"))?;
        let mut buffer = vec![0; 65_535];
        Ok(Self::serve(move || {
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                socket.send_to(buffer.get(..length).unwrap_or_default(), from).ok();
            }
        }))
    }

    fn serve(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn();
                thread::sleep(Duration::from_millis(2));
            }
        });
        Self { stop, worker: Some(worker) }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            worker.join().ok();
        }
    }
}

/// Connects from a node and reads until the other side closes, at most 4096 bytes.
///
/// # Errors
/// When the connection fails.
pub fn read_banner(lab: &Lab, from: Node, to: SocketAddr, limit: Duration) -> Result<String, LabError> {
    lab.inside(from, || {
        let stream = TcpStream::connect_timeout(&to, limit).map_err(system(format!("connect to {to}")))?;
        stream.set_read_timeout(Some(limit)).map_err(system("set a time limit"))?;
        let mut text = Vec::new();
        stream.take(4096).read_to_end(&mut text).map_err(system(format!("read from {to}")))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    })?
}

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// A raw socket that sees the ICMP errors that reach this namespace. Error codes of `connect` alone do not tell an RST from a
/// "port unreachable", nor "host prohibited" from a missing neighbour.
struct IcmpWatch {
    socket: OwnedFd,
    to: SocketAddr,
}

impl IcmpWatch {
    fn open(to: SocketAddr) -> Result<Self, LabError> {
        let (family, protocol) = match to {
            SocketAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            SocketAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::RAW, flags, Some(protocol))
            .map_err(system("open a raw ICMP socket"))?;
        Ok(Self { socket, to })
    }

    /// The first error about a packet of `protocol` to our destination among what came so far.
    fn next_for(&self, protocol: u8) -> Option<IcmpError> {
        let mut buffer = [0_u8; 2048];
        while let Ok((length, _)) = recv(&self.socket, &mut buffer, RecvFlags::empty()) {
            let message = buffer.get(..length)?;
            let error = match self.to {
                SocketAddr::V4(to) => error_v4(message, protocol, &to.ip().octets(), to.port()),
                SocketAddr::V6(to) => error_v6(message, protocol, &to.ip().octets(), to.port()),
            };
            if error.is_some() {
                return error;
            }
        }
        None
    }
}

/// RFC 792: the message holds the IP header and the first 8 bytes of the packet that it is about.
fn error_v4(packet: &[u8], protocol: u8, to: &[u8; 4], port: u16) -> Option<IcmpError> {
    let message = packet.get(header_length(packet)?..)?;
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let about = message.get(8..)?;
    let ours = kind == 3
        && *about.get(9)? == protocol
        && about.get(16..20)? == to
        && about.get(header_length(about)? + 2..)?.first_chunk() == Some(&port.to_be_bytes());
    ours.then_some(match code {
        3 => IcmpError::PortUnreachable,
        10 => IcmpError::HostProhibited,
        13 => IcmpError::AdminProhibited,
        code => IcmpError::Other { kind, code },
    })
}

/// RFC 4443, 3.1. A raw ICMPv6 socket hands out the message without the IP header.
fn error_v6(message: &[u8], protocol: u8, to: &[u8; 16], port: u16) -> Option<IcmpError> {
    let (kind, code) = (*message.first()?, *message.get(1)?);
    let about = message.get(8..)?;
    let ours = kind == 1
        && *about.get(6)? == protocol
        && about.get(24..40)? == to
        && about.get(42..)?.first_chunk() == Some(&port.to_be_bytes());
    ours.then_some(match code {
        1 => IcmpError::AdminProhibited,
        4 => IcmpError::PortUnreachable,
        code => IcmpError::Other { kind, code },
    })
}

fn header_length(packet: &[u8]) -> Option<usize> {
    Some(usize::from(packet.first()? & 0x0f) * 4)
}
