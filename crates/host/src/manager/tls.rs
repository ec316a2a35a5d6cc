//! TLS, client side: who the server has to be.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use policy::sensor::Tls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme, crypto,
};

use crate::Error;
use crate::certificate::certificates;

/// What a connection needs to be encrypted, and to be with the right server.
#[derive(Clone)]
pub struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
    /// Of the file, if there is one.
    believed: Option<Vec<CertificateDer<'static>>>,
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.believed) == (&other.name, &other.believed)
    }
}

impl Eq for Client {}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// # Errors
    /// When the file of certificates cannot be used.
    pub fn new(tls: &Tls, address: IpAddr) -> Result<Self, Error> {
        let path = tls.ca_file.as_deref();
        let refused =
            |what: String| Error::io("use", path.unwrap_or(Path::new("TLS")))(io::Error::other(what));
        let name = match &tls.name {
            Some(name) => ServerName::try_from(name.clone()).map_err(|error| refused(error.to_string()))?,
            None => ServerName::IpAddress(address.into()),
        };
        let believed = path.map(certificates).transpose()?;
        let mut roots = RootCertStore::empty();
        match &believed {
            // What is no authority's certificate may still be the server's own.
            Some(believed) => drop(roots.add_parsable_certificates(believed.iter().cloned())),
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let own = believed.clone().unwrap_or_default();
        let verifier = Arc::new(Verifier { believed: own, authorities, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, believed })
    }

    pub(super) async fn connect(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), tcp).await
    }
}

/// Believes the server if its certificate is the very one that is in the file, as self-made ones are, and else if an authority
/// that is in there says that it is the right one. (By the rules of the web, a certificate that signed itself can be an
/// authority's or a server's, but not both.) That the server has the key is checked either way.
#[derive(Debug)]
struct Verifier {
    believed: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.believed.iter().any(|one| one == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
