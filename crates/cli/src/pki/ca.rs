//! `carrick pki ca`

use std::path::PathBuf;

use carrick_sys::{Entropy, RealEntropy};
use clap::Args;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::{CA_CERT, CA_KEY, validity, write_pair};
use crate::failure::Failure;
use crate::output::columns;
use crate::{Global, say};

#[derive(Args)]
pub struct Arguments {
    /// Where ca.pem and ca.key are written.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What it is called.
    #[arg(long, default_value = "Carrick development CA")]
    name: String,
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { out, name, days } = arguments;
    let (cert, key) = (out.join(CA_CERT), out.join(CA_KEY));
    // Two CAs of one name could not be told apart in an error.
    let entropy: &dyn Entropy = &RealEntropy;
    let name = format!("{name} {:08x}", entropy.u64() >> 32);
    let (cert_pem, key_pem) = make(&name, *days)
        .map_err(|e| Failure::new(format!("no CA could be made: {e}"), "carrick pki ca --help"))?;
    write_pair((&cert, &cert_pem), (&key, &key_pem))?;
    global.output.show(
        || {
            columns(
                ["CA", "KEY", "NAME"],
                [[cert.display().to_string(), key.display().to_string(), name.clone()]],
            )
        },
        || json!({ "ca": cert, "key": key, "name": name }),
    )?;
    say("a development CA: its key is a plain file, and whoever reads it can pass for any node or operator");
    let dir = out.display();
    say(&format!("next: carrick pki cert --ca {dir} --out {dir} --name NODE --role link --host HOST"));
    Ok(())
}

fn make(name: &str, days: u32) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    // It signs nodes and operators, and no further CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(days);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}
