//! What every row gets: programs, certificates, a folder, and how often to repeat.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::site::{Durability, Pki, Programs, Site};

/// One run of the bench.
#[derive(Debug)]
pub struct Bench {
    pub programs: Programs,
    pub pki: Pki,
    /// Of the row that is measured; on the disk that the tree is on.
    pub dir: PathBuf,
    pub repeat: usize,
    /// What was asked for instead of a row's own.
    pub bytes: Option<u64>,
}

impl Bench {
    pub fn site(&self, name: &str, durability: Durability) -> anyhow::Result<Site> {
        Site::new(&self.programs, &self.pki, &self.dir, name, durability)
    }

    /// The same bench for the next row, which begins in a folder of its own.
    pub fn within(&self, dir: &Path) -> Self {
        let (programs, pki) = (self.programs.clone(), self.pki.clone());
        Self { programs, pki, dir: dir.to_path_buf(), repeat: self.repeat, bytes: self.bytes }
    }

    /// Gives the disk a moment of its own: what earlier runs wrote is on it before the next begins.
    pub fn settle(&self) {
        rustix::fs::sync();
    }

    /// Leaves nothing of a row behind for the next.
    pub fn clear(&self) -> anyhow::Result<()> {
        if self.dir.exists() {
            std::fs::remove_dir_all(&self.dir)?
        }
        Ok(())
    }

    pub fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        std::fs::remove_dir_all(&path).with_context(|| format!("{} could not be removed", path.display()))
    }

    /// Runs both, now the one first and now the other, so that neither always meets the warmer machine.
    pub fn alternate<W, A, B>(
        &self,
        repeat: usize,
        with: &mut W,
        subject: impl FnOnce(&mut W) -> anyhow::Result<A>,
        control: impl FnOnce(&mut W) -> anyhow::Result<B>,
    ) -> anyhow::Result<(A, B)> {
        if repeat.is_multiple_of(2) {
            let subject = subject(with)?;
            Ok((subject, control(with)?))
        } else {
            let control = control(with)?;
            Ok((subject(with)?, control))
        }
    }

    pub fn say(&self, words: &str) {
        eprintln!("bench: {words}");
    }
}
