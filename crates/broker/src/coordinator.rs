//! FindCoordinator. It is served before groups are: librdkafka turns lz4 off, silently, at a broker that does not offer it.

use carrick_wire::{Coordinator, ErrorCode, FindCoordinatorRequest, FindCoordinatorResponse, Text};

use crate::broker::{Ask, Broker};

const GROUP: i8 = 0;

impl Broker {
    pub(crate) fn find_coordinator(
        &self,
        ask: &Ask,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        // Of a transaction: fatal at once; a retriable error would hang the client for a minute.
        let (code, message) = match request.key_type {
            GROUP => (ErrorCode::COORDINATOR_NOT_AVAILABLE, "consumer groups are not served by this version"),
            _ => (ErrorCode::UNSUPPORTED_VERSION, "transactions are not served by this version"),
        };
        let message = Some(Text::from(message));
        if ask.version < 4 {
            return FindCoordinatorResponse {
                error_code: code.code(),
                error_message: message,
                node_id: -1,
                port: -1,
                ..Default::default()
            };
        }
        let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: code.code(),
            error_message: message.clone(),
            ..Default::default()
        });
        FindCoordinatorResponse { coordinators: coordinators.collect(), ..Default::default() }
    }
}
