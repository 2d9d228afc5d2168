//! From files to what rustls wants.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificate::{BadCertificate, Certificate};

/// Far above any chain or bundle.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the PEM files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// This end's certificate, and what leads from it to the root.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Who is trusted. Given: peers are verified by it, and a server asks for their certificates. Not given: a server asks
    /// for none.
    pub ca: Option<PathBuf>,
}

/// What is spoken inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// HTTP/2, said by ALPN.
    Grpc,
    /// Kafka's protocol; its clients name none.
    Kafka,
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} is not PEM: {source}", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("{} holds no private key", path.display())]
    NoKey { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Certificate { path: PathBuf, source: BadCertificate },
    #[error("{} is not valid now: {why}", path.display())]
    Time { path: PathBuf, why: String },
    #[error("{} with {}: {why}", cert.display(), key.display())]
    Pair { cert: PathBuf, key: PathBuf, why: String },
    #[error("{}: {why}", path.display())]
    Trust { path: PathBuf, why: String },
}

/// The files' bytes at one moment.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Option<Vec<u8>>,
}

impl Contents {
    pub(crate) fn read(files: &Files) -> Result<Self, TlsError> {
        let ca = files.ca.as_deref().map(read_file).transpose()?;
        Ok(Self { cert: read_file(&files.cert)?, key: read_file(&files.key)?, ca })
    }
}

/// What was made of them.
pub(crate) struct Material {
    pub(crate) server: Arc<ServerConfig>,
    /// None without a CA.
    pub(crate) client: Option<Arc<ClientConfig>>,
    pub(crate) own: Certificate,
}

impl Material {
    pub(crate) fn build(files: &Files, contents: &Contents, purpose: Purpose) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert, &contents.cert)?;
        let Some(first) = chain.first() else {
            return Err(TlsError::NoCertificate { path: files.cert.clone() });
        };
        let own = Certificate::read(first)
            .map_err(|source| TlsError::Certificate { path: files.cert.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|e| match e {
            pem::Error::NoItemsFound => TlsError::NoKey { path: files.key.clone() },
            source => TlsError::Pem { path: files.key.clone(), source },
        })?;
        let roots = match (&files.ca, &contents.ca) {
            (Some(path), Some(bytes)) => Some((path, Arc::new(roots(path, bytes)?))),
            _ => None,
        };
        let provider = Arc::new(provider());
        let pair = |e: rustls::Error| TlsError::Pair {
            cert: files.cert.clone(),
            key: files.key.clone(),
            why: e.to_string(),
        };

        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(pair)?;
        let server = match &roots {
            None => server.with_no_client_auth(),
            Some((path, roots)) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
                        .build();
                server.with_client_cert_verifier(verifier.map_err(|e| trust(path, &e))?)
            }
        };
        let mut server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(pair)?;
        server.alpn_protocols = alpn(purpose);
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});

        let client = roots.map(|(_, roots)| {
            let client = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&TLS13])?
                .with_root_certificates(roots);
            let mut client = client.with_client_auth_cert(chain, key)?;
            client.alpn_protocols = alpn(purpose);
            client.resumption = rustls::client::Resumption::disabled();
            Ok(Arc::new(client))
        });
        Ok(Self { server: Arc::new(server), client: client.transpose().map_err(pair)?, own })
    }

    /// Whether the certificate may be used now.
    pub(crate) fn in_time(&self, files: &Files) -> Result<(), TlsError> {
        let now = seconds_now();
        let why = if now > self.own.not_after {
            format!("it expired {} days ago", (now - self.own.not_after) / DAY_SECONDS)
        } else if now < self.own.not_before {
            format!("it begins in {} s", self.own.not_before - now)
        } else {
            return Ok(());
        };
        Err(TlsError::Time { path: files.cert.clone(), why })
    }
}

pub(crate) const DAY_SECONDS: i64 = 86_400;

pub(crate) fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The cheapest of the good ciphers first: AES with 128 bits.
fn provider() -> CryptoProvider {
    let cipher_suites = vec![
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
        ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    CryptoProvider { cipher_suites, ..ring::default_provider() }
}

fn alpn(purpose: Purpose) -> Vec<Vec<u8>> {
    match purpose {
        Purpose::Grpc => vec![b"h2".to_vec()],
        Purpose::Kafka => Vec::new(),
    }
}

fn roots(path: &Path, bytes: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, bytes)? {
        roots.add(certificate).map_err(|e| trust(path, &e))?;
    }
    if roots.is_empty() { Err(TlsError::NoCertificate { path: path.into() }) } else { Ok(roots) }
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { path: path.into(), source })
}

fn trust(path: &Path, why: &dyn std::error::Error) -> TlsError {
    TlsError::Trust { path: path.into(), why: why.to_string() }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        Err(TlsError::TooLarge { path: path.into() })
    } else {
        Ok(bytes)
    }
}
