//! Reading what others publish: lists by HTTP, and files. Everything has a bound: time, bytes, redirects.
//!
//! A URL may have a key in it, so no error shows one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::Response;
use ureq::http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// All of an exchange takes no longer.
pub const PATIENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: u32 = 5;
/// A longer mark of a server is not given back to it.
pub(crate) const MAX_MARK: usize = 1024;

/// By what a server or a file system tells whether something has changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mark {
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
    pub(crate) file: Option<(SystemTime, u64)>,
}

/// What came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It is as it was when the mark was given.
    Unchanged,
    /// `status` is 200 for a file. At most one byte more than was asked for, so that too much can be told.
    Body { status: u16, bytes: Vec<u8>, mark: Mark },
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the server {0}")]
    Server(String),
    /// Of the authorities that are to be believed.
    #[error("{0}")]
    Certificates(String),
    #[error("cannot {operation} {path}: {source}")]
    File { operation: &'static str, path: String, source: io::Error },
}

/// Asks a server, which is told by `mark` what is known already. The certificate of one with `https` has to be signed by an
/// authority of `authorities` (certificates in DER), or of Mozilla's list.
///
/// # Errors
/// [`Error::Server`]; an answer is none, whatever its status is.
pub fn url(url: &str, authorities: Option<&[Vec<u8>]>, mark: &Mark, most: usize) -> Result<Answer, Error> {
    let roots = match authorities {
        None => RootCerts::WebPki,
        Some(believed) => {
            let believed: Vec<_> = believed.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
            RootCerts::new_with_certs(&believed)
        }
    };
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(MAX_REDIRECTS)
        // Who asked for a server that shows who it is, gets no other.
        .https_only(url.starts_with("https://"))
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .user_agent(concat!("ringfence/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(url);
    for (name, mark) in [(IF_NONE_MATCH, &mark.etag), (IF_MODIFIED_SINCE, &mark.modified)] {
        if let Some(mark) = mark {
            request = request.header(name, mark);
        }
    }
    let mut response = request.call().map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    if status == 304 {
        return Ok(Answer::Unchanged);
    }
    let header = |name| text(&response, name);
    let mark = Mark { etag: header(ETAG), modified: header(LAST_MODIFIED), file: None };
    let mut bytes = Vec::new();
    let body = response.body_mut().as_reader();
    body.take(bound(most)).read_to_end(&mut bytes).map_err(|error| failed(&ureq::Error::from(error)))?;
    Ok(Answer::Body { status, bytes, mark })
}

/// Reads a file, unless it is what `mark` was given for.
///
/// # Errors
/// [`Error::File`].
pub fn file(path: &Path, mark: &Mark, most: usize) -> Result<Answer, Error> {
    let failed =
        |operation| move |source| Error::File { operation, path: path.display().to_string(), source };
    let known = std::fs::metadata(path).map_err(failed("read"))?;
    if !known.is_file() {
        // A pipe would be waited for.
        return Err(failed("read")(io::Error::other("it is no file")));
    }
    let now = known.modified().ok().map(|time| (time, known.len()));
    if now.is_some() && now == mark.file {
        return Ok(Answer::Unchanged);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed("open"))?;
    file.take(bound(most)).read_to_end(&mut bytes).map_err(failed("read"))?;
    Ok(Answer::Body { status: 200, bytes, mark: Mark { file: now, ..Mark::default() } })
}

pub(crate) fn bound(most: usize) -> u64 {
    u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1)
}

fn text<B>(response: &Response<B>, name: ureq::http::HeaderName) -> Option<String> {
    let text = response.headers().get(name)?.to_str().ok()?;
    (text.len() <= MAX_MARK).then(|| text.to_owned())
}

/// What happened, without the URL.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what else may happen is not for us to say, and not ours to list"
)]
fn failed(error: &ureq::Error) -> Error {
    use ureq::Error as Happened;
    Error::Server(match error {
        Happened::Timeout(_) => format!("did not answer within {} s", PATIENCE.as_secs()),
        Happened::HostNotFound => "has no address: its name was not found".to_owned(),
        Happened::TooManyRedirects => format!("sends us on more than {MAX_REDIRECTS} times"),
        Happened::RequireHttpsOnly(_) => "sends us to a place without https".to_owned(),
        Happened::BadUri(_) | Happened::RedirectFailed => "sends us to no place that there is".to_owned(),
        Happened::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            format!("did not answer within {} s", PATIENCE.as_secs())
        }
        Happened::Io(error) => format!("cannot be asked: {error}"),
        other => format!("cannot be asked: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    /// A server for one question; what it was asked.
    fn server(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/key/list?secret", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut some = [0; 1024];
            while !asked.ends_with(b"\r\n\r\n") {
                let count = stream.read(&mut some).unwrap();
                asked.extend(&some[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, thread)
    }

    #[test]
    fn a_server_is_asked_for_what_is_new() {
        let (first, thread) = server("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\nhello");
        let answer = url(&first, None, &Mark::default(), 3).unwrap();
        assert!(!thread.join().unwrap().to_ascii_lowercase().contains("if-none-match"));
        let Answer::Body { status, bytes, mark } = answer else { panic!("{answer:?}") };
        assert_eq!((status, bytes.as_slice()), (200, b"hell".as_slice()), "one more than was asked for");
        let (second, thread) = server("HTTP/1.1 304 Not Modified\r\n\r\n");
        assert_eq!(url(&second, None, &mark, 3).unwrap(), Answer::Unchanged);
        assert!(thread.join().unwrap().to_ascii_lowercase().contains("if-none-match: \"a\""));
    }

    #[test]
    fn errors_show_no_url() {
        for answer in [
            "HTTP/1.1 302 Found\r\nLocation: ftp://x/secret\r\nContent-Length: 0\r\n\r\n",
            "nonsense\r\n\r\n",
            "",
        ] {
            let (asked, thread) = server(answer);
            let text = match url(&asked, None, &Mark::default(), 100) {
                Err(error) => error.to_string(),
                Ok(answer) => panic!("{answer:?}"),
            };
            thread.join().unwrap();
            assert!(text.starts_with("the server ") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed() {
        let path = std::env::temp_dir().join(format!("ringfence-fetch-{}", std::process::id()));
        std::fs::write(&path, "one").unwrap();
        let Answer::Body { bytes, mark, .. } = file(&path, &Mark::default(), 100).unwrap() else { panic!() };
        assert_eq!(bytes, b"one");
        assert_eq!(file(&path, &mark, 100).unwrap(), Answer::Unchanged);
        std::fs::write(&path, "three").unwrap();
        assert!(matches!(file(&path, &mark, 100).unwrap(), Answer::Body { .. }));
        std::fs::remove_file(&path).unwrap();
        assert!(file(&path, &mark, 100).unwrap_err().to_string().starts_with("cannot read "));
        assert!(file(Path::new("/dev/zero"), &mark, 100).is_err());
    }
}
