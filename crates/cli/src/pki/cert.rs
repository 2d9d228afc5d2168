//! `carrick pki cert`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use carrick_tls::{Certificate, Role};
use clap::Args;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use time::OffsetDateTime;

use super::{CA_CERT, CA_KEY, validity, write_pair};
use crate::failure::Failure;
use crate::output::columns;
use crate::{Global, say};

#[derive(Args)]
pub struct Arguments {
    /// Where ca.pem and ca.key of a development CA are.
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Where NAME.pem and NAME.key are written.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Whose it is: a node, or an operator.
    #[arg(long, value_parser = name)]
    name: String,
    /// What its bearer may do: link for a node; viewer, operator or admin for an operator. Again for a further one.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// Under which host name or address it is reached. Again, or with commas, for further ones.
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',', value_parser = host)]
    hosts: Vec<String>,
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { ca, out, name, roles, hosts, .. } = arguments;
    let usage = "carrick pki cert --help";
    if roles.is_empty() && hosts.is_empty() {
        return Err(Failure::misuse("neither a role nor a host: nobody would have a use for it", usage));
    }
    if roles.contains(&Role::Link) && hosts.is_empty() {
        say("no --host: a node of this certificate can dial its peers, and cannot be dialled");
    }
    let signer = Signer::read(ca)?;
    let (cert_pem, key_pem) = signer.sign(arguments)?;
    let (cert, key) = (out.join(format!("{name}.pem")), out.join(format!("{name}.key")));
    write_pair((&cert, &cert_pem), (&key, &key_pem))?;
    let shown = |path: &Path| path.display().to_string();
    global.output.show(
        || columns(["CERTIFICATE", "KEY", "CA"], [[shown(&cert), shown(&key), shown(&signer.path)]]),
        || json!({ "certificate": cert, "key": key, "ca": signer.path, "name": name, "hosts": hosts }),
    )?;
    say("signed by a development CA");
    let files = format!("--cert {} --key {} --ca {}", shown(&cert), shown(&key), shown(&signer.path));
    if roles.contains(&Role::Link) {
        say(&format!("next: carrickd dev {files}"));
    }
    Ok(())
}

/// A development CA that was made before.
struct Signer {
    path: PathBuf,
    der: CertificateDer<'static>,
    own: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    fn read(dir: &Path) -> Result<Self, Failure> {
        let next = format!("carrick pki ca --out {}", dir.display());
        let path = dir.join(CA_CERT);
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|e| Failure::new(format!("{} cannot be read: {e}", path.display()), &next))
        };
        let (cert_pem, key_pem) = (read(&path)?, read(&dir.join(CA_KEY))?);
        let bad = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", dir.display()), &next);
        let key = KeyPair::from_pem(&key_pem).map_err(|e| bad(&e))?;
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|e| bad(&e))?;
        let own = Certificate::read(&der).map_err(|e| bad(&e))?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|e| bad(&e))?;
        Ok(Self { path, der, own, issuer })
    }

    fn sign(&self, arguments: &Arguments) -> Result<(String, String), Failure> {
        let usage = "carrick pki cert --help";
        let bad = |e: rcgen::Error| Failure::new(format!("no certificate could be made: {e}"), usage);
        let mut params = CertificateParams::new(arguments.hosts.clone())
            .map_err(|e| Failure::misuse(format!("--host {}: {e}", arguments.hosts.join(",")), usage))?;
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, arguments.name.as_str());
        for role in &arguments.roles {
            let uri = role.uri().as_str().try_into().map_err(bad)?;
            params.subject_alt_names.push(SanType::URI(uri));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = validity(arguments.days);
        let last = OffsetDateTime::from_unix_timestamp(self.own.not_after).unwrap_or(params.not_after);
        if last < params.not_after {
            say(&format!("it lasts as long as the CA: to {}", last.date()));
            params.not_after = last;
        }
        let key = KeyPair::generate().map_err(bad)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(bad)?;
        self.verify(cert.der())?;
        Ok((cert.pem(), key.serialize_pem()))
    }

    /// As a peer will: a CA's key that is not its certificate's, and a CA that expired, show here.
    fn verify(&self, der: &CertificateDer<'_>) -> Result<(), Failure> {
        let mut roots = RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verified = roots.add(self.der.clone()).map_err(|e| e.to_string()).and_then(|()| {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|e| e.to_string())?;
            verifier.verify_client_cert(der, &[], UnixTime::now()).map_err(|e| e.to_string())
        });
        verified.map(drop).map_err(|e| {
            let what = format!("what {} with its key signs is not trusted: {e}", self.path.display());
            Failure::new(what, "carrick pki ca --out ANOTHER-DIRECTORY")
        })
    }
}

/// A name or an address that a client could ask for; `*.` may stand before it.
fn host(text: &str) -> Result<String, String> {
    match ServerName::try_from(text.strip_prefix("*.").unwrap_or(text)) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err("no host has such a name".into()),
    }
}

/// It becomes a file's name.
fn name(text: &str) -> Result<String, String> {
    let good = !text.starts_with(['.', '-'])
        && (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && text != "ca";
    if good {
        Ok(text.into())
    } else {
        Err("letters, digits, '.', '_' and '-' are allowed, and not `ca`".into())
    }
}
