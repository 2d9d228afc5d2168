//! Kafka's semantics over log and catalog.
//!
//! **Place**: layer 3. A decoded request goes in, an answer comes out; who sent it over what is [`Ask`].
//!
//! **Guarantees**: produce appends in the order of [`Broker::begin`] calls; no answer, not even a refusal, leaves before the
//! state it rests on is as durable as the node promises; what cannot be honoured is refused with Kafka's own error. A group
//! goes on after a restart as it was: members, generation, assignment, offsets.
//!
//! **Limits**: one answer holds at most `FETCH_BYTES_MAX` of records, taken from the node's budget; groups, members and what
//! they say are counted (`groups/limits.rs`).
//!
//! **Absent on purpose**: sockets, bytes of the wire, transactions, sessions of Fetch, groups of the newer
//! protocols (KIP-848, share groups).

mod api_versions;
mod broker;
mod configs;
mod coordinator;
mod fetch;
mod groups;
mod metadata;
mod offsets;
mod produce;
mod producers;
mod records;
mod settings;
mod topic_config;
mod topics;

pub use broker::{Answer, Ask, Begun, Broker, Reply};
pub use groups::{GroupState, SyncRefusal, SyncedOffset};
pub use settings::{BadSetting, BrokerSettings};
pub use topic_config::topic_log;
