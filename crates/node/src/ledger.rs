//! The catalog as the home of the links' ledgers.

use std::sync::Arc;

use bytes::Bytes;
use carrick_catalog::{Catalog, CatalogError};
use carrick_link::{Ledger, LedgerError};
use carrick_sys::Sys;
use carrick_types::LinkId;
use futures::future::BoxFuture;

pub(crate) struct CatalogLedger {
    pub sys: Sys,
    pub catalog: Arc<Catalog>,
}

impl Ledger for CatalogLedger {
    fn links(&self) -> Result<Vec<LinkId>, LedgerError> {
        self.catalog.ledgers().map_err(failed)
    }

    fn read(&self, link: LinkId) -> Result<Vec<Bytes>, LedgerError> {
        self.catalog.ledger(link).map_err(failed)
    }

    fn append(&self, link: LinkId, expected: u64, event: Bytes) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            self.catalog.append_ledger(link, expected, event).map_err(failed)?;
            self.catalog.durable(&*self.sys.disk).await.map_err(failed)
        })
    }
}

fn failed(failed: CatalogError) -> LedgerError {
    match failed {
        CatalogError::LedgerMoved { .. } => LedgerError::Moved,
        other => LedgerError::Failed { what: other.to_string() },
    }
}
