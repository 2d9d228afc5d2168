//! The node's own record.
//!
//! | key | family | value |
//! |---|---|---|
//! | `node` | catalog | [`NodeRecord`] |

use carrick_types::{ClusterId, NodeId, ProducerId};
use serde::{Deserialize, Serialize};

use crate::value::Stored;

pub(crate) const KEY: &[u8] = b"node";

/// Who this node is, and what it must remember over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub cluster: ClusterId,
    pub node: NodeId,
    /// 31 random bits, drawn once: producer ids are `space << 32 | counter`, so that no two sites give the same.
    pub producer_space: u32,
    /// The first counter that no producer may have been given yet.
    pub producer_next: u32,
    /// Set by a clean end and cleared by the next start: only then were the logs' tails whole.
    pub clean: bool,
    /// Commits of this catalog so far; the last one included.
    pub commits: u64,
}

impl NodeRecord {
    /// The producer id of a counter.
    pub fn producer_id(&self, counter: u32) -> Option<ProducerId> {
        ProducerId::new(i64::from(self.producer_space & 0x7fff_ffff) << 32 | i64::from(counter))
    }
}

impl Stored for NodeRecord {
    const ENTITY: &'static str = "the node's record";
    const VERSION: u8 = 1;
}
