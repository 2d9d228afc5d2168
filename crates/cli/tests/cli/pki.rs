//! What `carrick pki` writes, as rustls reads it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use carrick_rpc::tls::{Certificate, Files, Purpose, Role, Tls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::{Said, carrick};

fn ca(dir: &Path) -> Said {
    carrick(&["pki", "ca", "--out", &dir.display().to_string()])
}

fn cert(dir: &Path, more: &[&str]) -> Said {
    let dir = dir.display().to_string();
    carrick(&[&["pki", "cert", "--ca", &dir, "--out", &dir], more].concat())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[test]
fn a_ca_and_a_nodes_certificate_are_made_and_trusted() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("pki");
    let said = ca(&dir).done();
    assert!(
        said.stderr.contains("a development CA") && said.stderr.contains("next: carrick pki cert"),
        "{said:?}"
    );
    assert_eq!((mode(&dir.join("ca.pem")), mode(&dir.join("ca.key"))), (0o644, 0o600));
    let roles = ["--role", "link", "--role", "admin"];
    let more =
        [&["--name", "east"][..], &roles, &["--host", "east.example,127.0.0.1", "--host", "::1"]].concat();
    let said = cert(&dir, &more).done();
    assert!(said.stderr.contains("signed by a development CA\nnext: carrickd dev --cert"), "{said:?}");
    assert_eq!(mode(&dir.join("east.key")), 0o600);
    assert!(
        std::fs::read_to_string(dir.join("east.key")).unwrap().starts_with("-----BEGIN PRIVATE KEY-----")
    );

    let files = Files { cert: dir.join("east.pem"), key: dir.join("east.key"), ca: Some(dir.join("ca.pem")) };
    let tls = Tls::open(files, Purpose::Grpc).unwrap();
    let own = tls.own();
    assert_eq!(own.names, ["east", "east.example", "127.0.0.1", "::1"]);
    assert_eq!(own.roles, [Role::Link, Role::Admin]);
    assert!((364..=365).contains(&tls.days_to_expiry()));
    shake_hands(&tls, "east.example");
    shake_hands(&tls, "127.0.0.1");
}

/// A client and a server of this certificate, without a socket.
fn shake_hands(tls: &Tls, host: &str) {
    let name = rustls::pki_types::ServerName::try_from(host).unwrap().to_owned();
    let mut client = rustls::ClientConnection::new(tls.client().unwrap(), name).unwrap();
    let mut server = rustls::ServerConnection::new(tls.server()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        client.write_tls(&mut there).unwrap();
        server.read_tls(&mut &there[..]).unwrap();
        server.process_new_packets().unwrap();
        server.write_tls(&mut back).unwrap();
        client.read_tls(&mut &back[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(server.peer_certificates().unwrap().len(), 1);
}

#[test]
fn nothing_is_overwritten_and_no_half_is_left() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    ca(dir).done();
    let before = std::fs::read(dir.join("ca.key")).unwrap();
    assert!(ca(dir).failed(1).stderr.contains("ca.pem is there already"));
    std::fs::remove_file(dir.join("ca.pem")).unwrap();
    assert!(ca(dir).failed(1).stderr.contains("ca.key is there already"));
    assert!(!dir.join("ca.pem").exists());
    assert_eq!(std::fs::read(dir.join("ca.key")).unwrap(), before);
}

#[test]
fn two_cas_have_two_names() {
    let dir = TempDir::new().unwrap();
    let names = ["a", "b"].map(|at| {
        ca(&dir.path().join(at)).done();
        let der = CertificateDer::from_pem_file(dir.path().join(at).join("ca.pem")).unwrap();
        let own = Certificate::read(&der).unwrap();
        assert!(own.roles.is_empty());
        own.names[0].clone()
    });
    assert!(names[0].starts_with("Carrick development CA "), "{names:?}");
    assert_ne!(names[0], names[1]);
}

#[test]
fn what_would_not_be_trusted_is_not_made() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let link = ["--name", "x", "--role", "link", "--host", "localhost"];
    assert!(cert(&a, &link).failed(1).stderr.contains("next: carrick pki ca --out"));
    ca(&a).done();
    ca(&b).done();
    std::fs::copy(b.join("ca.key"), a.join("ca.key")).unwrap();
    assert!(cert(&a, &link).failed(1).stderr.contains("is not trusted"));
    assert!(!a.join("x.key").exists());
    for bad in [
        &["--name", "x"][..],
        &["--name", "../x", "--role", "link"],
        &["--name", "ca", "--role", "link"],
        &["--name", "x", "--role", "king"],
        &["--name", "x", "--host", "not a host"],
    ] {
        assert_eq!(cert(&b, bad).code, 2, "{bad:?}");
    }
    let short = dir.path().join("short");
    carrick(&["pki", "ca", "--out", &short.display().to_string(), "--days", "10"]).done();
    assert!(cert(&short, &link).done().stderr.contains("it lasts as long as the CA"));
}

#[test]
fn json_is_for_programs() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().display().to_string();
    let json = carrick(&["pki", "ca", "--out", &out, "--output", "json"]).done().json();
    assert_eq!(json["ca"], dir.path().join("ca.pem").display().to_string());
}
