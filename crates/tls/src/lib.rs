//! Certificates, keys and roles, from PEM files that change under a running node.
//!
//! **Place**: layer 1, over nothing of ours; `rpc`, `serve` and `cli` speak TLS with what it reads.
//!
//! **Guarantees**: TLS 1.3 and nothing older, by rustls over ring. A [`Tls`] was whole when it was read: the key is the
//! certificate's. Files are read again every [`LOOK_EVERY`]; a new set that is not good leaves the old one in use, is said
//! once and counted. Connections that stand keep what they were made with. No session is resumed: who is no longer
//! trusted meets a full handshake.
//!
//! **Limits**: [`FILE_BYTES_MAX`] a file.
//!
//! **Absent on purpose**: sockets, revocation lists, making certificates (`carrick pki` does).
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it reads files and asks for the time of day"
)]

mod certificate;
mod live;
mod material;
mod refusals;
mod role;

pub use certificate::{BadCertificate, Certificate};
pub use live::{LOOK_EVERY, Look, Tls};
pub use material::{FILE_BYTES_MAX, Files, Purpose, TlsError};
pub use refusals::Refusals;
pub use role::{ROLE_URI, Role};
