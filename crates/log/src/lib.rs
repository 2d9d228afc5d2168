//! The partition log: segment files that hold record batches verbatim.
//!
//! **Place**: layer 2, over `record` and `sys`. One [`Partition`] is one log; a [`LogStore`] is a node's logs and the task
//! that makes them durable together.
//!
//! **Guarantees**: a batch is on the disk byte for byte as it was handed in, but for base offset, leader epoch and, where
//! asked, append time; nothing is told to be durable before it is; the five offsets keep their order; a producer's batch is
//! appended once; after a failed sync nothing is acknowledged any more, and what a kill left in doubt is written again; damage
//! is named and spreads to no other partition. Offsets are told whatever a write waits for.
//!
//! **Limits**: `carrick_types::limits`. Opening reads what was written since the last checkpoint, a few MiB of a partition;
//! without one, all of it. Open files are a bounded cache.
//!
//! **Absent on purpose**: topic names, settings by name, clients, compression.

mod checkpoint;
mod digest;
mod epochs;
mod handles;
pub mod inspect;
mod page;
mod partition;
mod producers;
mod recover;
mod segment;
mod settings;
mod sidecar;
mod store;
mod transactions;

pub use carrick_sys::Wake;
pub use checkpoint::{Change, Checkpoints, MemoryCheckpoints, Pieces};
pub use digest::Digest;
pub use epochs::EpochEnd;
pub use partition::{
    AppendError, Appended, Behind, Bound, Damage, DamageKind, MirrorError, Partition, ReadError, Role, Slice,
    StartError, TimeAnswer, WaitError,
};
pub use producers::ProducerRefusal;
pub use settings::{Durability, LogSettings, TopicLog};
pub use store::{LogStore, OpenError};
pub use transactions::Aborted;
