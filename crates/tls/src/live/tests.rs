use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::*;

struct Pki {
    dir: TempDir,
    ca: Issuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        Self { dir, ca: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn files(&self) -> Files {
        Files { cert: self.path("a.pem"), key: self.path("a.key"), ca: Some(self.path("ca.pem")) }
    }

    fn make(&self, name: &str, days: i64) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = OffsetDateTime::now_utc() - Duration::days(30);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(days) + Duration::minutes(1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }

    fn write(&self, (cert, key): &(String, String)) {
        std::fs::write(self.path("a.pem"), cert).unwrap();
        std::fs::write(self.path("a.key"), key).unwrap();
    }
}

fn name(tls: &Tls) -> String {
    tls.own().names[0].clone()
}

#[test]
fn a_new_pair_comes_into_use_and_says_how_long() {
    let pki = Pki::new();
    pki.write(&pki.make("one", 10));
    let tls = Tls::open(pki.files(), Purpose::Grpc).unwrap();
    assert_eq!((tls.look(), tls.days_to_expiry(), tls.renewals()), (Look::Same, 10, 0));
    let before = tls.server();
    pki.write(&pki.make("two", 20));
    assert_eq!(tls.look(), Look::Renewed);
    assert_eq!(
        (name(&tls).as_str(), tls.days_to_expiry(), tls.renewals(), tls.failures()),
        ("two", 20, 1, 0)
    );
    assert!(!Arc::ptr_eq(&before, &tls.server()));
    assert_eq!(tls.look(), Look::Same);
}

#[test]
fn a_swapped_link_is_seen() {
    let pki = Pki::new();
    for (folder, days) in [("v1", 1), ("v2", 2)] {
        let (cert, key) = pki.make(folder, days);
        std::fs::create_dir(pki.path(folder)).unwrap();
        std::fs::write(pki.path(folder).join("a.pem"), cert).unwrap();
        std::fs::write(pki.path(folder).join("a.key"), key).unwrap();
    }
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, pki.path("new")).unwrap();
        std::fs::rename(pki.path("new"), pki.path("now")).unwrap();
    };
    link("v1");
    let files = Files { cert: pki.path("now/a.pem"), key: pki.path("now/a.key"), ca: None };
    let tls = Tls::open(files, Purpose::Kafka).unwrap();
    assert!(tls.client().is_none());
    link("v2");
    assert_eq!((tls.look(), name(&tls).as_str()), (Look::Renewed, "v2"));
}

#[test]
fn a_bad_new_set_keeps_the_old_one_and_is_counted_once() {
    let pki = Pki::new();
    let one = pki.make("one", 10);
    pki.write(&one);
    let tls = Tls::open(pki.files(), Purpose::Grpc).unwrap();
    let two = pki.make("two", 10);
    let bad = [
        (two.0.clone(), one.1.clone()),
        (String::new(), one.1.clone()),
        (one.0.clone(), "no key".into()),
        (two.0[..two.0.len() / 2].into(), two.1.clone()),
        pki.make("late", -2),
        (one.0.clone(), "x".repeat(2 << 20)),
    ];
    for (at, pair) in bad.iter().enumerate() {
        pki.write(pair);
        for _ in 0..3 {
            assert_eq!(tls.look(), Look::Kept, "{at}");
        }
        assert_eq!((name(&tls).as_str(), tls.failures(), tls.stale()), ("one", at as u64 + 1, true));
    }
    std::fs::remove_file(pki.path("a.key")).unwrap();
    assert_eq!(tls.look(), Look::Kept);
    pki.write(&one);
    assert_eq!((tls.look(), tls.stale()), (Look::Same, false));
    pki.write(&two);
    std::fs::write(pki.path("ca.pem"), "nothing").unwrap();
    assert_eq!(tls.look(), Look::Kept);
}

#[test]
fn what_cannot_be_used_is_refused_by_name() {
    let pki = Pki::new();
    let open = || Tls::open(pki.files(), Purpose::Grpc).err().map(|e| e.to_string()).unwrap_or_default();
    let said = |part: &str, file: &str| {
        let error = open();
        assert!(error.contains(part) && error.contains(&pki.path(file).display().to_string()), "{error}");
    };
    said("cannot be read", "a.pem");
    let pair = pki.make("a", 1);
    pki.write(&(pair.1.clone(), pair.1.clone()));
    said("holds no certificate", "a.pem");
    pki.write(&(pair.0.clone(), pair.0.clone()));
    said("holds no private key", "a.key");
    pki.write(&(pair.0.clone(), pki.make("b", 1).1));
    said("a.pem with", "a.key");
    pki.write(&pair);
    std::fs::write(pki.path("ca.pem"), &pair.1).unwrap();
    said("holds no certificate", "ca.pem");
}

#[test]
fn an_expired_certificate_does_not_stop_a_start() {
    let pki = Pki::new();
    pki.write(&pki.make("late", -2));
    let tls = Tls::open(pki.files(), Purpose::Grpc).unwrap();
    assert_eq!(tls.days_to_expiry(), -2);
}
