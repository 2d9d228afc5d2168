//! What exists: the node's own identity, topics, their ids, epochs and settings, groups and their offsets.
//!
//! **Place**: layer 2, over `types` and a [`Store`]. One file per stored entity, each with the table of what it stores at the
//! top. Every stored value starts with its version; a value of a newer version is refused before anything is written.
//!
//! **Guarantees**: a commit is atomic; what [`Catalog`] answers is what is stored; the catalog counts its commits.
//!
//! **Absent on purpose**: log positions above the durable end; RocksDB (that is `store`).

mod catalog;
mod checkpoint;
pub mod conformance;
mod group;
mod group_offset;
mod ledger;
mod memory;
mod node;
pub mod store;
mod topic;
mod value;

pub use catalog::{BeginOutcome, Catalog, CatalogError, Commit, GroupOffsets, Piece};
pub use group::{GroupPhase, GroupRecord, MemberRecord, ProtocolRecord};
pub use group_offset::OffsetRecord;
pub use memory::MemoryStore;
pub use node::NodeRecord;
pub use store::{Family, Store, StoreError, Write};
pub use topic::{MirrorOf, TopicRecord};
pub use value::ValueError;
