//! What is spoken, as a list: a change here is a change of what clients see.

use carrick_wire::ApiKey;
use carrick_wire::schema::{Field, Kind};

const RANGES: &str = "\
0 Produce 0-13, served 3-13
1 Fetch 4-18
2 ListOffsets 1-10
3 Metadata 0-13
8 OffsetCommit 2-9
9 OffsetFetch 1-9
10 FindCoordinator 0-6
11 JoinGroup 0-9
12 Heartbeat 0-4
13 LeaveGroup 0-5
14 SyncGroup 0-5
15 DescribeGroups 0-6
16 ListGroups 0-5
17 SaslHandshake 0-1
18 ApiVersions 0-4
19 CreateTopics 2-7
20 DeleteTopics 1-6
21 DeleteRecords 0-2
22 InitProducerId 0-5
23 OffsetForLeaderEpoch 2-4
27 WriteTxnMarkers 1-1
32 DescribeConfigs 1-4
33 AlterConfigs 0-2
36 SaslAuthenticate 0-2
37 CreatePartitions 0-3
42 DeleteGroups 0-2
44 IncrementalAlterConfigs 0-1
47 OffsetDelete 0-0
60 DescribeCluster 0-2
61 DescribeProducers 0-0
75 DescribeTopicPartitions 0-0
";

#[test]
fn what_clients_are_told_is_this_list() {
    let told: String = ApiKey::ALL
        .iter()
        .map(|key| {
            let (served, told) = (key.range(), key.range().advertised());
            let served = if served == told {
                String::new()
            } else {
                format!(", served {}-{}", served.min, served.max)
            };
            format!("{} {key} {}-{}{served}\n", key.code(), told.min, told.max)
        })
        .collect();
    assert_eq!(told, RANGES, "\n{told}");
}

#[test]
fn ranges_are_the_oracles() {
    for key in ApiKey::ALL {
        let theirs = kafka_protocol::messages::ApiKey::try_from(key.code()).expect("known").valid_versions();
        // Kafka 4.1 has these at one version more, but only for its own development.
        let unstable = matches!(key, ApiKey::InitProducerId | ApiKey::OffsetCommit | ApiKey::OffsetFetch);
        let max = key.range().max + i16::from(unstable);
        assert_eq!((key.range().min, max), (theirs.min, theirs.max), "{key}");
    }
}

#[test]
fn keys_are_found_by_their_numbers_and_rise() {
    assert!(ApiKey::ALL.is_sorted_by(|one, other| one.code() < other.code()));
    for &key in ApiKey::ALL {
        assert_eq!(ApiKey::try_from(key.code()), Ok(key));
    }
    // ControlledShutdown, a share group's heartbeat, nothing, nothing.
    for code in [7, 76, -1, i16::MAX] {
        assert!(ApiKey::try_from(code).is_err());
    }
}

#[test]
fn the_tables_keep_the_rules_of_their_language() {
    fn check(kind: &Kind) {
        match kind {
            Kind::Struct(fields) => {
                let tags: Vec<u32> = fields.iter().filter_map(|field| field.tag).collect();
                assert!(tags.is_sorted_by(|one, other| one < other), "tags rise: {fields:?}");
                assert!(tags.len() < 128);
                fields.iter().for_each(check_field);
            }
            Kind::Array { of, .. } => check(of),
            Kind::Nullable(kind) => {
                assert!(!matches!(kind, Kind::Nullable(_)));
                check(kind);
            }
            _ => {}
        }
    }

    fn check_field(field: &Field) {
        assert!(field.versions.min <= field.versions.max, "{field:?}");
        check(&field.kind);
    }

    for key in ApiKey::ALL {
        check(&key.request_schema());
        check(&key.response_schema());
    }
}
