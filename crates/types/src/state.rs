//! The states of a mirror, and which may follow which.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MirrorState {
    /// Decided, and not yet caught up with for the first time.
    Creating,
    Active,
    /// By an operator.
    Paused,
    /// The source cannot be heard.
    SourceUnavailable,
    /// Going on would not be exact; left by an operator alone.
    Failed,
    Promoting,
    FailingOver,
    /// Open for writing: no mirror any more.
    Stopped,
    Restoring,
}

impl MirrorState {
    pub const ALL: [Self; 9] = [
        Self::Creating,
        Self::Active,
        Self::Paused,
        Self::SourceUnavailable,
        Self::Failed,
        Self::Promoting,
        Self::FailingOver,
        Self::Stopped,
        Self::Restoring,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::SourceUnavailable => "SOURCE_UNAVAILABLE",
            Self::Failed => "FAILED",
            Self::Promoting => "PROMOTING",
            Self::FailingOver => "FAILING_OVER",
            Self::Stopped => "STOPPED",
            Self::Restoring => "RESTORING",
        }
    }

    /// Whether `next` may follow. A failover may start from everywhere but the end.
    pub fn may_become(self, next: Self) -> bool {
        use MirrorState::{
            Active, Creating, Failed, FailingOver, Paused, Promoting, Restoring, SourceUnavailable, Stopped,
        };
        match (self, next) {
            (Stopped, Restoring) => true,
            (Stopped, _) => false,
            (_, FailingOver) => self != FailingOver,
            (FailingOver, Stopped | Failed) => true,
            (FailingOver, _) => false,
            (Promoting, Stopped | Active | Failed) => true,
            (Promoting, _) => false,
            (Restoring, Active | Failed) => true,
            (Restoring, _) => false,
            (Creating, Active | SourceUnavailable | Failed | Paused) => true,
            (Active, Paused | SourceUnavailable | Failed | Promoting) => true,
            (Paused, Active | Failed) => true,
            (SourceUnavailable, Active | Creating | Failed | Paused) => true,
            (Failed, Active) => true,
            _ => false,
        }
    }
}

impl fmt::Display for MirrorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_may_start_from_every_state_but_the_end() {
        for state in MirrorState::ALL {
            let ended = matches!(state, MirrorState::Stopped | MirrorState::FailingOver);
            assert_eq!(state.may_become(MirrorState::FailingOver), !ended, "{state}");
        }
    }

    #[test]
    fn no_state_follows_itself_and_each_can_be_left() {
        for state in MirrorState::ALL {
            assert!(!state.may_become(state), "{state}");
            assert!(MirrorState::ALL.iter().any(|next| state.may_become(*next)), "{state}");
        }
    }
}
