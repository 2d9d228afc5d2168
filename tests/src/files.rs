//! A data directory and its copies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file under `dir`, by its path in it.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(at) = dirs.pop() {
        for entry in std::fs::read_dir(&at).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_file() {
                found.insert(path.strip_prefix(dir).unwrap().to_path_buf(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Puts them where there may be others, which go.
pub fn put(files: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    // What an empty one leaves no trace of.
    std::fs::create_dir_all(dir.join("topics")).unwrap();
}

/// As a site keeps them, without what a start makes again: locks, sockets, words of the store, and what is put by.
pub fn kept(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = files(dir);
    found.retain(|path, _| {
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        !(matches!(name, "LOCK" | "RESERVE") || name.starts_with("LOG"))
    });
    found
}
