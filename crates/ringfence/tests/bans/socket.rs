//! Clients that mean harm, or nothing at all.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json as object;

use crate::scene::{Scene, json, says};

/// Megabytes that the daemon may take for what strangers send it.
const ALLOWED: u64 = 150;

#[test]
fn nonsense_on_the_socket_is_refused_in_bounded_memory() {
    let Some(scene) = Scene::new("socket", &[]) else { return };
    let mut guard = scene.guard();
    let pid = guard.process().id();
    let socket = scene.directory("run/control.sock");
    let list = (0..20_000).map(|number| format!("10.9.{}.{}", number / 250, number % 250));
    let file = scene.lab.dir().join("list");
    std::fs::write(&file, list.collect::<Vec<_>>().join("\n")).unwrap();
    let ban = scene.shell(&format!("$R ban - --run-dir $D < {}", file.display()));
    assert!(ban.status.success(), "{}", ban.text());
    let before = memory(pid);

    let deep = "[".repeat(200_000);
    let wrong =
        object!({ "command": "ban", "targets": [], "period": null, "reason": "x", "more": 1 }).to_string();
    let far = object!({ "command": "ban", "targets": ["10.0.0.1"], "period": { "secs": u64::MAX, "nanos": 0 }, "reason": "x" });
    for text in [
        "{}",
        "\0\u{1}\u{2}",
        "null",
        "\"ban\"",
        &deep,
        &wrong,
        r#"{"command":"rm"}"#,
        r#"{"command":"why","address":"x"}"#,
    ] {
        let answer = exchange(&socket, format!("{text}\n").as_bytes());
        assert!(answer.contains("\"ok\":false") && answer.contains("cannot be read"), "{answer}");
    }
    assert!(exchange(&socket, &[0xff; 3000]).is_empty(), "no line, no answer");
    assert!(exchange(&socket, format!("{far}\n").as_bytes()).contains("\"ok\":true"), "as good as for ever");
    let names =
        object!({ "command": "ban", "targets": vec!["nonsense"; 20_000], "period": null, "reason": "x" });
    assert!(exchange(&socket, format!("{names}\n").as_bytes()).contains("\"banned\":0"));

    // Without an end, without reading, without a word.
    let mut crowd: Vec<UnixStream> = Vec::new();
    for number in 0..60 {
        let Ok(mut client) = UnixStream::connect(&socket) else { break };
        client.set_write_timeout(Some(Duration::from_millis(5))).unwrap();
        client.set_nonblocking(number >= 30).unwrap();
        let text = match number % 3 {
            0 => vec![b'x'; 1 << 20],
            1 => format!("{}\n", object!({ "command": "bans", "limit": 10_000 })).into_bytes(),
            _ => Vec::new(),
        };
        // They are held up, as they should be.
        client.write_all(&text).ok();
        crowd.push(client);
    }
    let begin = Instant::now();
    assert_eq!(json(&guard, &["status"])[0]["enforced"], true);
    assert!(begin.elapsed() < Duration::from_secs(25), "others wait {:?}", begin.elapsed());
    let grown = memory(pid).saturating_sub(before);
    assert!(grown < ALLOWED, "{grown} MB more");
    drop(crowd);
    says(&guard, &["unban", "10.0.0.1"], 0);
}

fn exchange(socket: &std::path::Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The most that it had, in megabytes.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}
