//! Material that follows its files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::{ClientConfig, ServerConfig};
use tracing::{info, warn};

use crate::certificate::Certificate;
use crate::material::{Contents, DAY_SECONDS, Files, Material, Purpose, TlsError, seconds_now};

/// Between two looks at the files: contents are compared, since a swapped symbolic link escapes a file watch.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What is in use.
    Same,
    /// Something new, which is in use now.
    Renewed,
    /// Something that is not good: what was in use still is.
    Kept,
}

/// One end's certificate, key and trust, as of the last good look at their files. Clones are the same.
#[derive(Clone)]
pub struct Tls {
    shared: Arc<Shared>,
}

struct Shared {
    files: Files,
    purpose: Purpose,
    used: RwLock<Arc<Material>>,
    seen: Mutex<Seen>,
    renewed: AtomicU64,
    failed: AtomicU64,
}

struct Seen {
    used: Contents,
    /// What was wrong at the last look, so that it is said once.
    wrong: Option<String>,
}

impl Tls {
    /// Reads the files. An expired certificate is taken, with a warning: a node starts without its link, too.
    pub fn open(files: Files, purpose: Purpose) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let material = Material::build(&files, &contents, purpose)?;
        if let Err(e) = material.in_time(&files) {
            warn!(error = %e, "peers will refuse this node's certificate");
        }
        Ok(Self {
            shared: Arc::new(Shared {
                files,
                purpose,
                used: RwLock::new(Arc::new(material)),
                seen: Mutex::new(Seen { used: contents, wrong: None }),
                renewed: AtomicU64::new(0),
                failed: AtomicU64::new(0),
            }),
        })
    }

    /// For the next connection that is accepted.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.used.read().server)
    }

    /// For the next connection that is dialled; None without a CA.
    pub fn client(&self) -> Option<Arc<ClientConfig>> {
        self.shared.used.read().client.clone()
    }

    /// This end's certificate.
    pub fn own(&self) -> Certificate {
        self.shared.used.read().own.clone()
    }

    /// Whole days until this end's certificate expires; negative after.
    pub fn days_to_expiry(&self) -> i64 {
        (self.shared.used.read().own.not_after - seconds_now()).div_euclid(DAY_SECONDS)
    }

    /// How often new files came into use.
    pub fn renewals(&self) -> u64 {
        self.shared.renewed.load(Ordering::Relaxed)
    }

    /// How often new files were not good.
    pub fn failures(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Whether the files, at the last look, were not what is in use.
    pub fn stale(&self) -> bool {
        self.shared.seen.lock().wrong.is_some()
    }

    /// Looks at the files every [`LOOK_EVERY`], for ever.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let look = self.clone();
            // A disk that hangs must not take a worker with it. What panicked there is looked at again.
            let _ = tokio::task::spawn_blocking(move || look.look()).await;
        }
    }

    /// Looks at the files now.
    pub fn look(&self) -> Look {
        let Shared { files, purpose, .. } = &*self.shared;
        let mut seen = self.shared.seen.lock();
        let new = Contents::read(files).and_then(|contents| {
            if contents == seen.used {
                return Ok(None);
            }
            let material = Material::build(files, &contents, *purpose)?;
            material.in_time(files)?;
            Ok(Some((contents, material)))
        });
        match new {
            Ok(None) => {
                seen.wrong = None;
                Look::Same
            }
            Ok(Some((contents, material))) => {
                info!(cert = %files.cert.display(), names = ?material.own.names, "the certificate was renewed");
                *self.shared.used.write() = Arc::new(material);
                *seen = Seen { used: contents, wrong: None };
                self.shared.renewed.fetch_add(1, Ordering::Relaxed);
                Look::Renewed
            }
            Err(e) => {
                let wrong = e.to_string();
                if seen.wrong.as_ref() != Some(&wrong) {
                    warn!(error = %e, "the new certificate is not good: the old one stays in use");
                    self.shared.failed.fetch_add(1, Ordering::Relaxed);
                    seen.wrong = Some(wrong);
                }
                Look::Kept
            }
        }
    }
}

#[cfg(test)]
mod tests;
