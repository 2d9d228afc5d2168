//! What operators call: `carrick.v1.Admin`, on a unix socket and over mutual TLS.

mod client;
mod roles;
mod server;
mod unix;

/// As generated.
mod v1 {
    #![allow(clippy::all, missing_docs, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/carrick.v1.rs"));
}

pub use client::{AdminClient, AdminDialError, Http2, connect_socket, connect_tls};
pub use server::AdminServer;
pub use unix::{AdminSocket, SocketError};
pub use v1::admin_server::Admin;

use carrick_tls::Role;

/// Who calls. Stands among the extensions of each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// By the unix socket, whose file's permissions are the guard.
    User { uid: u32 },
    /// By TLS.
    Certificate { names: Vec<String>, roles: Vec<Role> },
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { uid } => write!(f, "uid {uid}"),
            Self::Certificate { names, .. } => {
                f.write_str(names.first().map_or("a certificate without a name", String::as_str))
            }
        }
    }
}
