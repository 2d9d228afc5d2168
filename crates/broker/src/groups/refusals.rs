//! What each request is answered when nothing can be said but an error.

use carrick_wire::{
    DeleteGroupsResponse, DescribeGroupsResponse, ErrorCode, HeartbeatResponse, JoinGroupResponse,
    LeaveGroupResponse, ListGroupsResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
    SyncGroupResponse, Text,
};

use super::told::Refusable;

/// Before version 7 a name must stand there.
pub(super) fn join(member: Text, code: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: code.code(),
        protocol_name: Some(Text::default()),
        member_id: member,
        ..Default::default()
    }
}

pub(super) fn sync(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: code.code(), ..Default::default() }
}

impl Refusable for JoinGroupResponse {
    fn refused(self, code: ErrorCode) -> Self {
        join(self.member_id, code)
    }
}

impl Refusable for SyncGroupResponse {
    fn refused(self, code: ErrorCode) -> Self {
        sync(code)
    }
}

impl Refusable for HeartbeatResponse {
    fn refused(self, code: ErrorCode) -> Self {
        Self { error_code: code.code(), ..self }
    }
}

impl Refusable for LeaveGroupResponse {
    fn refused(self, code: ErrorCode) -> Self {
        Self { error_code: code.code(), members: Vec::new(), ..self }
    }
}

impl Refusable for OffsetCommitResponse {
    fn refused(mut self, code: ErrorCode) -> Self {
        let partitions = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|partition| partition.error_code = code.code());
        self
    }
}

impl Refusable for OffsetFetchResponse {
    fn refused(mut self, code: ErrorCode) -> Self {
        self.error_code = code.code();
        self.topics.clear();
        for group in &mut self.groups {
            group.error_code = code.code();
            group.topics.clear();
        }
        self
    }
}

impl Refusable for OffsetDeleteResponse {
    fn refused(self, code: ErrorCode) -> Self {
        Self { error_code: code.code(), topics: Vec::new(), ..self }
    }
}

impl Refusable for ListGroupsResponse {
    fn refused(self, code: ErrorCode) -> Self {
        Self { error_code: code.code(), groups: Vec::new(), ..self }
    }
}

impl Refusable for DescribeGroupsResponse {
    fn refused(mut self, code: ErrorCode) -> Self {
        for group in &mut self.groups {
            group.error_code = code.code();
            group.members.clear();
        }
        self
    }
}

impl Refusable for DeleteGroupsResponse {
    fn refused(mut self, code: ErrorCode) -> Self {
        self.results.iter_mut().for_each(|result| result.error_code = code.code());
        self
    }
}
