//! The data directory: who holds it, and which layout it has.
//!
//! | name | what |
//! |---|---|
//! | `FORMAT` | layout, the oldest layout whose programs can read it, cluster id; text |
//! | `LOCK` | held while a node runs |
//! | `RESERVE` | space that a failover on a full disk needs |
//! | `STAMP` | how many of the catalog's commits were durable |
//! | `catalog/` | the store's own files |
//! | `topics/`, `trash/` | the logs |

use std::io;
use std::path::{Path, PathBuf};

use carrick_sys::Disk;
use carrick_types::ClusterId;

/// The layout this program writes, and the newest it reads.
const LAYOUT: u32 = 1;
const FORMAT_BYTES_MAX: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{path} cannot be used")]
    Disk { path: PathBuf, source: io::Error },
    #[error("{path} is in use by another carrickd: stop it, or name another data directory")]
    InUse { path: PathBuf },
    #[error("{path} is of layout {found}, this program reads up to {LAYOUT}: start a newer carrickd")]
    Newer { path: PathBuf, found: u32 },
    #[error("{path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("{path} belongs to cluster {stated}, its catalog to {found}: one of them is from another node")]
    Foreign { path: PathBuf, stated: ClusterId, found: ClusterId },
}

/// A data directory that this process holds.
pub struct DataDir {
    path: PathBuf,
    cluster: Option<ClusterId>,
    _lock: Box<dyn Send + Sync>,
}

impl DataDir {
    /// Takes the directory and checks its layout; writes nothing but the lock. Blocking.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, DataError> {
        let failed = |at: &Path| {
            let path = at.to_path_buf();
            move |source| DataError::Disk { path, source }
        };
        let format = path.join("FORMAT");
        let read = || -> Result<Option<ClusterId>, DataError> {
            let stated = disk.read_small(&format, FORMAT_BYTES_MAX).map_err(failed(&format))?;
            stated.map(|bytes| parse(&format, &bytes)).transpose()
        };
        // A newer layout is refused before even the lock is made; what counts is what stands there under the lock.
        read()?;
        let lock_path = path.join("LOCK");
        let lock = disk.lock(&lock_path).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => DataError::InUse { path: path.into() },
            _ => DataError::Disk { path: lock_path.clone(), source },
        })?;
        // Before anything is opened that has to write.
        crate::reserve::give_up(disk, path);
        Ok(Self { path: path.into(), cluster: read()?, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the store keeps its files.
    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog")
    }

    /// Binds the directory to its cluster: written by the first start, compared by every other. Blocking.
    pub(crate) fn bind(&mut self, disk: &dyn Disk, cluster: ClusterId) -> Result<(), DataError> {
        match self.cluster {
            Some(stated) if stated == cluster => Ok(()),
            Some(stated) => Err(DataError::Foreign { path: self.path.clone(), stated, found: cluster }),
            None => {
                let text = format!("carrick\nlayout {LAYOUT}\nminimum-reader {LAYOUT}\ncluster {cluster}\n");
                disk.replace(&self.path, "FORMAT", text.as_bytes())
                    .map_err(|source| DataError::Disk { path: self.path.join("FORMAT"), source })?;
                self.cluster = Some(cluster);
                Ok(())
            }
        }
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<ClusterId, DataError> {
    let damaged = |what: &str| DataError::Damaged { path: path.into(), what: what.into() };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some("carrick") {
        return Err(damaged("its first line is not carrick"));
    }
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find_map(|(key, value)| (key == name).then_some(value))
    };
    let reader = field("minimum-reader").and_then(|it| it.parse::<u32>().ok());
    let reader = reader.ok_or_else(|| damaged("it names no minimum-reader"))?;
    if reader > LAYOUT {
        return Err(DataError::Newer { path: path.into(), found: reader });
    }
    field("cluster").and_then(|it| it.parse().ok()).ok_or_else(|| damaged("it names no cluster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_or_damaged_format_is_refused() {
        let path = Path::new("FORMAT");
        let id = ClusterId::from_bytes([7; 16]);
        let good = format!("carrick\nlayout 1\nminimum-reader 1\ncluster {id}\n");
        assert_eq!(parse(path, good.as_bytes()).unwrap(), id);
        let compatible = good.replace("layout 1", "layout 2");
        assert_eq!(parse(path, compatible.as_bytes()).unwrap(), id);
        let newer = good.replace("minimum-reader 1", "minimum-reader 2");
        assert!(matches!(parse(path, newer.as_bytes()), Err(DataError::Newer { found: 2, .. })));
        for bad in ["", "other\n", "carrick\n", "carrick\nminimum-reader x\n", "carrick\nminimum-reader 1\n"]
        {
            assert!(matches!(parse(path, bad.as_bytes()), Err(DataError::Damaged { .. })), "{bad:?}");
        }
    }
}
