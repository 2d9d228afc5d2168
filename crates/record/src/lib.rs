//! Record batch v2 (KIP-98): the one format of disk, wire and link.
//!
//! **Place**: layer 1, over `types`. A batch is opaque bytes with a 61-byte header; this crate reads and re-stamps the
//! header and checks the CRC-32C. The records inside are looked at only where someone asks: uncompressed ones in
//! [`records`], those of any codec in [`inflate`], for lookups by time.
//!
//! **Guarantees**: no function panics on bytes that are wrong, and none but [`inflate::first_at`] allocates on them, which
//! takes at most 32 MiB and comes to an end whatever they are; a [`Header`] that parses has a length that is at least the
//! header's own and a count that agrees with its last offset delta.
//!
//! **Limits**: magic 2 only. A lookup walks at most 128 MiB of inflated bytes, unless told otherwise.
//!
//! **Absent on purpose**: bodies inflated on their way to disk, wire or link; compression.

mod control;
mod hash;
mod header;
mod stamp;

pub mod inflate;
pub mod records;

pub use control::{ControlKind, EndTransaction};
pub use hash::batch_hash;
pub use header::{BadBatch, Batch, Batches, Codec, HEADER_LEN, Header, PREFIX_LEN, TimeType, checksum_holds};
pub use stamp::Stamped;
