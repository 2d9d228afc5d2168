//! The replicator as an engine: links, mirrors, and both halves of the session between two nodes.
//!
//! **Place**: layer 3. The world is five ports: [`Source`] (a cluster this process reads), [`Sink`] (one it writes),
//! [`Ledger`], the line to a peer ([`Connection`], [`Dialer`]) and `carrick_sys::Sys`.
//!
//! **Guarantees**: what a mirror holds is what its source holds, batch for batch, from the first to the mirror's end, or the
//! mirror is FAILED with a code; a decision is durable in the ledger before anything follows from it; what follows is
//! repeated after a restart until it is done. A peer is heard when its word comes, and hears from this side, whatever a
//! session waits for.
//!
//! **Limits**: credit bounds what a source sends before it is consumed, over a link and per partition; a frame is at most
//! 256 KiB, or one larger batch in parts.
//!
//! **Absent on purpose**: sockets, files, databases, TLS. Who the peer is was checked before a connection comes here.

mod destination;
mod engine;
mod envelope;
mod event;
mod glob;
mod hello;
mod ports;
mod retry;
mod source;
mod status;

pub use engine::{
    CreateLink, CreateMirrors, CreatedLink, CreatedMirrors, Engine, EngineError, FailedOver, Failover,
    Identity, JournalEntry, MirrorOutcome, Mutation, PartitionLoss, TopicLoss,
};
pub use event::{LinkView, Mirror, MirrorDefinition};
pub use ports::{
    Behind, Connection, DialError, Dialer, Ledger, LedgerError, MirrorTopic, Opened, Ports, Position, Sink,
    SinkError, SinkPartition, Source, SourceError, SourceGroup, SourcePartition, SourceTopic,
};
pub use status::{Lag, LinkState, LinkStatus, MirrorStatus, PartitionStatus};
