//! The message tables, a file per family. Names are Kafka's, in Rust's case; `table.rs` explains their language.

mod api_versions;
mod cluster;
mod configs;
mod fetch;
mod group_admin;
mod group_members;
mod group_offsets;
mod leaders;
mod offsets;
mod produce;
mod producers;
mod sasl;
mod topics;

pub use api_versions::*;
pub use cluster::*;
pub use configs::*;
pub use fetch::*;
pub use group_admin::*;
pub use group_members::*;
pub use group_offsets::*;
pub use leaders::*;
pub use offsets::*;
pub use produce::*;
pub use producers::*;
pub use sasl::*;
pub use topics::*;
