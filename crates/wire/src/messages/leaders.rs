//! What Produce and Fetch answers say of a partition that is led elsewhere (KIP-951).

use crate::Text;
use crate::table::structure;

structure! {
    LeaderIdAndEpoch {
        leader_id: i32 = -1, 0+;
        leader_epoch: i32 = -1, 0+;
    }
}

structure! {
    NodeEndpoint {
        node_id: i32, 0+;
        host: Text, 0+;
        port: i32, 0+;
        rack: Option<Text>, 0+;
    }
}
