//! What the fuzz target and the replay of its corpus run: any bytes, as either server, in any pieces.

use std::time::Duration;

use crate::{Login, Output, Server, Session};

/// The first byte says which server, how the rest is cut, and whether the login is past.
pub fn stream(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let server = Server::ALL.get(usize::from(first & 1)).copied().unwrap_or(Server::Asterisk);
    let (user, secret) = ("u".to_owned(), "s".to_owned());
    let login = Login { server, user, secret, is_private: first & 2 != 0 };
    let Ok(mut session) = Session::new(login, Duration::ZERO) else { return };
    let logged_in: &[u8] = match server {
        _ if first & 4 == 0 => b"",
        Server::Asterisk => {
            b"Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nActionID: ringfence-1\r\nChallenge: 1\r\n\r\n\
              Response: Success\r\nActionID: ringfence-2\r\n\r\n"
        }
        Server::Freeswitch => {
            b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\n\
              Content-Type: command/reply\nReply-Text: +OK\n\n"
        }
    };
    let size = usize::from(first >> 3) + 1;
    let mut now = Duration::ZERO;
    for piece in [logged_in].into_iter().chain(bytes.chunks(size * size)) {
        now += Duration::from_millis(100);
        let over = session.receive(piece, now).is_err() || session.handle_timeout(now).is_err();
        while let Some(output) = session.next_output() {
            check(&output);
        }
        if over {
            return;
        }
        assert!(session.poll_timeout() > now, "there is time until the next step");
    }
}

fn check(output: &Output) {
    match output {
        Output::Send(bytes) => assert!(bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n"), "whole"),
        Output::Ready { version } => assert!(is_harmless(version), "harmless"),
        Output::Event(event) => {
            let texts = [
                &event.account,
                &event.session,
                &event.nonce,
                &event.response,
                &event.contact,
                &event.detail,
            ];
            assert!(texts.into_iter().flatten().all(|text| is_harmless(text)), "harmless");
        }
    }
}

fn is_harmless(text: &str) -> bool {
    text.chars().count() <= 256 && !text.contains(char::is_control)
}
