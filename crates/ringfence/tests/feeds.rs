//! Block lists in force: what is listed is dropped, who must not be banned is not, and a server that fails changes nothing.
//! Root only.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::probe::{self, Listener, UdpProbe};
use lab::{Guard, Lab, Node, skip};
use serde_json::Value;

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const PHONE: IpAddr = IpAddr::V4(Node::Phone.v4());
const TOOLS: &[&str] = &["bpftool", "nft", "openssl"];

const POLICY: &str = "signatures = []\n[services]\nsip = { udp = [5060], tcp = [5060], inspect = true }\n\
    [trust]\nnetworks = [\"192.0.2.0/24\"]\n";

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// What the server does.
#[derive(Clone, Debug)]
enum Mood {
    List {
        text: String,
        etag: &'static str,
    },
    /// Each as the path that it stands for, and what it says.
    Pages(Vec<(&'static str, &'static str)>),
    Status(u16),
    Silence,
}

/// A server of lists in the PBX's namespace.
struct Server {
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<Vec<String>>>,
    address: SocketAddr,
}

impl Server {
    fn start(lab: &Lab, mood: Mood) -> Self {
        let listener = lab.inside(Node::Pbx, || TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, asked) = (Arc::new(Mutex::new(mood)), Arc::new(Mutex::new(Vec::new())));
        let (moods, questions) = (Arc::clone(&mood), Arc::clone(&asked));
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let question = read(&mut stream);
                let mood = moods.lock().unwrap().clone();
                match &mood {
                    Mood::List { etag, .. } if question.contains(etag) => {
                        write!(stream, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n").unwrap();
                    }
                    Mood::List { text, etag } => {
                        let head = format!(
                            "ETag: \"{etag}\"\r\nContent-Length: {}\r\nConnection: close",
                            text.len()
                        );
                        write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{text}").unwrap();
                    }
                    Mood::Pages(pages) => {
                        let page =
                            pages.iter().find(|(path, _)| question.starts_with(&format!("GET {path} ")));
                        let (status, text) = page.map_or((400, "no such page"), |(_, text)| (200, *text));
                        let head = format!("Content-Length: {}\r\nConnection: close", text.len());
                        write!(stream, "HTTP/1.1 {status} So\r\n{head}\r\n\r\n{text}").unwrap();
                    }
                    Mood::Status(status) => {
                        write!(
                            stream,
                            "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                        )
                        .unwrap();
                    }
                    Mood::Silence => held.push(stream),
                }
                questions.lock().unwrap().push(question);
            }
        });
        Self { mood, asked, address }
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn list(&self, text: &str, etag: &'static str) {
        self.be(Mood::List { text: text.to_owned(), etag });
    }
}

fn read(stream: &mut TcpStream) -> String {
    let mut question = Vec::new();
    let mut some = [0; 1024];
    while !question.ends_with(b"\r\n\r\n") {
        match stream.read(&mut some).unwrap() {
            0 => break,
            count => question.extend(&some[..count]),
        }
    }
    String::from_utf8(question).unwrap()
}

fn status(guard: &Guard<'_>) -> Value {
    let status = guard.command(&["status", "--format", "json"]).unwrap();
    serde_json::from_str(&status.stdout).unwrap()
}

/// The first feed, once it is as wanted.
fn feed(guard: &Guard<'_>, what: &str, patience: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + patience;
    loop {
        let status = status(guard);
        let feed = &status["feeds"][0];
        if is_so(feed) {
            return feed.clone();
        }
        assert!(Instant::now() < deadline, "{what}: {feed:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Has the lists asked for again, and waits until the look is over.
fn again(guard: &Guard<'_>, server: &Server) -> Value {
    let before = server.asked.lock().unwrap().len();
    let reload = guard.command(&["reload"]).unwrap();
    assert!(reload.status.success(), "{}", reload.text());
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.asked.lock().unwrap().len() == before {
        assert!(Instant::now() < deadline, "the server is not asked again");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Only from now on it is not the wait before that look.
    feed(guard, "looked", Duration::from_secs(10), |feed| feed["state"] == "waiting")
}

fn banned(guard: &Guard<'_>) -> Vec<String> {
    let bans = guard.command(&["bans", "--by", "feed:drop", "--format", "json"]).unwrap();
    let lines = bans.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|ban| ban["source"].as_str().unwrap().to_owned()).collect()
}

fn must(guard: &Guard<'_>, args: &[&str]) {
    let done = guard.command(args).unwrap();
    assert!(done.status.success(), "{args:?}: {}", done.text());
}

/// Whether a request to the SIP port comes to the server there, which sends it back.
fn is_served(lab: &Lab, from: Node) -> bool {
    let request = format!(
        "OPTIONS sip:600@{PBX} SIP/2.0\r\nVia: SIP/2.0/UDP {from}:5060;branch=z9hG4bK-feeds\r\nFrom: <sip:a@{PBX}>;tag=1\r\n\
         To: <sip:600@{PBX}>\r\nCall-ID: feeds\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        from = from.v4(),
    );
    let answer =
        probe::udp(lab, from, (PBX, 5060).into(), request.as_bytes(), Duration::from_secs(1)).unwrap();
    matches!(answer, UdpProbe::Reply(_))
}

/// Looks at the processes that wait for a server.
fn whoever_asks_has_nothing() {
    let processes = || std::fs::read_dir("/proc").unwrap().flatten().map(|process| process.path());
    let asks = |path: &PathBuf| {
        std::fs::read(path.join("cmdline")).is_ok_and(|typed| typed == b"/proc/self/exe\0fetch\0")
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    // It begins with what it has from whoever started it.
    let waits = || {
        processes().filter(asks).find_map(|path| {
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:\t"))?;
            (filters.parse::<u32>().ok()? >= 6).then_some(status)
        })
    };
    let status = loop {
        if let Some(status) = waits() {
            break status;
        }
        assert!(Instant::now() < deadline, "no process asks, or none is confined");
        std::thread::sleep(Duration::from_millis(20));
    };
    for line in [
        "Uid:\t65534\t65534\t65534\t65534",
        "Gid:\t65534\t65534\t65534\t65534",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
}

#[test]
fn a_list_is_in_force_and_harms_nobody_who_is_sheltered() {
    if !skip::ready("a_list_is_in_force", TOOLS) {
        return;
    }
    let lab = Lab::up("feeds").unwrap();
    let _sip = Listener::udp_echo(&lab, Node::Pbx, 5060).unwrap();
    let first = format!(
        "# a list\n{ATTACKER}\n203.0.113.128/25 ; a network\n2001:db8:66::1\n203.0.113.77\n{PBX}\n{PHONE}\n10.0.0.0/8\n0.0.0.0/0\nnonsense\n"
    );
    let server = Server::start(&lab, Mood::List { text: first, etag: "one" });
    let policy = lab.dir().join("policy.toml");
    let feeds =
        format!("{POLICY}[feeds.drop]\nurl = \"http://{}/list\"\nreason = \"known bad\"\n", server.address);
    std::fs::write(&policy, POLICY).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    assert!(is_served(&lab, Node::Attacker) && is_served(&lab, Node::Phone));
    must(&guard, &["ban", "203.0.113.77", "--for", "10m", "--reason", "mine"]);

    std::fs::write(&policy, feeds).unwrap();
    let listed = again(&guard, &server);
    let counts = |feed: &Value| {
        ["entries", "banned", "spared", "by_operator", "refused", "unread"]
            .map(|key| feed[key].as_u64().unwrap())
    };
    assert_eq!(counts(&listed), [6, 3, 2, 1, 2, 1], "{listed:#}");
    let told = guard.command(&["status"]).unwrap().stdout;
    let line = "drop: 6 entries, 3 banned, 2 refused (reserved addresses, or networks too wide), 1 lines not understood, \
                2 spared (trusted, or in use by this host)";
    assert!(told.contains(line), "{told}");
    assert_eq!(listed["format"], "plain");
    assert_eq!(listed["unread_lines"][0], "line 10: `nonsense`");
    assert!(listed["last_success"].is_string() && listed["next"].is_string(), "{listed:#}");
    assert_eq!(banned(&guard), ["203.0.113.66", "203.0.113.128/25", "2001:db8:66::/64"]);
    assert!(!is_served(&lab, Node::Attacker), "who is listed is not heard");
    assert!(is_served(&lab, Node::Phone), "who is trusted is, though he is listed");
    let why = guard.command(&["why", &ATTACKER.to_string()]).unwrap();
    assert!(why.stdout.contains("known bad"), "{}", why.text());

    // The operator's word stands: an unban with a grace, and a ban with an end of his own.
    must(&guard, &["unban", &ATTACKER.to_string(), "--by", "feed:drop", "--grace", "1h"]);
    assert!(is_served(&lab, Node::Attacker));
    let unchanged = again(&guard, &server);
    assert!(
        server.asked.lock().unwrap().last().unwrap().to_ascii_lowercase().contains("if-none-match: \"one\"")
    );
    assert_eq!(counts(&unchanged), [6, 2, 3, 1, 2, 1], "{unchanged:#}");
    assert!(is_served(&lab, Node::Attacker));

    // Who is gone from the list stays banned until his time is over.
    server.list(&format!("{ATTACKER}\n203.0.113.99\n"), "two");
    let changed = again(&guard, &server);
    assert_eq!(counts(&changed), [2, 1, 1, 0, 0, 0], "{changed:#}");
    assert_eq!(banned(&guard), ["203.0.113.99", "203.0.113.128/25", "2001:db8:66::/64"]);

    // A server that fails changes nothing, and is told once.
    server.be(Mood::Status(500));
    assert_eq!(again(&guard, &server)["last_error"], "the server answers with status 500");
    server.be(Mood::Silence);
    must(&guard, &["reload"]);
    feed(&guard, "looking", Duration::from_secs(5), |feed| feed["state"] == "looking");
    whoever_asks_has_nothing();
    let begin = Instant::now();
    assert_eq!(status(&guard)["enforced"], true, "a slow server delays nobody");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let failed = feed(&guard, "given up", Duration::from_secs(45), |feed| feed["failures"] == 2);
    assert_eq!(failed["last_error"], "the server did not answer within 30 s");
    assert_eq!(banned(&guard).len(), 3);
    let told = guard.system_log().iter().filter(|line| line.contains("feed drop:")).count();
    assert_eq!(told, 1, "{:#?}", guard.system_log());

    // Without the feed, without its bans; the operator's stays.
    std::fs::write(&policy, POLICY).unwrap();
    must(&guard, &["reload"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !banned(&guard).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", banned(&guard));
        std::thread::sleep(Duration::from_millis(100));
    }
    let verified = guard.command(&["status", "--verify", "--format", "json"]).unwrap();
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(
        (&verified["repaired"], &verified["agree"]),
        (&serde_json::json!([]), &1.into()),
        "{verified:#}"
    );
    must(&guard, &["stop", "--clean"]);
}

#[test]
fn a_long_list_holds_nobody_up() {
    if !skip::ready("a_long_list_holds_nobody_up", TOOLS) {
        return;
    }
    const ENTRIES: u32 = 100_000;
    let lab = Lab::up("longfeed").unwrap();
    let _sip = Listener::udp_echo(&lab, Node::Pbx, 5060).unwrap();
    let list = lab.dir().join("list.txt");
    let mut text = String::new();
    for number in 0..ENTRIES + 5 {
        writeln!(text, "{}", std::net::Ipv4Addr::from_bits(0x0b00_0000 + number * 7)).unwrap();
    }
    std::fs::write(&list, text).unwrap();
    let policy = lab.dir().join("policy.toml");
    std::fs::write(&policy, format!("{POLICY}[feeds.drop]\nfile = \"{}\"\n", list.display())).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let begin = Instant::now();
    let mut slowest = Duration::ZERO;
    let done = loop {
        let asked = Instant::now();
        let status = status(&guard);
        slowest = slowest.max(asked.elapsed());
        assert!(is_served(&lab, Node::Attacker));
        let feed = status["feeds"][0].clone();
        if feed["last_success"].is_string() {
            break feed;
        }
        assert!(begin.elapsed() < Duration::from_secs(90), "{feed:#}");
    };
    println!("{ENTRIES} entries in {:?}, the slowest `status` took {slowest:?}", begin.elapsed());
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    assert_eq!(
        (&done["entries"], &done["banned"], &done["beyond"]),
        (&ENTRIES.into(), &ENTRIES.into(), &5.into())
    );
    let verified = guard.command(&["status", "--verify", "--format", "json"]).unwrap();
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(
        (&verified["repaired"], &verified["agree"]),
        (&serde_json::json!([]), &ENTRIES.into()),
        "{verified:#}"
    );
    must(&guard, &["stop", "--clean"]);
}

/// APIBAN gives at most 250 addresses a page, and says where the next ones are.
#[test]
fn a_list_in_pages_is_read_to_its_end() {
    if !skip::ready("a_list_in_pages", TOOLS) {
        return;
    }
    let lab = Lab::up("pages").unwrap();
    let pages = vec![
        ("/api/key/banned", r#"{"ipaddress":["203.0.113.1","203.0.113.2"],"ID":"1700"}"#),
        ("/api/key/banned/1700", r#"{"ipaddress":["203.0.113.3"],"ID":"1800"}"#),
        // One that leads back must not be followed for ever.
        ("/api/key/banned/1800", r#"{"ipaddress":["203.0.113.4"],"ID":"1700"}"#),
    ];
    let server = Server::start(&lab, Mood::Pages(pages));
    let policy = lab.dir().join("policy.toml");
    let url = format!("http://{}/api/key/banned", server.address);
    std::fs::write(&policy, format!("{POLICY}[feeds.drop]\nurl = \"{url}\"\n")).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let listed = feed(&guard, "read", Duration::from_secs(10), |feed| feed["last_success"].is_string());
    assert_eq!((&listed["format"], &listed["banned"]), (&"apiban".into(), &4.into()), "{listed:#}");
    assert_eq!(banned(&guard), ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"]);
    assert_eq!(server.asked.lock().unwrap().len(), 3);
    must(&guard, &["stop", "--clean"]);
}

#[test]
fn a_server_has_to_show_who_it_is() {
    if !skip::ready("a_server_has_to_show_who_it_is", TOOLS) {
        return;
    }
    let lab = Lab::up("tlsfeed").unwrap();
    let folder = lab.dir().join("lists");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("list"), format!("{ATTACKER}\n203.0.113.99\n")).unwrap();
    let script = "set -e; new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'\n\
        openssl req -x509 $new -subj /CN=authority -keyout ca.key -out ca.pem\n\
        openssl req -x509 $new -subj /CN=lists -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \\\n\
            -CA ca.pem -CAkey ca.key -keyout key.pem -out cert.pem";
    let mut make = lab.command(Node::Pbx, "sh");
    make.current_dir(&folder).args(["-c", script]);
    let made = lab::run(make, Duration::from_secs(20)).unwrap();
    assert!(made.status.success(), "{}", made.text());
    let mut serve = lab.command(Node::Pbx, "openssl");
    serve.current_dir(&folder).args([
        "s_server",
        "-accept",
        "127.0.0.1:8443",
        "-key",
        "key.pem",
        "-cert",
        "cert.pem",
        "-WWW",
    ]);
    let _server = lab.spawn("openssl", serve).unwrap();

    let policy = lab.dir().join("policy.toml");
    let feeds = format!("{POLICY}[feeds.drop]\nurl = \"https://127.0.0.1:8443/list\"\n");
    std::fs::write(&policy, &feeds).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let refused = |guard: &Guard<'_>, why: &str| {
        let said = feed(guard, why, Duration::from_secs(10), |feed| {
            feed["last_error"].as_str().is_some_and(|error| error.contains(why))
        });
        assert_eq!(said["entries"], 0, "{said:#}");
    };
    refused(&guard, "UnknownIssuer");
    let believing = |file: &str| format!("{feeds}ca-file = \"{}\"\n", folder.join(file).display());
    std::fs::write(&policy, believing("list")).unwrap();
    must(&guard, &["reload"]);
    refused(&guard, "it has no certificate");
    std::fs::write(&policy, believing("ca.pem")).unwrap();
    must(&guard, &["reload"]);
    feed(&guard, "believed", Duration::from_secs(10), |feed| feed["banned"] == 2);
    assert_eq!(banned(&guard), [ATTACKER.to_string(), "203.0.113.99".to_owned()]);
    must(&guard, &["stop", "--clean"]);
}
