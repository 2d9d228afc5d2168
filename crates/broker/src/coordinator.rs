//! FindCoordinator: this node, at the address of the listener that was asked.
//!
//! Of a transaction too, though there are none: librdkafka tries every error of FindCoordinator again until its time-out, and
//! takes InitProducerId's refusal as fatal at once.

use carrick_wire::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse, Text};

use crate::broker::{Ask, Broker};

/// From here on a request names several keys.
const SEVERAL: i16 = 4;

impl Broker {
    pub(crate) fn find_coordinator(
        &self,
        ask: &Ask,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let found = |key: Text| {
            let (host, port) = (ask.host.clone(), i32::from(ask.port));
            Coordinator { key, node_id: self.broker_id, host, port, ..Default::default() }
        };
        if ask.version >= SEVERAL {
            let coordinators = request.coordinator_keys.into_iter().map(found).collect();
            return FindCoordinatorResponse { coordinators, ..Default::default() };
        }
        let only = found(request.key);
        FindCoordinatorResponse {
            error_code: only.error_code,
            error_message: only.error_message,
            node_id: only.node_id,
            host: only.host,
            port: only.port,
            ..Default::default()
        }
    }
}
