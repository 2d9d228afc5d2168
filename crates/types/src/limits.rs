//! A limit on everything that a peer, a client or a file can make grow.

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// Largest Kafka request accepted (Kafka's `socket.request.max.bytes`).
pub const REQUEST_BYTES_MAX: usize = 100 * MIB;
/// Largest request accepted from a connection that has not authenticated, where authentication is on.
pub const UNAUTHENTICATED_REQUEST_BYTES_MAX: usize = 64 * KIB;
/// Requests under way per connection.
pub const REQUESTS_PER_CONNECTION_MAX: usize = 8;
/// Producer ids remembered per partition; the oldest idle one goes first.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;
/// Batches remembered per producer id, as Kafka does: a client has at most five in flight.
pub const PRODUCER_BATCHES_MAX: usize = 5;
/// Bytes of the node that are written and not yet durable; above it produce waits.
pub const UNSYNCED_BYTES_MAX: u64 = 64 * MIB as u64;
/// Partitions of one topic.
pub const PARTITIONS_PER_TOPIC_MAX: u32 = 10_000;
/// Partitions of one node.
pub const PARTITIONS_PER_NODE_MAX: usize = 100_000;
/// Bytes of one Fetch answer, whatever the client asks.
pub const FETCH_BYTES_MAX: usize = 55 * MIB;
