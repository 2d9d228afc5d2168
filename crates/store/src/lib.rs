//! The RocksDB home of the catalog, and nothing else.
//!
//! **Place**: layer 2, beside `catalog`, whose [`Store`](carrick_catalog::Store) it implements. The only crate that names
//! RocksDB, so that the rest of the tree builds and is tested without it, over the twin in memory.
//!
//! **Guarantees**: a commit is atomic over both families and visible at once; it survives a kill of the process at once and
//! a power cut after `sync`. What a power cut leaves is a prefix of the commits. After a failed sync nothing more is taken.
//!
//! **Limits**: memory is [`StoreBudget::bytes_max`] plus a few MiB of RocksDB's own; open files, log files and background
//! jobs are bounded in `options`. On a full disk commits fail, reads go on, and commits go on by themselves within 5 s of
//! space being freed, which is how often RocksDB looks.
//!
//! **Absent on purpose**: keys, values and their versions (`catalog`); compression, checkpoints, compaction filters. RocksDB
//! does its own file calls and runs three threads of its own: it is not in the simulated world.

mod options;
mod rocks;

pub use options::StoreBudget;
pub use rocks::RocksStore;
