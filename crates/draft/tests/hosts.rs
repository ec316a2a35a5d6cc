//! Hosts, and the policies that are drafted for them. A folder is a host: `host` has what the kernel tells, `etc-asterisk` the
//! PBX's files, `policy.toml` the policy, `remarks` what is said beside it. `UPDATE_GOLDEN=1` writes the last two anew.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use audit::{Files, Peer, Place, Protocol, Socket, Trunk};
use draft::{Draft, Host};
use policy::Policy;
use policy::diagnostic::Style;
use proptest::prelude::*;

#[test]
fn hosts_get_what_is_expected() {
    for folder in hosts() {
        let draft = draft::draft(&host(&folder));
        let remarks: String = draft.remarks.iter().map(|remark| format!("{remark}\n")).collect();
        for (name, text) in [("policy.toml", &draft.text), ("remarks", &remarks)] {
            let path = folder.join(name);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, text).unwrap();
            }
            assert_eq!(*text, fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        }
        check(&draft);
        assert!(draft.text.lines().all(|line| line.chars().count() <= 130), "{}", folder.display());
    }
}

/// What is suggested has to be right, too, when its marks are taken away.
#[test]
fn suggestions_are_good_policies() {
    for folder in hosts() {
        let text = draft::draft(&host(&folder)).text;
        let is_line = |line: &&str| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            line.starts_with(['[', ' ', ']'])
                || bare.starts_with('[') && bare.ends_with(']')
                || bare.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
                || line.ends_with("= [")
        };
        let bare: String = text
            .lines()
            .filter(is_line)
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .collect();
        if let Err(mistakes) = Policy::parse("suggested", bare.clone().into_bytes()) {
            panic!("{}: {:?}\n{bare}", folder.display(), mistakes[0].render(Style::Plain));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    /// Whatever programs, sections and files are called, it is a policy, and nothing of it comes out of their names.
    #[test]
    fn any_names_give_a_policy(
        programs in proptest::collection::vec(("\\PC{0,15}|[\\x00-\\x20\"\\\\\\]\\[=#]{0,15}", any::<u16>(), any::<bool>(), any::<[u8; 4]>()), 0..40),
        names in proptest::collection::vec(("\\PC{0,40}|[\\x00-\\x20\"\\\\\\]\\[=#.]{0,15}", any::<[u8; 4]>(), 0u8..=32), 0..20),
        start in 1u16..,
        length in 0u16..,
        log in "\\PC{0,40}|[\\x00-\\x20\"\\\\]{0,15}",
        client in 1u16..,
    ) {
        let mut host = host(&hosts()[0]);
        host.client_ports = client..=u16::MAX;
        host.sockets.extend(programs.into_iter().filter(|one| one.1 != 0).map(|(program, port, is_tcp, address)| Socket {
            protocol: if is_tcp { Protocol::Tcp } else { Protocol::Udp },
            port,
            address: address.into(),
            program: Some(program),
        }));
        let (_, profile) = host.asterisk.as_mut().unwrap();
        profile.media.ports = start..=start.saturating_add(length);
        for (name, address, prefix) in names {
            let place = Place { file: Arc::from(name.as_str()), line: 1 };
            let what = format!("identify `{name}`");
            let masked = u32::from_be_bytes(address) & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let net = Peer::Net(masked.to_be_bytes().into(), prefix);
            profile.trunks.push(Trunk { peer: net, place: place.clone(), what: what.clone() });
            profile.trunks.push(Trunk { peer: Peer::Name(name), place, what });
        }
        profile.security_log.as_mut().unwrap().path = format!("/{log}");
        let draft = draft::draft(&host);
        check(&draft);
    }
}

fn check(draft: &Draft) {
    match Policy::parse("drafted", draft.text.clone().into_bytes()) {
        Err(mistakes) => panic!("{}\n{}", mistakes[0].render(Style::Plain), draft.text),
        Ok(policy) => {
            let warnings: Vec<_> = policy.warnings().iter().map(|one| one.render(Style::Plain)).collect();
            assert!(warnings.is_empty(), "{warnings:?}\n{}", draft.text);
            let opened: BTreeSet<_> = policy.services().iter().map(|one| one.name.clone()).collect();
            let said: BTreeSet<_> = draft.opened.iter().cloned().collect();
            assert!(opened.is_superset(&said) && opened.len() <= said.len() + 1, "{opened:?} {said:?}");
        }
    }
}

fn hosts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts");
    let mut hosts: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    hosts.sort();
    assert!(hosts.len() >= 5);
    hosts
}

/// `tcp 0.0.0.0:22 sshd`, `operator 203.0.113.5`, `session 2222`, `forwards`, `secret …`, `no-log WHY`.
fn host(folder: &Path) -> Host {
    let files = folder.join("etc-asterisk");
    let asterisk =
        files.is_dir().then(|| ("/etc/asterisk".to_owned(), audit::profile(&Disk, &files).unwrap()));
    let mut host = Host {
        sockets: Vec::new(),
        client_ports: 32768..=60999,
        ssh_ports: BTreeSet::new(),
        forwards: false,
        asterisk,
        operators: Vec::new(),
        manager_secret: ("/etc/ringfence/manager.secret".to_owned(), None),
        log_fault: None,
    };
    for line in fs::read_to_string(folder.join("host")).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [mark, ..] if mark.starts_with(';') => {}
            ["operator", address] => host.operators.push(address.parse().unwrap()),
            ["session", port] => drop(host.ssh_ports.insert(port.parse().unwrap())),
            ["forwards"] => host.forwards = true,
            ["secret", secret] => host.manager_secret.1 = Some((*secret).to_owned()),
            ["no-log", why @ ..] => host.log_fault = Some(why.join(" ")),
            [protocol @ ("tcp" | "udp"), at, program @ ..] => {
                let at: SocketAddr = at.parse().unwrap();
                host.sockets.push(Socket {
                    protocol: if *protocol == "tcp" { Protocol::Tcp } else { Protocol::Udp },
                    port: at.port(),
                    address: at.ip(),
                    program: (!program.is_empty()).then(|| program.join(" ")),
                });
            }
            _ => panic!("{line}"),
        }
    }
    host
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect())
    }
}
