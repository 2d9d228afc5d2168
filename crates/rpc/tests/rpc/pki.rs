//! Certificates for a test, in files.

use std::path::PathBuf;

use carrick_rpc::Role;
use carrick_rpc::tls::{Files, Purpose, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

pub struct Pki {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate to be.
pub struct Wish<'a> {
    pub name: &'a str,
    pub hosts: &'a [&'a str],
    pub roles: &'a [Role],
    /// From now.
    pub begins: i64,
    pub days: i64,
    /// Good for those who dial, too.
    pub client: bool,
}

/// A node's: good in every way.
pub const NODE: Wish<'_> = Wish {
    name: "node",
    hosts: &["localhost", "127.0.0.1"],
    roles: &[Role::Link],
    begins: -30,
    days: 30,
    client: true,
};

impl Pki {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        // Another name for each: two CAs of one name differ in their signatures alone.
        let name = dir.path().display().to_string();
        Self::named(&name)
    }

    pub fn named(name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// Writes a certificate and its key, over those of the same name.
    pub fn files(&self, wish: &Wish<'_>) -> Files {
        let hosts: Vec<String> = wish.hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, wish.name);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        if wish.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        for role in wish.roles {
            params.subject_alt_names.push(SanType::URI(role.uri().as_str().try_into().unwrap()));
        }
        params.not_before = OffsetDateTime::now_utc() + Duration::days(wish.begins);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(wish.days);
        let key = KeyPair::generate().unwrap();
        let (cert, ca) = (self.dir.path().join(wish.name), self.ca());
        let files = Files { cert: cert.with_extension("pem"), key: cert.with_extension("key"), ca: Some(ca) };
        std::fs::write(&files.cert, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn tls(&self, wish: &Wish<'_>) -> Tls {
        Tls::open(self.files(wish), Purpose::Grpc).unwrap()
    }

    pub fn node(&self) -> Tls {
        self.tls(&NODE)
    }
}
