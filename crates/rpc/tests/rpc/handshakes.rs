//! Who is let in, and what the others are told.

use std::sync::Arc;

use carrick_rpc::tls::{Files, Purpose, Tls};
use carrick_rpc::{DialError, Role, dial};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::ends::{Port, at, soon, until};
use crate::pki::{NODE, Pki, Wish};

#[tokio::test]
async fn a_good_peer_is_let_in_and_named() {
    let pki = Pki::new();
    let mut port = Port::open(pki.node()).await;
    let west =
        pki.tls(&Wish { name: "west", hosts: &["west.example"], roles: &[Role::Link, Role::Viewer], ..NODE });
    let (dialled, accepted) = port.join(&west).await;
    assert_eq!(accepted.peer.names, ["west", "west.example"]);
    assert_eq!(accepted.peer.roles, [Role::Link, Role::Viewer]);
    assert!(accepted.peer.address.starts_with("127.0.0.1:"));
    assert_eq!(dialled.peer.names, ["node", "localhost", "127.0.0.1"]);
    assert_eq!(dialled.peer.address, port.endpoint.to_string());
    assert_eq!(port.refusals.total(), 0);
}

/// Dials a port of `server` as `client`, in vain.
async fn refused(server: Tls, client: &Tls) -> (DialError, u64) {
    let mut port = Port::open(server).await;
    let error = dial(&port.endpoint, client).await.unwrap_err();
    assert!(port.connections.try_recv().is_err());
    // Each port's last word comes after the dialler's.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    (error, port.refusals.total())
}

#[tokio::test]
async fn a_dialler_that_the_port_does_not_trust_is_told_why() {
    let pki = Pki::named("twin");
    for other in [Pki::new(), Pki::named("twin")] {
        let stranger = Files { ca: Some(pki.ca()), ..other.files(&NODE) };
        let (error, counted) = refused(pki.node(), &Tls::open(stranger, Purpose::Grpc).unwrap()).await;
        assert!(matches!(error, DialError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("this node's certificate is of another CA"), "{error}");
        assert_eq!(counted, 1);
    }

    let late = pki.tls(&Wish { name: "late", days: -1, ..NODE });
    let (error, counted) = refused(pki.node(), &late).await;
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("this node's certificate expired"), "{error}");
    assert_eq!(counted, 1);

    let operator = pki.tls(&Wish { name: "ann", roles: &[Role::Admin], ..NODE });
    let (error, counted) = refused(pki.node(), &operator).await;
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("of ann, localhost, 127.0.0.1 lacks carrick://role/link"), "{error}");
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn a_port_that_the_dialler_does_not_trust_is_left_with_a_reason() {
    let (pki, other) = (Pki::new(), Pki::new());
    let client = pki.node();
    for (server, reason) in [
        (
            Tls::open(Files { ca: Some(pki.ca()), ..other.files(&NODE) }, Purpose::Grpc).unwrap(),
            "is of another CA",
        ),
        (pki.tls(&Wish { name: "late", days: -1, ..NODE }), "certificate expired"),
        (
            pki.tls(&Wish { name: "other", hosts: &["other.example"], ..NODE }),
            "is not for 127.0.0.1, but for",
        ),
        (pki.tls(&Wish { name: "kafka", roles: &[], ..NODE }), "lacks carrick://role/link"),
    ] {
        let (error, _) = refused(server, &client).await;
        assert!(matches!(error, DialError::Untrusted { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let blind = Tls::open(Files { ca: None, ..pki.files(&NODE) }, Purpose::Grpc).unwrap();
    assert!(matches!(dial(&at(1), &blind).await, Err(DialError::NoTrust)));
}

#[tokio::test]
async fn a_certificates_name_may_be_another_than_the_hosts() {
    let pki = Pki::new();
    let far = Wish { name: "far", hosts: &["far.example"], ..NODE };
    let mut port = Port::open(pki.tls(&far)).await;
    port.endpoint.server_name = Some("far.example".into());
    port.join(&pki.node()).await;
    port.endpoint.server_name = Some("near.example".into());
    let error = dial(&port.endpoint, &pki.node()).await.unwrap_err();
    assert!(error.to_string().contains("is not for near.example, but for far.example"), "{error}");
    // Where certificates have no names worth checking, the operator gives one; text that could be none is refused.
    port.endpoint.server_name = Some("no name".into());
    assert!(matches!(dial(&port.endpoint, &pki.node()).await, Err(DialError::Untrusted { .. })));
}

#[tokio::test]
async fn a_peer_without_a_certificate_is_refused() {
    let pki = Pki::new();
    let port = Port::open(pki.node()).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(("127.0.0.1", port.endpoint.port)).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    until("it is counted", || port.refusals.total() == 1).await;
}

#[tokio::test]
async fn what_is_no_link_port_is_told_from_what_is_not_there() {
    let pki = Pki::new();
    let client = pki.node();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = at(listener.local_addr().unwrap().port());

    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    };
    let (error, ()) = futures::join!(dial(&endpoint, &client), plain);
    assert!(error.unwrap_err().to_string().contains("is not a link port: it does not speak TLS"));

    // The alert of servers that know TLS 1.2 alone.
    let older = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let (error, ()) = futures::join!(dial(&endpoint, &client), older);
    assert!(error.unwrap_err().to_string().contains("it does not speak TLS 1.3"));

    let kafka = Tls::open(pki.files(&NODE), Purpose::Kafka).unwrap();
    let tls = async {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(kafka.server()).accept(stream).await
    };
    let (error, _) = futures::join!(dial(&endpoint, &client), tls);
    assert!(error.unwrap_err().to_string().contains("is not a link port: it speaks TLS, and not HTTP/2"));

    let shut = async { drop(listener.accept().await.unwrap()) };
    let (error, ()) = futures::join!(dial(&endpoint, &client), shut);
    assert!(matches!(error, Err(DialError::Refused { .. } | DialError::Handshake { .. })));

    drop(listener);
    let error = dial(&endpoint, &client).await.unwrap_err();
    assert!(matches!(error, DialError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_the_next_peer_and_old_connections_stand() {
    let pki = Pki::new();
    let server = pki.tls(&Wish { name: "server", ..NODE });
    let mut port = Port::open(server.clone()).await;
    let client = pki.node();
    let (mut before, accepted) = port.join(&client).await;
    assert_eq!(before.peer.names[0], "server");
    // Another name, and another host, into the same files.
    let renewed =
        pki.files(&Wish { name: "renewed", hosts: &["localhost", "127.0.0.1", "more.example"], ..NODE });
    for (from, to) in [(&renewed.cert, "server.pem"), (&renewed.key, "server.key")] {
        std::fs::copy(from, from.with_file_name(to)).unwrap();
    }
    assert_eq!(server.look(), carrick_rpc::tls::Look::Renewed);
    let (after, _) = port.join(&client).await;
    assert_eq!(after.peer.names, ["renewed", "localhost", "127.0.0.1", "more.example"]);
    accepted.outgoing.send("still here".into()).await.unwrap();
    assert_eq!(soon(before.incoming.recv()).await.unwrap(), "still here");
}
