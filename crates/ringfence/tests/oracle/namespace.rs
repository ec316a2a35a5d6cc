//! Three namespaces in a row: `left`, `host` (the guarded machine, which also routes) and `right`, and raw frames into them.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, sendto, socket,
};
use rustix::thread::{
    CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_getaffinity, sched_getcpu, sched_setaffinity,
};

/// Namespaces that live as long as this value.
#[derive(Debug)]
pub(crate) struct Network {
    id: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The host's addresses, and the networks behind each side (through a router whose address ends in 254).
pub(crate) const HOST_V4: &str = "198.51.100.1";
pub(crate) const HOST_V6: &str = "2001:db8:100::1";
pub(crate) const HOST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

impl Network {
    pub(crate) fn up() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let network = Self { id: format!("rf-oracle-{}-{serial}", std::process::id()) };
        for node in ["left", "host", "right"] {
            run(Command::new("ip").args(["netns", "add", &network.name(node)]));
        }
        for (side, v4, v6) in [
            ("left", "198.51.100.1/24", "2001:db8:100::1/64"),
            ("right", "203.0.113.1/24", "2001:db8:113::1/64"),
        ] {
            let (host, peer) = (network.name("host"), network.name(side));
            let link = format!(
                "link add {side}0 netns {host} address 02:00:00:00:00:01 type veth \
                 peer name wire netns {peer} address 02:00:00:00:00:02"
            );
            run(Command::new("ip").args(link.split_whitespace()));
            // Nobody answers on the peer's side: the kernel there must not mix in.
            network.run_in(side, "sysctl", &["-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"]);
            network.ip(side, "link set wire arp off up");
            network.ip("host", &format!("addr add {v4} dev {side}0"));
            network.ip("host", &format!("addr add {v6} dev {side}0 nodad"));
            network.ip("host", &format!("link set {side}0 up"));
            let (gateway_v4, gateway_v6) = (v4.replace(".1/24", ".254"), v6.replace("::1/64", "::254"));
            for gateway in [&gateway_v4, &gateway_v6] {
                network.ip(
                    "host",
                    &format!("neigh add {gateway} lladdr 02:00:00:00:00:02 nud permanent dev {side}0"),
                );
            }
            let (far_v4, far_v6) =
                if side == "left" { ("default", "default") } else { ("10.2.0.0/16", "2001:db8:2::/48") };
            network.ip("host", &format!("route add {far_v4} via {gateway_v4}"));
            network.ip("host", &format!("-6 route add {far_v6} via {gateway_v6}"));
        }
        network.ip("host", "link set lo up");
        network.settings();
        network
    }

    /// Forwarding on; what would make the host's answers depend on time, or discard packets before netfilter, off.
    fn settings(&self) {
        for setting in [
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.left0.rp_filter=0",
            "net.ipv4.conf.right0.rp_filter=0",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.left0.send_redirects=0",
            "net.ipv4.conf.right0.send_redirects=0",
            "net.ipv4.icmp_ratelimit=0",
            "net.ipv4.icmp_msgs_per_sec=100000",
            "net.ipv4.icmp_msgs_burst=100000",
            "net.ipv6.icmp.ratelimit=0",
        ] {
            self.host("sysctl", &["-q", "-w", setting]);
        }
    }

    fn name(&self, node: &str) -> String {
        format!("{}-{node}", self.id)
    }

    fn ip(&self, node: &str, arguments: &str) {
        run(Command::new("ip").args(["-n", &self.name(node)]).args(arguments.split_whitespace()));
    }

    fn run_in(&self, node: &str, program: &str, arguments: &[&str]) {
        run(Command::new("ip").args(["netns", "exec", &self.name(node), program]).args(arguments));
    }

    /// A command in the host's namespace.
    pub(crate) fn host_command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name("host"), program]);
        command
    }

    /// Runs a program in the host's namespace; its output.
    pub(crate) fn host(&self, program: &str, arguments: &[&str]) -> String {
        run(self.host_command(program).args(arguments))
    }

    /// Feeds `input` to a program in the host's namespace.
    pub(crate) fn host_with_input(
        &self,
        program: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<(), String> {
        let mut child = self
            .host_command(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), input.as_bytes())
            .expect("takes input");
        let output = child.wait_with_output().expect("ends");
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Somewhere to put frames into the wire of that side. Until it is dropped the thread stays on one CPU: the kernel takes
    /// a frame in on the CPU that sent it, and frames of two CPUs overtake each other and mix their ways through the rules.
    pub(crate) fn port(&self, side: Side) -> Port {
        let stays = OneCpu::enter();
        let node = if side == Side::Left { "left" } else { "right" };
        let (socket, address) = self.inside(node, || {
            let interfaces = getifaddrs().expect("interfaces");
            let address = interfaces
                .filter(|interface| interface.interface_name == "wire")
                .find_map(|interface| interface.address?.as_link_addr().copied())
                .expect("a link address");
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, flags, None::<SockProtocol>).expect("socket");
            (socket, address)
        });
        Port { socket, address, _stays: stays }
    }

    /// Runs `work` on a thread in a node's namespace; sockets that it opens stay there.
    pub(crate) fn inside<T: Send>(&self, node: &str, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name(node))).expect("namespace");
        std::thread::scope(|scope| {
            let worker = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("enters");
                work()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in ["left", "host", "right"] {
            Command::new("ip").args(["netns", "del", &self.name(node)]).status().ok();
        }
    }
}

/// One end of a wire.
#[derive(Debug)]
pub(crate) struct Port {
    socket: OwnedFd,
    address: LinkAddr,
    _stays: OneCpu,
}

/// Holds the thread on the CPU where it is; on being dropped lets it go where it could go before.
#[derive(Debug)]
struct OneCpu {
    before: CpuSet,
}

impl OneCpu {
    fn enter() -> Self {
        let before = sched_getaffinity(None).expect("affinity");
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(None, &here).expect("stays");
        Self { before }
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.before).ok();
    }
}

impl Port {
    /// Sends an IP datagram to the host in an Ethernet frame.
    pub(crate) fn send(&self, datagram: &[u8]) {
        let ether_type =
            if datagram.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] };
        let frame = [&HOST_MAC[..], &PEER_MAC, &ether_type, datagram].concat();
        assert_eq!(self.address.family(), Some(AddressFamily::Packet));
        sendto(self.socket.as_raw_fd(), &frame, &self.address, MsgFlags::empty()).expect("frame sent");
    }
}

/// Runs a command that must succeed; its output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("starts");
    assert!(
        output.status.success(),
        "{command:?} failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for something that takes a moment.
pub(crate) fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "no {what} within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
