//! DescribeGroups, ListGroups, DeleteGroups.

use bytes::Bytes;

use crate::Text;
use crate::table::api;

api! { DescribeGroups, versions 0-6, flexible 5;
    request DescribeGroupsRequest {
        groups: Vec<Text>, 0+;
        include_authorized_operations: bool, 3+;
    }

    response DescribeGroupsResponse {
        throttle_time_ms: i32, 1+;
        groups: Vec<DescribedGroup>, 0+;
    }

    structure DescribedGroup {
        error_code: i16, 0+;
        error_message: Option<Text>, 6+;
        group_id: Text, 0+;
        group_state: Text, 0+;
        protocol_type: Text, 0+;
        protocol_data: Text, 0+;
        members: Vec<DescribedGroupMember>, 0+;
        /// A bit set; `i32::MIN` if it was not asked for.
        authorized_operations: i32 = i32::MIN, 3+;
    }

    structure DescribedGroupMember {
        member_id: Text, 0+;
        group_instance_id: Option<Text>, 4+;
        client_id: Text, 0+;
        client_host: Text, 0+;
        member_metadata: Bytes, 0+;
        member_assignment: Bytes, 0+;
    }
}

api! { ListGroups, versions 0-5, flexible 3;
    request ListGroupsRequest {
        /// Empty for all.
        states_filter: Vec<Text>, 4+;
        /// Empty for all.
        types_filter: Vec<Text>, 5+;
    }

    response ListGroupsResponse {
        throttle_time_ms: i32, 1+;
        error_code: i16, 0+;
        groups: Vec<ListedGroup>, 0+;
    }

    structure ListedGroup {
        group_id: Text, 0+;
        protocol_type: Text, 0+;
        group_state: Text, 4+;
        group_type: Text, 5+;
    }
}

api! { DeleteGroups, versions 0-2, flexible 2;
    request DeleteGroupsRequest {
        groups_names: Vec<Text>, 0+;
    }

    response DeleteGroupsResponse {
        throttle_time_ms: i32, 0+;
        results: Vec<DeletableGroupResult>, 0+;
    }

    structure DeletableGroupResult {
        group_id: Text, 0+;
        error_code: i16, 0+;
    }
}
