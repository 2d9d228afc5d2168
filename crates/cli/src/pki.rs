//! `carrick pki ...`: certificates for a trial.

mod ca;
mod cert;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use time::{Duration, OffsetDateTime};

use crate::Global;
use crate::failure::Failure;

#[derive(Subcommand)]
pub enum Verb {
    /// Make a development CA. Its key is a plain file: whoever reads it can pass for any node.
    Ca(ca::Arguments),
    /// Make a certificate that a development CA signs, for a node or an operator.
    Cert(cert::Arguments),
}

impl Verb {
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Ca(arguments) => ca::run(global, &arguments),
            Self::Cert(arguments) => cert::run(global, &arguments),
        }
    }
}

const CA_CERT: &str = "ca.pem";
const CA_KEY: &str = "ca.key";

/// Before now, since clocks differ.
const SKEW: Duration = Duration::minutes(5);

/// From a little before now, for so many days.
fn validity(days: u32) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - SKEW, now + Duration::days(days.into()))
}

/// Writes a certificate and its key, both or none, over nothing.
fn write_pair(cert: (&Path, &str), key: (&Path, &str)) -> Result<(), Failure> {
    for (path, _) in [cert, key] {
        if path.symlink_metadata().is_ok() {
            let what = format!("{} is there already, and nothing is overwritten", path.display());
            return Err(Failure::new(
                what,
                format!("carrick pki ... --out ANOTHER-DIRECTORY  (or move {})", path.display()),
            ));
        }
        if let Some(dir) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
            made.map_err(|e| unwritable(dir, &e))?;
        }
    }
    create(key.0, 0o600, key.1).map_err(|e| unwritable(key.0, &e))?;
    create(cert.0, 0o644, cert.1).map_err(|e| {
        // A key without its certificate is of no use.
        let _ = std::fs::remove_file(key.0);
        unwritable(cert.0, &e)
    })
}

fn create(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn unwritable(path: &Path, e: &io::Error) -> Failure {
    Failure::new(
        format!("{} could not be written: {e}", path.display()),
        format!("ls -ld {}", parent(path).display()),
    )
}

fn parent(path: &Path) -> PathBuf {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new(".")).into()
}
