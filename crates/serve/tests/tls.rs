//! A Kafka listener that speaks TLS.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carrick_broker::{Broker, BrokerSettings};
use carrick_catalog::{Catalog, MemoryStore};
use carrick_log::{LogSettings, LogStore, MemoryCheckpoints};
use carrick_serve::{BindError, Drain, Listener, bind};
use carrick_sys::{Budget, RealClock, RealDisk, RealEntropy, RealSpawn, SyncMode, Sys};
use carrick_tls::{Files, Purpose, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A broker with nothing in it, behind a listener.
struct Site {
    dir: TempDir,
    port: u16,
    drain: Drain,
}

impl Site {
    /// Whose clients need a certificate, or not.
    async fn start(mutual: bool) -> Self {
        let dir = TempDir::new().unwrap();
        make_certificates(&dir);
        let spawn = Arc::new(RealSpawn::new(tokio::runtime::Handle::current()));
        let sys = Sys {
            clock: Arc::new(RealClock::new()),
            disk: Arc::new(RealDisk::open(dir.path(), SyncMode::Auto).unwrap()),
            entropy: Arc::new(RealEntropy),
            spawn: Arc::clone(&spawn) as _,
            prompt: spawn,
        };
        let catalog = Arc::new(Catalog::open(Arc::new(MemoryStore::new()), &*sys.entropy).unwrap());
        let logs = LogStore::open(
            sys.clone(),
            dir.path(),
            catalog.node().cluster,
            LogSettings::default(),
            Arc::new(MemoryCheckpoints::default()),
        );
        let budget = Budget::new(16 << 20);
        let settings = BrokerSettings::default();
        let broker = Broker::new(sys.clone(), catalog, Arc::new(logs.unwrap()), budget.clone(), settings);
        let files = Files { ca: mutual.then(|| dir.path().join("ca.pem")), ..files(&dir) };
        let bound = bind(listener(Some(files))).await.unwrap();
        let (port, drain) = (bound.address.port(), Drain::default());
        tokio::spawn(bound.serve(sys, broker, budget, drain.clone()));
        Self { dir, port, drain }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// As a client that trusts the CA, with a certificate of it.
    async fn shake_hands(&self) -> TlsStream<TcpStream> {
        let tls = Tls::open(files(&self.dir), Purpose::Kafka).unwrap();
        self.shake_hands_as(tls.client().unwrap()).await
    }

    async fn shake_hands_as(&self, config: Arc<rustls::ClientConfig>) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        soon(TlsConnector::from(config).connect(name, self.connect().await)).await.unwrap()
    }
}

fn listener(tls: Option<Files>) -> Listener {
    let name = "kafka".into();
    let bind = "127.0.0.1:0".parse().unwrap();
    Listener { name, bind, advertised_host: "localhost".into(), advertised_port: 0, tls }
}

fn files(dir: &TempDir) -> Files {
    let file = |name: &str| -> PathBuf { dir.path().join(name) };
    Files { cert: file("a.pem"), key: file("a.key"), ca: Some(file("ca.pem")) }
}

fn make_certificates(dir: &TempDir) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, dir.path().display().to_string());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    std::fs::write(dir.path().join("ca.pem"), params.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let cert = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(dir.path().join("a.pem"), cert.pem()).unwrap();
    std::fs::write(dir.path().join("a.key"), key.serialize_pem()).unwrap();
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it took too long")
}

/// ApiVersions, version 0, correlation 7; its answer.
async fn ask(stream: &mut TlsStream<TcpStream>) -> Vec<u8> {
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).await.unwrap();
    let length = soon(stream.read_u32()).await.unwrap();
    let mut answer = vec![0; length as usize];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 7]);
    answer
}

#[tokio::test]
async fn requests_are_answered_and_the_end_is_said() {
    let site = Site::start(false).await;
    let mut stream = site.shake_hands().await;
    assert!(ask(&mut stream).await.len() > 10);
    assert!(site.drain.drain(Duration::from_secs(5)).await);
    // An end that TLS did not say would be an error here.
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn bad_and_slow_handshakes_are_their_own_affair() {
    let site = Site::start(false).await;
    let mut held = Vec::new();
    for at in 0..300 {
        let mut stream = site.connect().await;
        if at % 3 == 0 {
            stream.write_all(b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff").await.unwrap();
        }
        if at % 3 != 1 {
            held.push(stream);
        }
    }
    ask(&mut site.shake_hands().await).await;
    // Plaintext is answered with an alert, and silence is ended.
    let mut said = [0; 7];
    soon(held[0].read_exact(&mut said)).await.unwrap();
    assert_eq!(said[..3], [21, 3, 3]);
    assert_eq!(soon(held[1].read(&mut said)).await.unwrap_or(0), 0);
    // Handshakes under way do not hold a drain up.
    let late = site.connect().await;
    assert!(site.drain.drain(Duration::from_secs(2)).await);
    drop(late);
}

#[tokio::test]
async fn a_listener_with_a_ca_wants_a_certificate() {
    let site = Site::start(true).await;
    ask(&mut site.shake_hands().await).await;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in
        rustls::pki_types::CertificateDer::pem_file_iter(site.dir.path().join("ca.pem")).unwrap()
    {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let nobody = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut stream = site.shake_hands_as(Arc::new(nobody)).await;
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn a_listener_that_cannot_be_served_says_why() {
    let dir = TempDir::new().unwrap();
    let error = bind(listener(Some(files(&dir)))).await.err().unwrap();
    assert!(
        matches!(error, BindError::Tls(_)) && error.to_string().contains("a.pem cannot be read"),
        "{error}"
    );
    let taken = bind(listener(None)).await.unwrap();
    let error = bind(Listener { bind: taken.address, ..listener(None) }).await.err().unwrap();
    assert!(error.to_string().contains("is another process there?"), "{error}");
}
