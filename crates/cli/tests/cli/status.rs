//! One screen, and an exit code for scripts.

use carrick_proto::v1::{
    Blocked, CertificateStatus, Damaged, DiskStatus, LagStatus, LinkInfo, LinkStatus, MirrorCount,
    NodeStatus, Observation, StatusResponse,
};

use crate::fake::Node;
use crate::{Said, carrick};

fn lone() -> StatusResponse {
    let node = NodeStatus {
        cluster_id: "c".into(),
        node_id: "n".into(),
        version: "0.1.0".into(),
        uptime_ms: 61_000,
        durability: "fsync".into(),
        clean: true,
        topics: 2,
        partitions: 5,
        kafka_connections: 1,
    };
    let disk = DiskStatus {
        data: "/data".into(),
        total_bytes: Some(4 << 30),
        free_bytes: Some(3 << 29),
        seen_ms: Some(1_200),
        unsynced_bytes: 512,
        halted: String::new(),
    };
    StatusResponse { node: Some(node), disk: Some(disk), ..Default::default() }
}

fn linked(state: &str) -> LinkStatus {
    LinkStatus {
        link: Some(LinkInfo {
            name: "west".into(),
            peer: "west.example:9590".into(),
            state: state.into(),
            heard_ms: Some(300),
            ..Default::default()
        }),
        mirrors: vec![MirrorCount { state: "ACTIVE".into(), mirrors: 2 }],
        worst: Some(LagStatus {
            offsets: 12,
            bytes: 2_048,
            ms: 1_500,
            ms_or_more: true,
            topic: "orders".into(),
            partition: 3,
            ..Default::default()
        }),
        partitions: 6,
        partitions_unknown: 1,
        oldest: Some(Observation { topic: "orders".into(), partition: 4, heard_ms: None }),
        ..Default::default()
    }
}

fn status(node: &Node, answer: StatusResponse, more: &[&str]) -> Said {
    *node.book.status.lock().unwrap() = answer;
    let path = node.path().display().to_string();
    carrick(&[&["status", "--node", &path], more].concat())
}

#[test]
fn a_lone_node_is_well() {
    let node = Node::new();
    let said = status(&node, lone(), &[]).done();
    assert_eq!(
        said.stdout,
        "node  n of cluster c, 0.1.0, up 1 min after a clean end, durability fsync, 2 topics, 5 partitions, 1 connections\n\
         disk  /data, 1.5 GiB free of 4.0 GiB (1.2 s ago), 512 B not durable\n\
         \nno links\n"
    );
}

#[test]
fn unknown_is_said_and_ages_are_shown() {
    let node = Node::new();
    let said = status(&node, StatusResponse { links: vec![linked("CONNECTED")], ..lone() }, &[]).done();
    let wanted = "\nLINK  PEER               STATE      HEARD      REASON\n\
                  west  west.example:9590  CONNECTED  0.3 s ago\n\
                  \nLINK  MIRRORS   WORST-LAG                                UNKNOWN  OLDEST-UNKNOWN\n\
                  west  2 ACTIVE  12 offsets, 2.0 KiB, ≥ 1.5 s (orders/3)  1 of 6   orders/4, never heard\n";
    assert!(said.stdout.ends_with(wanted), "{said:?}");
    let unknown = LinkStatus { worst: None, ..linked("CONNECTED") };
    let said = status(&node, StatusResponse { links: vec![unknown], ..lone() }, &[]).done();
    assert!(said.stdout.contains("2 ACTIVE  unknown"), "{said:?}");
}

#[test]
fn three_says_that_something_is_not_well() {
    let node = Node::new();
    let connecting = StatusResponse { links: vec![linked("CONNECTING")], ..lone() };
    assert_eq!(status(&node, connecting, &[]).code, 3);

    let failed = LinkStatus {
        mirrors: vec![MirrorCount { state: "FAILED".into(), mirrors: 12 }],
        blocked: vec![Blocked {
            topic: "orders".into(),
            state: "FAILED".into(),
            code: "GAP".into(),
            reason: "GAP: at 7".into(),
        }],
        blocked_more: 11,
        ..linked("CONNECTED")
    };
    let said = status(&node, StatusResponse { links: vec![failed], ..lone() }, &[]);
    assert_eq!(said.code, 3);
    let wanted = "\nBLOCKED      LINK  STATE   REASON\n\
                  orders       west  FAILED  GAP: at 7\n\
                  and 11 more  west\n";
    assert!(said.stdout.ends_with(wanted), "{said:?}");

    let mut halted = lone();
    halted.disk.as_mut().unwrap().halted = "no space".into();
    halted.certificates = vec![CertificateStatus { port: "link".into(), days_left: -2, stale: Some(true) }];
    let said = status(&node, halted, &["--output", "json"]);
    assert_eq!((said.code, said.json()["disk"]["halted"].as_str()), (3, Some("no space")));
    assert_eq!(said.json()["well"], false);

    let place = Damaged {
        topic: "orders".into(),
        partition: 3,
        code: "LOG_CORRUPT".into(),
        file: "00000000000000000000.seg".into(),
        position: 4096,
        what: "checksum".into(),
        offline: false,
    };
    let said = status(&node, StatusResponse { damaged: vec![place], ..lone() }, &[]);
    assert_eq!(said.code, 3);
    let wanted = "DAMAGED  PARTITION  CODE         FILE                      BYTE  WRITES  WHAT\n\
                  orders   3          LOG_CORRUPT  00000000000000000000.seg  4096  taken   checksum\n";
    assert!(said.stdout.contains(wanted), "{said:?}");

    let said = carrick(&["status", "--node", "/nowhere/at/all"]).failed(1);
    assert!(said.stdout.is_empty());
}
