//! FindCoordinator: of a group this node, at the address of the listener that was asked.

use carrick_wire::{Coordinator, ErrorCode, FindCoordinatorRequest, FindCoordinatorResponse, Text};

use crate::broker::{Ask, Broker};

const GROUP: i8 = 0;
/// From here on a request names several keys.
const SEVERAL: i16 = 4;

impl Broker {
    pub(crate) fn find_coordinator(
        &self,
        ask: &Ask,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let of_group = request.key_type == GROUP;
        let found = |key: Text| {
            if of_group {
                let (host, port) = (ask.host.clone(), i32::from(ask.port));
                return Coordinator { key, node_id: self.broker_id, host, port, ..Default::default() };
            }
            // Of a transaction: fatal at once; a retriable error would hang the client for a minute.
            Coordinator {
                key,
                node_id: -1,
                port: -1,
                error_code: ErrorCode::UNSUPPORTED_VERSION.code(),
                error_message: Some("transactions are not served by this version".into()),
                ..Default::default()
            }
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
