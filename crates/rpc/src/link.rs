//! The link's transport: `carrick.v1.Link/Session` without looking into its messages.

mod connection;
mod crew;
mod dial;
mod framing;
mod outgoing;
mod serve;

pub use connection::{Connection, GRACE, PeerIdentity, QUEUE_MESSAGES};
pub(crate) use dial::dial_tls;
pub use dial::{DialError, Endpoint, dial, dial_over};
pub use framing::MESSAGE_BYTES_MAX;
pub use serve::LinkServer;

/// The one call of the service.
const SESSION: &str = "/carrick.v1.Link/Session";
const CONTENT_TYPE: &str = "application/grpc";
