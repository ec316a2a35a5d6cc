//! SIP over TLS: what sipp and sipvicious of Debian cannot do.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use md5::{Digest as _, Md5};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned, crypto};

use crate::error::{LabError, system};
use crate::network::Lab;
use crate::topology::Node;

const PATIENCE: Duration = Duration::from_secs(5);
/// No answer is longer.
const LONGEST: usize = 16 * 1024;

/// Registers an account over one TLS connection: first without credentials, and then once with each password, always for the
/// newest challenge. Returns the status of each answer. Nobody's certificate is looked at, as guessers do not.
///
/// # Errors
/// When there is no connection, or what comes is no answer.
pub fn register(
    lab: &Lab,
    from: Node,
    server: SocketAddr,
    user: &str,
    passwords: &[&str],
) -> Result<Vec<u16>, LabError> {
    lab.inside(from, || {
        let mut phone = Phone::connect(server, user).map_err(system(format!("speak TLS with {server}")))?;
        let mut statuses = Vec::new();
        let mut challenge = None;
        for password in std::iter::once(None).chain(passwords.iter().map(Some)) {
            let credentials = password.zip(challenge.as_ref()).map(|(password, challenge)| {
                credentials(user, password, &format!("sip:{}", server.ip()), challenge)
            });
            let answer =
                phone.ask(credentials.as_deref()).map_err(system(format!("register at {server}")))?;
            let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
            statuses.push(status.ok_or_else(|| LabError::Unexpected { tool: "tls", text: answer.clone() })?);
            challenge = Challenge::of(&answer).or(challenge);
        }
        Ok(statuses)
    })?
}

struct Phone {
    stream: StreamOwned<ClientConnection, TcpStream>,
    server: SocketAddr,
    local: SocketAddr,
    user: String,
    call: String,
    serial: u32,
}

impl Phone {
    fn connect(server: SocketAddr, user: &str) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&server, PATIENCE)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let local = tcp.local_addr()?;
        let config = ClientConfig::builder_with_provider(crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        let name = ServerName::IpAddress(server.ip().into());
        let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let call = format!("{}-{}", local.port(), std::process::id());
        Ok(Self { stream: StreamOwned::new(tls, tcp), server, local, user: user.to_owned(), call, serial: 0 })
    }

    fn ask(&mut self, credentials: Option<&str>) -> io::Result<String> {
        self.serial += 1;
        let Self { server, local, user, call, serial, .. } = &*self;
        let (host, more) = (server.ip(), credentials.unwrap_or_default());
        let request = format!(
            "REGISTER sip:{host} SIP/2.0\r\n\
             Via: SIP/2.0/TLS {local};branch=z9hG4bK{call}.{serial};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:{user}@{host}>;tag={call}\r\n\
             To: <sip:{user}@{host}>\r\n\
             Call-ID: {call}\r\n\
             CSeq: {serial} REGISTER\r\n\
             Contact: <sip:{user}@{local};transport=tls>\r\n\
             Expires: 120\r\n{more}\
             Content-Length: 0\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < LONGEST {
            self.stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

struct Challenge {
    realm: String,
    nonce: String,
    opaque: String,
}

impl Challenge {
    fn of(answer: &str) -> Option<Self> {
        let line = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("www-authenticate:"))?;
        let value = |key: &str| {
            let (_, rest) = line.split_once(&format!("{key}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        Some(Self {
            realm: value("realm")?,
            nonce: value("nonce")?,
            opaque: value("opaque").unwrap_or_default(),
        })
    }
}

/// The header, with its line end (RFC 2617, 3.2.2).
fn credentials(user: &str, password: &str, uri: &str, challenge: &Challenge) -> String {
    let Challenge { realm, nonce, opaque } = challenge;
    let secret = md5(&format!("{user}:{realm}:{password}"));
    let request = md5(&format!("REGISTER:{uri}"));
    let response = md5(&format!("{secret}:{nonce}:00000001:lab:auth:{request}"));
    format!(
        "Authorization: Digest username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",\
         response=\"{response}\",algorithm=MD5,cnonce=\"lab\",qop=auth,nc=00000001,opaque=\"{opaque}\"\r\n"
    )
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Believes everybody.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_challenge_is_as_the_rfc_computes_it() {
        // RFC 2617, 3.5, whose parts are not all ours: only that the pieces are hashed in this order is seen here.
        let answer = "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"asterisk\",nonce=\"1/2\",opaque=\"3\",qop=\"auth\"\r\n\r\n";
        let challenge = Challenge::of(answer).unwrap();
        let header = credentials("100", "107", "sip:198.51.100.10", &challenge);
        let secret = md5("100:asterisk:107");
        let request = md5("REGISTER:sip:198.51.100.10");
        assert!(header.contains(&md5(&format!("{secret}:1/2:00000001:lab:auth:{request}"))), "{header}");
        assert_eq!(md5("abc"), "900150983cd24fb0d6963f7d28e17f72", "RFC 1321, A.5");
        assert!(Challenge::of("SIP/2.0 200 OK\r\n\r\n").is_none());
    }
}
