//! What a certificate says of its bearer.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::role::Role;

/// DER that is not a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate: {why}")]
pub struct BadCertificate {
    pub why: String,
}

/// Who, what for, and how long. Says nothing about trust: that is the handshake's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The common name first, then host names and addresses, each once.
    pub names: Vec<String>,
    pub roles: Vec<Role>,
    /// Seconds since 1970, inclusive.
    pub not_before: i64,
    /// Seconds since 1970, inclusive.
    pub not_after: i64,
}

impl Certificate {
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, BadCertificate> {
        let bad = |e: x509_parser::nom::Err<_>| BadCertificate { why: e.to_string() };
        let (_, certificate) = X509Certificate::from_der(der.as_ref()).map_err(bad)?;
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: String| {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        };
        for name in certificate.subject().iter_common_name().filter_map(|it| it.as_str().ok()) {
            add(name.into());
        }
        let mut roles = Vec::new();
        // A second such extension is malformed, and the handshake refuses it.
        let others = certificate.subject_alternative_name().ok().flatten();
        for name in others.iter().flat_map(|it| &it.value.general_names) {
            match name {
                GeneralName::DNSName(host) => add((*host).into()),
                GeneralName::IPAddress(bytes) => {
                    add(address(bytes).map(|it| it.to_string()).unwrap_or_default())
                }
                GeneralName::URI(uri) => roles.extend(Role::from_uri(uri)),
                _ => {}
            }
        }
        roles.sort_unstable();
        roles.dedup();
        let validity = certificate.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Self { names, roles, not_before, not_after })
    }

    /// Whether one of its roles includes `wanted`.
    pub fn may(&self, wanted: Role) -> bool {
        self.roles.iter().any(|role| role.includes(wanted))
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    Some(<[u8; 16]>::try_from(bytes).ok()?.into())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_roles_and_times_are_read() {
        let mut params =
            CertificateParams::new(vec!["a.example".into(), "127.0.0.1".into(), "::1".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "east");
        for uri in ["carrick://role/link", "carrick://role/admin", "carrick://role/king", "spiffe://x/y"] {
            params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        }
        params.not_before = time::OffsetDateTime::from_unix_timestamp(1_000_000_000).unwrap();
        params.not_after = time::OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = Certificate::read(made.der()).unwrap();
        assert_eq!(read.names, ["east", "a.example", "127.0.0.1", "::1"]);
        assert_eq!(read.roles, [Role::Link, Role::Admin]);
        assert_eq!((read.not_before, read.not_after), (1_000_000_000, 2_000_000_000));
        assert!(read.may(Role::Viewer) && read.may(Role::Link));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&b""[..], b"hello", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert!(Certificate::read(&CertificateDer::from(bytes)).is_err());
        }
    }
}
