//! Handshakes that lead nowhere (line F31 of the campaign): each is counted once, and nobody else is hurt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrick_rpc::tls::{Files, Purpose, Tls};
use carrick_rpc::{DialError, Role, dial};
use futures::stream::StreamExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::cases::{Chance, cases, words};
use crate::pki::{NODE, Pki, Wish};
use crate::site::Site;

/// At once, below what a port takes.
const AT_ONCE: usize = 48;
/// Connections that say nothing, or half a hello, for as long as the test runs.
const HELD: usize = 40;
const SOON: Duration = Duration::from_secs(20);

const TLS12: &str = "TLS 1.2";
const KINDS: [&str; 20] = [
    "gone at once",
    "reset",
    "HTTP",
    "half a hello",
    "half a hello, and a reset",
    "a record that is too long",
    "noise",
    "a flood",
    TLS12,
    "a hello in records of one byte",
    "a hello byte by byte",
    "a hello with wrong bits",
    "a hello, and noise",
    "another CA",
    "expired",
    "not yet valid",
    "no certificate",
    "a certificate for servers alone",
    "HTTP/1.1 by ALPN",
    "no role",
];

/// What all guests have in their pockets.
struct Pockets {
    port: u16,
    hello: Vec<u8>,
    configs: Vec<(&'static str, Arc<ClientConfig>)>,
    no_role: Tls,
    endpoint: carrick_rpc::Endpoint,
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

impl Pockets {
    fn new(site: &Site) -> Self {
        let (pki, other) = (&site.pki, Pki::new());
        let good = pki.node().client().unwrap();
        let mut hello = Vec::new();
        ClientConnection::new(Arc::clone(&good), name()).unwrap().write_tls(&mut hello).unwrap();
        let of = |wish: Wish<'_>| pki.tls(&wish).client().unwrap();
        let stranger = Files { ca: Some(pki.ca()), ..other.files(&NODE) };
        let mut http = ClientConfig::clone(&good);
        http.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pki.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let bare = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut bare = bare.unwrap().with_root_certificates(roots).with_no_client_auth();
        bare.alpn_protocols = vec![b"h2".to_vec()];
        let configs = vec![
            ("another CA", Tls::open(stranger, Purpose::Grpc).unwrap().client().unwrap()),
            ("expired", of(Wish { name: "late", days: -1, ..NODE })),
            ("not yet valid", of(Wish { name: "early", begins: 1, ..NODE })),
            ("no certificate", Arc::new(bare)),
            ("a certificate for servers alone", of(Wish { name: "server", client: false, ..NODE })),
            ("HTTP/1.1 by ALPN", Arc::new(http)),
        ];
        let no_role = pki.tls(&Wish { name: "operator", roles: &[Role::Admin], ..NODE });
        Self { port: site.endpoint.port, hello, configs, no_role, endpoint: site.endpoint.clone() }
    }

    /// From one host of many, so that none has more handshakes under way than it may.
    async fn connect(&self, host: u64) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 1, (host % 200) as u8 + 1], 0).into()).unwrap();
        socket.connect(([127, 0, 0, 1], self.port).into()).await.unwrap()
    }
}

/// A hello as clients without TLS 1.3 send it.
fn tls12_hello() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 23, // groups: P-256
        0, 11, 0, 2, 1, 0, // points
        0, 13, 0, 6, 0, 4, 4, 3, 4, 1, // signatures: ECDSA and RSA with SHA-256
    ];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0, 0, extensions.len() as u8]);
    body.extend(extensions);
    let mut record = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    record.extend(body);
    record
}

/// The alert with which a server refuses a version.
const PROTOCOL_VERSION: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];

async fn guest(kind: &str, pockets: &Pockets, chance: &mut Chance) {
    if let Some((_, config)) = pockets.configs.iter().find(|(of, _)| *of == kind) {
        let shaking =
            TlsConnector::from(Arc::clone(config)).connect(name(), pockets.connect(chance.u64()).await);
        if let Ok(mut stream) = shaking.await {
            let word = stream.read_u8().await;
            assert!(word.is_err(), "it was let in");
        }
        return;
    }
    if kind == "no role" {
        let refused = dial(&pockets.endpoint, &pockets.no_role).await;
        return assert!(matches!(refused, Err(DialError::Refused { .. })), "{:?}", refused.err());
    }
    let mut stream = pockets.connect(chance.u64()).await;
    let hello = &pockets.hello;
    let half = chance.within(1..hello.len() as u64) as usize;
    let said: Vec<u8> = match kind {
        "HTTP" => b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        "half a hello" | "half a hello, and a reset" => hello[..half].to_vec(),
        "a record that is too long" => [&[22, 3, 1, 0xff, 0xff][..], &[1; 0xff]].concat(),
        "noise" => {
            let length = chance.within(1..5_000) as usize;
            chance.bytes(length)
        }
        "a flood" => [22, 3, 1, 0x40, 0].iter().copied().chain(std::iter::repeat_n(1, 1 << 18)).collect(),
        TLS12 => tls12_hello(),
        "a hello in records of one byte" => {
            hello[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect()
        }
        "a hello with wrong bits" => {
            let mut wrong = hello.clone();
            for _ in 0..chance.within(1..8) {
                wrong[chance.below(hello.len() as u64) as usize] ^= 1 << chance.below(8);
            }
            wrong
        }
        "a hello, and noise" => [hello.clone(), chance.bytes(300)].concat(),
        _ => Vec::new(),
    };
    if kind == "a hello byte by byte" {
        for byte in &hello[..half] {
            if stream.write_u8(*byte).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // It may be shut before all of it was said.
    let _ = stream.write_all(&said).await;
    if kind == TLS12 {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, PROTOCOL_VERSION, "the answer to TLS 1.2");
    } else if chance.below(3) > 0 {
        let _ = tokio::time::timeout(Duration::from_millis(chance.below(20)), stream.read_u8()).await;
    }
    if kind.ends_with("reset") {
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn bad_guests_by_the_thousand_are_counted_and_hurt_nobody_else() {
    let mut site = Site::open();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pockets = Arc::new(Pockets::new(&site));
    site.note();
    let cases = cases(2_000, 20_000);
    let count = cases.end - cases.start;
    let begun = Instant::now();
    let used = site.used();
    runtime.block_on(async {
        let mut held = Vec::new();
        for at in 0..HELD {
            let mut stream = pockets.connect(0).await;
            stream.write_all(&pockets.hello[..at * 3]).await.unwrap();
            held.push(stream);
        }
        let guests = futures::stream::iter(cases).map(|case| {
            let pockets = Arc::clone(&pockets);
            let mut chance = Chance::of(case);
            let kind = KINDS[case as usize % KINDS.len()];
            let visit = tokio::spawn(async move {
                let visit = guest(kind, &pockets, &mut chance);
                tokio::time::timeout(SOON, visit).await.expect("it was neither let in nor shut out");
            });
            async move {
                if let Err(broke) = visit.await {
                    panic!("case {case}: {kind}: {}", words(&*broke.into_panic()));
                }
            }
        });
        guests.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    });
    let wanted = count + HELD as u64;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{count} guests in {seconds:.1} s; the site used {:.1} s", site.used() - used);
    let begun = Instant::now();
    while site.refusals.total() < wanted && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(site.refusals.total(), wanted, "refusals that were counted");
    drop(runtime);
    site.survived(64);
    assert_eq!(site.refusals.total(), wanted, "refusals that were counted");
}
