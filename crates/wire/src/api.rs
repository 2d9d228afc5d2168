//! The APIs that are spoken: their keys, their versions, and one enum each of requests and responses.

use bytes::Bytes;

use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::failure::{DecodeError, EncodeError};
use crate::message::Message;
use crate::messages::*;
use crate::schema::Kind;
use crate::wire::Wire;

/// A key that is none of [`ApiKey`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("api key {0} is unknown")]
pub struct UnknownApiKey(pub i16);

/// The versions of an API that are decoded and encoded, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiRange {
    pub key: ApiKey,
    pub min: i16,
    pub max: i16,
}

impl ApiRange {
    /// What to tell clients. Produce is told from 0, as Kafka does (KAFKA-18659), and never served below 3: librdkafka
    /// before 2025 otherwise turns gzip, snappy and lz4 off without a word.
    #[must_use]
    pub const fn advertised(self) -> Self {
        match self.key {
            ApiKey::Produce => Self { min: 0, ..self },
            _ => self,
        }
    }

    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

macro_rules! apis {
    ($($key:ident = $code:literal: $request:ident, $response:ident;)*) => {
        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey { $( $key = $code, )* }

        impl ApiKey {
            /// Every API spoken, by rising key.
            pub const ALL: &[Self] = &[ $( Self::$key, )* ];

            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$key => stringify!($key), )* }
            }

            /// What decoding accepts.
            #[must_use]
            pub const fn range(self) -> ApiRange {
                match self {
                    $( Self::$key => ApiRange { key: self, min: $request::MIN, max: $request::MAX }, )*
                }
            }

            #[must_use]
            pub const fn is_flexible(self, version: i16) -> bool {
                match self { $( Self::$key => version >= $request::FLEXIBLE_FROM, )* }
            }

            #[must_use]
            pub const fn request_schema(self) -> Kind {
                match self { $( Self::$key => $request::KIND, )* }
            }

            #[must_use]
            pub const fn response_schema(self) -> Kind {
                match self { $( Self::$key => $response::KIND, )* }
            }
        }

        impl TryFrom<i16> for ApiKey {
            type Error = UnknownApiKey;

            fn try_from(code: i16) -> Result<Self, UnknownApiKey> {
                match code {
                    $( $code => Ok(Self::$key), )*
                    _ => Err(UnknownApiKey(code)),
                }
            }
        }

        bodies! { "A request's body." Request { $($key($request),)* } }
        bodies! { "A response's body." Response { $($key($response),)* } }
    };
}

macro_rules! bodies {
    ($doc:literal $name:ident { $($key:ident($body:ident),)* }) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name { $( $key($body), )* }

        impl $name {
            #[must_use]
            pub const fn key(&self) -> ApiKey {
                match self { $( Self::$key(_) => ApiKey::$key, )* }
            }

            /// Reads a whole body, without any header; bytes after it are refused.
            pub fn decode(key: ApiKey, version: i16, body: Bytes) -> Result<Self, DecodeError> {
                let mut d = Decoder::new(body);
                let body = Self::read(key, version, &mut d)?;
                d.finish()?;
                Ok(body)
            }

            pub(crate) fn read(key: ApiKey, version: i16, d: &mut Decoder) -> Result<Self, DecodeError> {
                match key { $( ApiKey::$key => $body::decode(d, version).map(Self::$key), )* }
            }

            pub(crate) fn write(&self, version: i16, e: &mut Encoder) -> Result<(), EncodeError> {
                match self { $( Self::$key(body) => body.encode(e, version), )* }
            }
        }

        $( impl From<$body> for $name {
            fn from(body: $body) -> Self {
                Self::$key(body)
            }
        } )*
    };
}

apis! {
    Produce = 0: ProduceRequest, ProduceResponse;
    Fetch = 1: FetchRequest, FetchResponse;
    ListOffsets = 2: ListOffsetsRequest, ListOffsetsResponse;
    Metadata = 3: MetadataRequest, MetadataResponse;
    OffsetCommit = 8: OffsetCommitRequest, OffsetCommitResponse;
    OffsetFetch = 9: OffsetFetchRequest, OffsetFetchResponse;
    FindCoordinator = 10: FindCoordinatorRequest, FindCoordinatorResponse;
    JoinGroup = 11: JoinGroupRequest, JoinGroupResponse;
    Heartbeat = 12: HeartbeatRequest, HeartbeatResponse;
    LeaveGroup = 13: LeaveGroupRequest, LeaveGroupResponse;
    SyncGroup = 14: SyncGroupRequest, SyncGroupResponse;
    DescribeGroups = 15: DescribeGroupsRequest, DescribeGroupsResponse;
    ListGroups = 16: ListGroupsRequest, ListGroupsResponse;
    SaslHandshake = 17: SaslHandshakeRequest, SaslHandshakeResponse;
    ApiVersions = 18: ApiVersionsRequest, ApiVersionsResponse;
    CreateTopics = 19: CreateTopicsRequest, CreateTopicsResponse;
    DeleteTopics = 20: DeleteTopicsRequest, DeleteTopicsResponse;
    DeleteRecords = 21: DeleteRecordsRequest, DeleteRecordsResponse;
    InitProducerId = 22: InitProducerIdRequest, InitProducerIdResponse;
    OffsetForLeaderEpoch = 23: OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
    WriteTxnMarkers = 27: WriteTxnMarkersRequest, WriteTxnMarkersResponse;
    DescribeConfigs = 32: DescribeConfigsRequest, DescribeConfigsResponse;
    AlterConfigs = 33: AlterConfigsRequest, AlterConfigsResponse;
    SaslAuthenticate = 36: SaslAuthenticateRequest, SaslAuthenticateResponse;
    CreatePartitions = 37: CreatePartitionsRequest, CreatePartitionsResponse;
    DeleteGroups = 42: DeleteGroupsRequest, DeleteGroupsResponse;
    IncrementalAlterConfigs = 44: IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
    OffsetDelete = 47: OffsetDeleteRequest, OffsetDeleteResponse;
    DescribeCluster = 60: DescribeClusterRequest, DescribeClusterResponse;
    DescribeProducers = 61: DescribeProducersRequest, DescribeProducersResponse;
    DescribeTopicPartitions = 75: DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
}

impl ApiKey {
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
