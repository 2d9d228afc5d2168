//! What every store does; run over each of them.

use crate::store::{Family, Store, Write};

fn put(family: Family, key: &str, value: &str) -> Write {
    Write::Put { family, key: key.into(), value: value.into() }
}

/// Runs the suite over stores that `new` makes, empty each. Panics where one does not conform.
#[allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test suite")]
pub fn run(new: &mut dyn FnMut() -> Box<dyn Store>) {
    let store = new();
    let get = |family, key: &str| store.get(family, key.as_bytes()).unwrap();

    assert_eq!(get(Family::Catalog, "a"), None, "an empty store holds nothing");
    store.commit(vec![put(Family::Catalog, "a", "1"), put(Family::Catalog, "ab", "2")]).unwrap();
    assert_eq!(get(Family::Catalog, "a").as_deref(), Some(&b"1"[..]), "a commit is visible at once");
    assert_eq!(get(Family::Progress, "a"), None, "families are apart");

    store.commit(vec![put(Family::Catalog, "a", "3"), put(Family::Catalog, "a", "4")]).unwrap();
    assert_eq!(get(Family::Catalog, "a").as_deref(), Some(&b"4"[..]), "the last write of a commit wins");

    store.commit(vec![put(Family::Catalog, "b", "5"), put(Family::Progress, "ac", "6")]).unwrap();
    let found = store.scan(Family::Catalog, b"a").unwrap();
    let expected = vec![(b"a".to_vec(), b"4".to_vec()), (b"ab".to_vec(), b"2".to_vec())];
    assert_eq!(found, expected, "a scan is ordered and ends with its prefix and its family");
    assert_eq!(store.scan(Family::Catalog, b"").unwrap().len(), 3);

    let delete = Write::Delete { family: Family::Catalog, key: b"a".to_vec() };
    store.commit(vec![delete.clone(), put(Family::Catalog, "c", "")]).unwrap();
    assert_eq!(get(Family::Catalog, "a"), None);
    assert_eq!(get(Family::Catalog, "c").as_deref(), Some(&b""[..]), "an empty value is not absence");
    store.commit(vec![delete]).unwrap();
    store.commit(Vec::new()).unwrap();
    store.sync().unwrap();
    assert_eq!(get(Family::Catalog, "c").as_deref(), Some(&b""[..]));

    let big = vec![0xff; 1 << 20];
    store
        .commit(vec![Write::Put { family: Family::Progress, key: vec![0xff; 300], value: big.clone() }])
        .unwrap();
    assert_eq!(store.get(Family::Progress, &[0xff; 300]).unwrap(), Some(big));
    assert_eq!(store.scan(Family::Progress, &[0xff]).unwrap().len(), 1, "a prefix of 0xff has no successor");
}
