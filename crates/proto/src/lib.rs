//! The messages between nodes and to operators, as generated from `proto/`.
//!
//! **Place**: layer 1. The link's engine and its simulation use the messages alone; the services around them are `rpc`'s.
//!
//! **Guarantees**: the byte fields of a decoded message are slices of what was decoded.
//!
//! **Absent on purpose**: gRPC.

/// Version 1, spoken from the first release on.
pub mod v1 {
    #![allow(clippy::all, reason = "generated")]
    include!(concat!(env!("OUT_DIR"), "/carrick.v1.rs"));
}

/// The version of the link's protocol that this program speaks.
pub const PROTOCOL: u32 = 1;
