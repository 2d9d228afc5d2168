//! The foreign clients: Python scripts of `tests/clients/`, and kcat.

use std::path::{Path, PathBuf};

use crate::{Program, skip};

/// An interpreter.
#[derive(Clone, Debug)]
pub struct Python(PathBuf);

impl Python {
    /// One that has the foreign clients; None says that the test is skipped.
    pub fn with_clients() -> Option<Self> {
        let found = std::env::var_os("CARRICK_PYTHON").map(|path| Self(path.into()));
        if found.is_none() {
            skip("no foreign clients; type: eval \"$(scripts/clients)\"");
        }
        found
    }

    /// One with a standard library; None says that the test is skipped.
    pub fn plain() -> Option<Self> {
        let set = std::env::var_os("CARRICK_PYTHON").map(PathBuf::from);
        let found = set.or_else(|| on_path("python3")).map(Self);
        if found.is_none() {
            skip("no python3; type: sudo apt-get install -y python3");
        }
        found
    }

    /// A script of this package, by its path in it.
    pub fn script(&self, path: &str) -> Program {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        Program::new(&self.0).env("PYTHONDONTWRITEBYTECODE", "1").arg(script).named(path)
    }
}

/// None says that the test is skipped.
pub fn kcat() -> Option<PathBuf> {
    let found = std::env::var_os("CARRICK_KCAT").map(PathBuf::from);
    if found.is_none() {
        skip("no kcat; type: eval \"$(scripts/clients)\"");
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|it| it.is_file())
}
