//! SaslHandshake, SaslAuthenticate: who is there.

use bytes::Bytes;

use crate::Text;
use crate::message::NEVER;
use crate::table::api;

api! { SaslHandshake, versions 0-1, flexible NEVER;
    request SaslHandshakeRequest {
        mechanism: Text, 0+;
    }

    response SaslHandshakeResponse {
        /// `UNSUPPORTED_SASL_MECHANISM`: one of these instead.
        error_code: i16, 0+;
        mechanisms: Vec<Text>, 0+;
    }
}

api! { SaslAuthenticate, versions 0-2, flexible 2;
    request SaslAuthenticateRequest {
        auth_bytes: Bytes, 0+;
    }

    response SaslAuthenticateResponse {
        error_code: i16, 0+;
        error_message: Option<Text>, 0+;
        auth_bytes: Bytes, 0+;
        /// After this the client must authenticate again; 0 for never.
        session_lifetime_ms: i64, 1+;
    }
}
