use carrick_link::{Lag, LinkState, PartitionStatus};
use carrick_serve::Eyes as _;
use carrick_types::{Known, LinkId, MirrorState, Offset, TopicId};

use super::*;

fn link(name: &str, state: LinkState, heard: Known<Duration>) -> LinkStatus {
    LinkStatus {
        id: LinkId::from_bytes([1; 16]),
        name: name.into(),
        peer: "east:9590".into(),
        peer_cluster: None,
        state,
        reason: String::new(),
        heard,
    }
}

fn partition(n: u32, heard: Option<u64>, lag: Known<Lag>) -> PartitionStatus {
    let source_high =
        heard.map_or(Known::Unknown, |s| Known::Known((Offset::clamped(9), Duration::from_secs(s))));
    PartitionStatus { partition: Partition(n), offsets: None, source_high, lag }
}

fn sample() -> Sample {
    let lag = Known::Known(Lag { offsets: 4, bytes: 100, time: Duration::from_millis(1_500), or_more: true });
    let mirror = |name: &str, state, partitions| MirrorStatus {
        topic: TopicId::from_bytes([2; 16]),
        name: name.into(),
        link: "east".into(),
        state,
        code: String::new(),
        message: String::new(),
        partitions,
    };
    Sample {
        at: Instant::now(),
        topics: 2,
        partitions: 4,
        unsynced: 17,
        budget_free: 1,
        budget_total: 2,
        kafka_connections: 3,
        links: vec![
            link("east", LinkState::Connected, Known::Known(Duration::from_secs(2))),
            link("south", LinkState::Connecting, Known::Unknown),
        ],
        mirrors: vec![
            mirror(
                "a",
                MirrorState::Active,
                vec![partition(0, Some(2), lag), partition(1, None, Known::Unknown)],
            ),
            mirror("b", MirrorState::Failed, vec![partition(0, Some(0), Known::Known(Lag::default()))]),
        ],
        waiting: Vec::new(),
        damaged: Vec::new(),
    }
}

/// One test: a process has one recorder.
#[test]
fn what_is_not_known_is_not_said() {
    let eyes = Eyes::new(std::env::temp_dir(), Durability::Fsync).unwrap();
    assert_eq!((eyes.health(), eyes.ready()), (Ok(()), Err("starting".into())));
    let text = eyes.metrics.render(&eyes, None);
    assert!(text.contains("carrick_node_ready 0\n"), "{text}");
    for unknown in ["carrick_link", "carrick_mirror", "carrick_topics", "carrick_disk", "carrick_node_info"] {
        assert!(!text.lines().any(|line| line.starts_with(unknown)), "{unknown} in {text}");
    }

    eyes.look_at_disk();
    let text = eyes.metrics.render(&eyes, Some(&sample()));
    let has = |line: &str| text.lines().any(|it| it == line);
    for line in [
        "carrick_topics 2",
        "carrick_unsynced_bytes 17",
        "carrick_link_connected{link=\"east\"} 1",
        "carrick_link_connected{link=\"south\"} 0",
        "carrick_mirrors{link=\"east\",state=\"FAILED\"} 1",
        "carrick_mirrors{link=\"east\",state=\"PAUSED\"} 0",
        "carrick_mirror_lag_offsets{link=\"east\",topic=\"a\",partition=\"0\"} 4",
        "carrick_mirror_lag_seconds{link=\"east\",topic=\"a\",partition=\"0\"} 1.5",
        "carrick_mirror_lag_or_more{link=\"east\",topic=\"a\",partition=\"0\"} 1",
        "carrick_mirror_lag_unknown_partitions{link=\"east\"} 2",
    ] {
        assert!(has(line), "{line} in {text}");
    }
    let starts = |of: &str| text.lines().filter(|it| it.starts_with(of)).collect::<Vec<_>>();
    assert_eq!(starts("carrick_mirror_lag_offsets{").len(), 1, "neither of the unheard nor of the failed");
    assert_eq!(starts("carrick_mirror_lag_age_seconds{").len(), 1);
    let [heard] = starts("carrick_link_heard_age_seconds{")[..] else { panic!("{text}") };
    let age: f64 =
        heard.strip_prefix("carrick_link_heard_age_seconds{link=\"east\"} ").unwrap().parse().unwrap();
    assert!((2.0..30.0).contains(&age), "{heard}");
    assert_eq!(starts("carrick_disk_free_bytes ").len(), 1);

    // What was known is not said once it is not.
    let text = eyes.metrics.render(&eyes, None);
    assert!(!text.contains("carrick_link_connected{"), "{text}");
    eyes.stopping();
    assert_eq!(eyes.ready(), Err("stopping".into()));
}
