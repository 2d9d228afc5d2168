//! InitProducerId: a new id for every idempotent producer.

use carrick_wire::{ErrorCode, InitProducerIdRequest, InitProducerIdResponse};
use tracing::error;

use crate::broker::Broker;

impl Broker {
    pub(crate) async fn init_producer_id(&self, request: InitProducerIdRequest) -> InitProducerIdResponse {
        let refused = |code: ErrorCode| InitProducerIdResponse {
            error_code: code.code(),
            producer_epoch: -1,
            ..Default::default()
        };
        if request.transactional_id.is_some() {
            // Fatal at once; a retriable error would hang the client for a minute.
            return refused(ErrorCode::UNSUPPORTED_VERSION);
        }
        let given = match self.catalog.new_producer() {
            Ok(id) => self.catalog.durable(&*self.sys.disk).await.map(|()| id),
            Err(failed) => Err(failed),
        };
        match given {
            Ok(id) => {
                InitProducerIdResponse { producer_id: id.get(), producer_epoch: 0, ..Default::default() }
            }
            Err(failed) => {
                error!(error = %failed, "no producer id could be given");
                refused(ErrorCode::KAFKA_STORAGE_ERROR)
            }
        }
    }
}
