//! Kafka's semantics over log and catalog.
//!
//! **Place**: layer 3. A decoded request goes in, an answer comes out; who sent it over what is [`Ask`].
//!
//! **Guarantees**: produce appends in the order of [`Broker::begin`] calls; no answer, not even a refusal, leaves before the
//! state it rests on is as durable as the node promises; what cannot be honoured is refused with Kafka's own error.
//!
//! **Limits**: one answer holds at most `FETCH_BYTES_MAX` of records, taken from the node's budget.
//!
//! **Absent on purpose**: sockets, bytes of the wire, transactions, sessions of Fetch.

mod api_versions;
mod broker;
mod configs;
mod coordinator;
mod fetch;
mod metadata;
mod offsets;
mod produce;
mod producers;
mod settings;
mod topic_config;
mod topics;

pub use broker::{Answer, Ask, Begun, Broker, Reply};
pub use settings::{BadSetting, BrokerSettings};
