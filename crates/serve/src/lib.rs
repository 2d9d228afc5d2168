//! Sockets: the accept path, TLS, limits, the Kafka connection loop, and HTTP for probes and collectors.
//!
//! **Place**: layer 3, over `wire`, `tls` and `broker`.
//!
//! **Guarantees**: a TLS handshake is its connection's own affair, and what it shows follows the certificate's files; a
//! request's length is taken from the node's budget before its bytes are read; answers leave in the order of their
//! requests; nothing that one connection sends ends the accept loop or another connection.
//!
//! **Limits**: `REQUESTS_PER_CONNECTION_MAX` requests under way, `REQUEST_BYTES_MAX` a request, ten minutes of silence, a
//! minute without progress inside a request or an answer.
//!
//! **Absent on purpose**: what requests mean.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "sockets and their tasks live here")]

mod accept;
mod connection;
mod frame;
mod http;

pub use accept::{BindError, Bound, Drain, Listener, bind};
pub use http::{Eyes, HttpListener};
