//! The nouns that three crates name, and that do no work.
//!
//! **Place**: layer 0; everything imports it, it imports no crate of ours.
//!
//! **Guarantees**: an offset, an epoch and an id cannot be mistaken for one another; the five offsets of a partition are
//! five types; arithmetic that could leave a type's range returns an error or saturates as its doc says.
//!
//! **Absent on purpose**: I/O, clocks, formats of disk or wire.

pub mod epoch;
pub mod id;
pub mod known;
pub mod limits;
pub mod name;
pub mod offset;
pub mod producer;
pub mod state;
pub mod time;

pub use epoch::{EpochOverflow, Generation, LeaderEpoch};
pub use id::{BadId, ClusterId, LineageId, LinkId, NodeId, TopicId};
pub use known::Known;
pub use name::{BadTopicName, TopicName};
pub use offset::{DurableEnd, HighWatermark, LastStable, LogEnd, LogStart, Offset, Offsets, Partition};
pub use producer::{ProducerEpoch, ProducerId, Sequence};
pub use state::MirrorState;
pub use time::Timestamp;
