//! The catalog as the home of the logs' checkpoints; with each the stamp follows.

use std::io;
use std::sync::Arc;

use carrick_catalog::{Catalog, Piece};
use carrick_log::{Change, Checkpoints, Pieces};
use carrick_sys::Disk;
use carrick_types::{Partition, TopicId};
use futures::future::BoxFuture;
use tracing::warn;

use crate::stamp::Stamp;

pub(crate) struct CatalogCheckpoints {
    pub catalog: Arc<Catalog>,
    pub disk: Arc<dyn Disk>,
    pub stamp: Stamp,
}

impl CatalogCheckpoints {
    /// So many commits are durable: a start that finds fewer, after a kill as well, is told.
    pub(crate) fn stamp(&self, commits: u64) {
        if let Err(failed) = self.stamp.write(commits) {
            warn!(error = %failed, "the stamp that tells an older catalog could not be written");
        }
    }
}

impl Checkpoints for CatalogCheckpoints {
    fn load(&self, topic: TopicId, partition: Partition) -> io::Result<Pieces> {
        self.catalog.checkpoint(topic, partition).map_err(io::Error::other)
    }

    fn save(&self, changes: Vec<Change>) -> io::Result<()> {
        let pieces = changes.into_iter().map(|it| Piece {
            topic: it.topic,
            partition: it.partition,
            number: it.piece,
            value: it.value,
        });
        self.catalog.save_checkpoints(pieces.collect()).map_err(io::Error::other)?;
        Ok(())
    }

    fn durable(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.catalog.durable(&*self.disk).await.map_err(io::Error::other) })
    }
}
