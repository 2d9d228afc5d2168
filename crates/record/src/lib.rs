//! Record batch v2 (KIP-98): the one format of disk, wire and link.
//!
//! **Place**: layer 1, over `types`. A batch is opaque bytes with a 61-byte header; this crate reads and re-stamps the
//! header and checks the CRC-32C. The records inside are looked at only where someone asks ([`records`]).
//!
//! **Guarantees**: no function panics or allocates on bytes that are wrong; a [`Header`] that parses has a length that is
//! at least the header's own and a count that agrees with its last offset delta.
//!
//! **Limits**: magic 2 only. Bodies are never inflated here.

mod control;
mod hash;
mod header;
mod stamp;

pub mod records;

pub use control::{ControlKind, EndTransaction};
pub use hash::batch_hash;
pub use header::{BadBatch, Batch, Batches, Codec, HEADER_LEN, Header, PREFIX_LEN, TimeType, checksum_holds};
pub use stamp::Stamped;
