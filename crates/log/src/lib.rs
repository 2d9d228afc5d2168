//! The partition log: segment files that hold record batches verbatim.
//!
//! **Place**: layer 2, over `record` and `sys`. One [`Partition`] is one log; a [`LogStore`] is a node's logs and the task
//! that makes them durable together.
//!
//! **Guarantees**: a batch is on the disk byte for byte as it was handed in, but for base offset, leader epoch and, where
//! asked, append time; nothing is told to be durable before it is; the five offsets keep their order; a producer's batch is
//! appended once; after a failed sync nothing is acknowledged any more; damage is named and spreads to no other partition.
//!
//! **Limits**: `carrick_types::limits`. Opening reads each segment once from its beginning to its end.
//!
//! **Absent on purpose**: topic names, settings by name, clients, compression.

mod digest;
mod epochs;
mod page;
mod partition;
mod producers;
mod recover;
mod segment;
mod store;
mod transactions;

pub use carrick_sys::Wake;
pub use digest::Digest;
pub use epochs::EpochEnd;
pub use partition::{
    AppendError, Appended, Behind, Bound, Damage, MirrorError, Partition, ReadError, Role, Slice, TimeAnswer,
    WaitError,
};
pub use producers::ProducerRefusal;
pub use store::{Durability, LogSettings, LogStore, OpenError};
pub use transactions::Aborted;
