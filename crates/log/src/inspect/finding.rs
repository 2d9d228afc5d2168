//! What is not as it should be.

use std::path::PathBuf;

use carrick_types::Offset;

use crate::partition::DamageKind;

/// What is wrong, by the code that operators look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As a node would name it.
    Damage(DamageKind),
    /// The log ends before it should, and a crash explains it.
    Torn,
    /// An index does not agree with its segment; a node that notices makes it again.
    Index,
    /// A recovery found whole batches behind a torn one, and kept them out of the log.
    SetAside,
    /// The disk or the system refuses to read it.
    Unreadable,
}

impl Kind {
    pub const fn code(self) -> &'static str {
        match self {
            Self::Damage(kind) => kind.code(),
            Self::Torn => "LOG_TORN",
            Self::Index => "LOG_INDEX",
            Self::SetAside => "LOG_SET_ASIDE",
            Self::Unreadable => "LOG_UNREADABLE",
        }
    }

    /// What to do about it.
    pub const fn next_step(self) -> &'static str {
        match self {
            Self::Damage(DamageKind::Corrupt) => {
                "restore the file from a copy, or mirror the topic again; what stands around it can be read"
            }
            Self::Damage(DamageKind::Foreign) => {
                "move the file out of this directory and restore the right one; if it is of a newer layout, start a newer carrickd"
            }
            Self::Damage(DamageKind::Missing) => "restore the file from a copy, or mirror the topic again",
            Self::Damage(DamageKind::Stale) => {
                "restore the newest copy of the file, or mirror the topic again"
            }
            Self::Damage(DamageKind::Unwritten) => {
                "start carrickd once the disk is well: it writes again what may be lost"
            }
            Self::Torn => {
                "start carrickd: after a crash it cuts the log here; it refuses if what is gone had been durable"
            }
            Self::Index => "stop carrickd and remove the .idx file: it is made again",
            Self::SetAside => "look at it by carrick segment dump FILE; remove it when nobody needs it",
            Self::Unreadable => {
                "look for errors of the disk (dmesg), and whether you may read the file (ls -l)"
            }
        }
    }
}

/// A place that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub file: PathBuf,
    pub position: Option<u64>,
    /// From the first that is concerned to the last, both included; an end that is not known is None.
    pub offsets: Option<(Offset, Option<Offset>)>,
    pub what: String,
}
