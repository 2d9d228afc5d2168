//! gRPC over mutual TLS: the link's transport, and the service that operators call.
//!
//! **Place**: layer 2, over `proto` and `tls`. Carries Envelopes and understands none of them: a message of the link is
//! bytes here, and what a session is stands in `link`.
//!
//! **Guarantees**: a [`Connection`] is one stream on one HTTP/2 connection on one socket: messages arrive whole and in
//! order; dropping either half ends it; a lost transport, or a peer that is silent to pings for three seconds, ends both
//! halves. What was sent before an end is delivered if the peer takes it within [`GRACE`]. On the wire it is plain gRPC.
//! Nothing that one socket does ends an accept loop or another connection. The link port serves the link service only.
//!
//! **Limits**: [`MESSAGE_BYTES_MAX`] a message, [`QUEUE_MESSAGES`] messages waiting per direction, [`WINDOW_BYTES`] under
//! way, [`HANDSHAKES_MAX`] handshakes at once of [`HANDSHAKE_MAX`] each, [`HANDSHAKES_PER_HOST_MAX`] of one host,
//! [`CONNECTIONS_MAX`] connections a port.
//!
//! **Absent on purpose**: sessions, credits, retries (`link` decides when to dial again), compression of messages.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "sockets and their tasks live here")]

mod accept;
pub mod admin;
mod http2;
mod link;
mod socket;

pub use accept::{CONNECTIONS_MAX, HANDSHAKE_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_HOST_MAX};
pub use carrick_tls as tls;
pub use carrick_tls::{Refusals, Role};
pub use http2::WINDOW_BYTES;
pub use link::{
    Connection, DialError, Endpoint, GRACE, LinkServer, MESSAGE_BYTES_MAX, PeerIdentity, QUEUE_MESSAGES,
    dial, dial_over,
};
pub use socket::Listener;
pub use tonic::{Code, Request, Response, Status, async_trait};
