//! A running site without sockets: opens log, catalog and broker from what it is given of the world.
//!
//! **Place**: layer 4. The same function serves `carrickd` and a simulated site.
//!
//! **Guarantees**: nothing is served before what an unclean end left was made durable; a newer layout is refused before any
//! write; a clean end leaves a mark that saves the next start the doubt.
//!
//! **Absent on purpose**: sockets, configuration files, signals, RocksDB.

mod boot;
mod checkpoints;
mod data;
mod halting;
mod ledger;
mod node;
mod reserve;
mod sink;
mod source;
mod stamp;

pub use boot::OnBoot;
pub use data::{DataDir, DataError};
pub use node::{Node, NodeSettings, OpenError};
pub use stamp::StampError;
