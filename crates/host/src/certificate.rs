//! Files of certificates that are believed.

use std::io;
use std::path::Path;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::Error;

/// More certificates in one file are a mistake.
const MOST: usize = 1000;

/// All certificates of a file in PEM.
///
/// # Errors
/// When it cannot be read, has none, or something else in it.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refused = |what: &str| Error::io("use", path)(io::Error::other(what.to_owned()));
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let mut all = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        all.push(certificate.map_err(|error| refused(&format!("it is no PEM: {error}")))?);
        if all.len() > MOST {
            return Err(refused("too many certificates"));
        }
    }
    if all.is_empty() {
        return Err(refused("it has no certificate (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(all)
}
