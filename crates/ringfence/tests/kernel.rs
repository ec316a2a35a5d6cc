//! The least that Ringfence promises, with nothing but the kernel: no PBX, no attack tools. `cargo xtask kernels` runs it on
//! every kernel that is supported. Root only.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lab::probe::{self, Listener, UdpProbe};
use lab::{Guard, Lab, Node, skip};

const SIP: SocketAddr = SocketAddr::new(IpAddr::V4(Node::Pbx.v4()), 5060);

#[test]
fn a_scanner_is_dropped_in_the_driver_and_a_caller_is_heard() {
    if !skip::ready("a_scanner_is_dropped_in_the_driver", &["ip", "nft", "nsenter"]) {
        return;
    }
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    let binary = std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from);
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/asterisk.rules");
    let lab = Lab::up("kernel").unwrap();
    let _listener = Listener::udp_echo(&lab, Node::Pbx, SIP.port()).unwrap();
    let send = |text: &[u8]| probe::udp(&lab, Node::Attacker, SIP, text, Duration::from_secs(3)).unwrap();
    let scanner = b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n";
    let caller = b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nUser-Agent: Acme Phone\r\n\r\n";
    assert_eq!(send(scanner), UdpProbe::Reply(scanner.to_vec()), "nobody guards yet");

    let guard = Guard::start(&lab, &binary, &policy).unwrap();
    let status = guard.command(&["status", "--format", "json"]).unwrap();
    let told: serde_json::Value =
        serde_json::from_str(&status.stdout).unwrap_or_else(|error| panic!("{error}: {}", status.text()));
    assert_eq!(told.get("enforced"), Some(&true.into()), "{told}");
    assert!(status.stdout.contains(r#""mode":"driver""#), "{told}");
    assert_eq!(send(scanner), UdpProbe::Silent, "{told}");
    assert_eq!(send(caller), UdpProbe::Reply(caller.to_vec()), "{told}");
    let stopped = guard.command(&["stop", "--clean"]).unwrap();
    assert!(stopped.status.success(), "{}", stopped.text());
    assert_eq!(send(scanner), UdpProbe::Reply(scanner.to_vec()), "the gate is gone");
}
