//! A limit on everything that members and those who commit can make grow.

use std::time::Duration;

use carrick_types::limits::MIB;

/// Groups of one node.
pub(super) const GROUPS_MAX: usize = 100_000;
/// Members of one group, those who were given an id and have not joined yet included.
pub(super) const MEMBERS_MAX: usize = 1_000;
/// What one member says to its assignors, all together, and what it is assigned.
pub(super) const MEMBER_BYTES_MAX: usize = MIB;
/// What all members of a group say, and what all are assigned: a leader is sent all of it in one answer.
pub(super) const GROUP_BYTES_MAX: usize = 16 * MIB;
/// Offsets of all groups together.
pub(super) const OFFSETS_MAX: usize = 2_000_000;
pub(super) const GROUP_ID_BYTES_MAX: usize = 1_024;
/// As Kafka's clients check it: the rule of topic names.
pub(super) const INSTANCE_ID_BYTES_MAX: usize = 249;
/// What is kept of a client's name for itself.
pub(super) const CLIENT_ID_BYTES_MAX: usize = 255;
/// A client's own words beside an offset (Kafka's `offset.metadata.max.bytes`).
pub(super) const OFFSET_METADATA_BYTES_MAX: usize = 4_096;

/// How long a new member may wait for the others: it may be gone, and nobody would notice. It is expected to ask again.
pub(super) const NEW_MEMBER_WAIT_MAX: Duration = Duration::from_secs(300);
/// How often expired offsets are looked for (Kafka's `offsets.retention.check.interval.ms`).
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Groups looked at in one go, while everybody else waits.
pub(super) const SWEEP_GROUPS: usize = 500;
/// Until a join that could not be stored is tried again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
