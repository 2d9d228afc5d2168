//! FindCoordinator, JoinGroup, Heartbeat, LeaveGroup, SyncGroup: membership of a classic group.

use bytes::Bytes;

use crate::Text;
use crate::table::api;

api! { FindCoordinator, versions 0-6, flexible 3;
    request FindCoordinatorRequest {
        key: Text, 0-3;
        /// 0: group; 1: transaction; 2: share.
        key_type: i8, 1+;
        coordinator_keys: Vec<Text>, 4+;
    }

    response FindCoordinatorResponse {
        throttle_time_ms: i32, 1+;
        error_code: i16, 0-3;
        error_message: Option<Text>, 1-3;
        node_id: i32, 0-3;
        host: Text, 0-3;
        port: i32, 0-3;
        coordinators: Vec<Coordinator>, 4+;
    }

    structure Coordinator {
        key: Text, 4+;
        node_id: i32, 4+;
        host: Text, 4+;
        port: i32, 4+;
        error_code: i16, 4+;
        error_message: Option<Text>, 4+;
    }
}

api! { JoinGroup, versions 0-9, flexible 6;
    request JoinGroupRequest {
        group_id: Text, 0+;
        session_timeout_ms: i32, 0+;
        /// −1: as `session_timeout_ms`.
        rebalance_timeout_ms: i32 = -1, 1+;
        /// Empty from a member that has none yet.
        member_id: Text, 0+;
        group_instance_id: Option<Text>, 5+;
        protocol_type: Text, 0+;
        /// By falling preference.
        protocols: Vec<JoinGroupRequestProtocol>, 0+;
        reason: Option<Text>, 8+;
    }

    structure JoinGroupRequestProtocol {
        name: Text, 0+;
        metadata: Bytes, 0+;
    }

    response JoinGroupResponse {
        throttle_time_ms: i32, 2+;
        error_code: i16, 0+;
        generation_id: i32 = -1, 0+;
        protocol_type: Option<Text>, 7+;
        protocol_name: Option<Text>, 0+, null 7+;
        leader: Text, 0+;
        skip_assignment: bool, 9+;
        member_id: Text, 0+;
        /// Empty but for the leader.
        members: Vec<JoinGroupResponseMember>, 0+;
    }

    structure JoinGroupResponseMember {
        member_id: Text, 0+;
        group_instance_id: Option<Text>, 5+;
        metadata: Bytes, 0+;
    }
}

api! { Heartbeat, versions 0-4, flexible 4;
    request HeartbeatRequest {
        group_id: Text, 0+;
        generation_id: i32, 0+;
        member_id: Text, 0+;
        group_instance_id: Option<Text>, 3+;
    }

    response HeartbeatResponse {
        throttle_time_ms: i32, 1+;
        error_code: i16, 0+;
    }
}

api! { LeaveGroup, versions 0-5, flexible 4;
    request LeaveGroupRequest {
        group_id: Text, 0+;
        member_id: Text, 0-2;
        members: Vec<MemberIdentity>, 3+;
    }

    structure MemberIdentity {
        member_id: Text, 3+;
        group_instance_id: Option<Text>, 3+;
        reason: Option<Text>, 5+;
    }

    response LeaveGroupResponse {
        throttle_time_ms: i32, 1+;
        error_code: i16, 0+;
        members: Vec<MemberResponse>, 3+;
    }

    structure MemberResponse {
        member_id: Text, 3+;
        group_instance_id: Option<Text>, 3+;
        error_code: i16, 3+;
    }
}

api! { SyncGroup, versions 0-5, flexible 4;
    request SyncGroupRequest {
        group_id: Text, 0+;
        generation_id: i32, 0+;
        member_id: Text, 0+;
        group_instance_id: Option<Text>, 3+;
        protocol_type: Option<Text>, 5+;
        protocol_name: Option<Text>, 5+;
        /// Empty but from the leader.
        assignments: Vec<SyncGroupRequestAssignment>, 0+;
    }

    structure SyncGroupRequestAssignment {
        member_id: Text, 0+;
        assignment: Bytes, 0+;
    }

    response SyncGroupResponse {
        throttle_time_ms: i32, 1+;
        error_code: i16, 0+;
        protocol_type: Option<Text>, 5+;
        protocol_name: Option<Text>, 5+;
        assignment: Bytes, 0+;
    }
}
