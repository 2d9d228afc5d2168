use super::*;

fn event(what: What) -> Event {
    Event { at: Timestamp(7), who: "test".into(), what }
}

fn definition(n: u8) -> MirrorDefinition {
    MirrorDefinition {
        topic: TopicId::from_bytes([n; 16]),
        name: format!("topic-{n}").parse().unwrap(),
        source_topic: TopicId::from_bytes([n + 100; 16]),
        lineage: LineageId::from_bytes([n; 16]),
        partitions: 3,
        configs: BTreeMap::from([("retention.ms".into(), "1".into())]),
        epoch: LeaderEpoch::FIRST,
    }
}

fn history() -> Vec<Event> {
    let topic = definition(1).topic;
    let moved = |to| What::MirrorsMoved { topics: vec![topic], to, code: "C".into(), message: "why".into() };
    vec![
        event(What::LinkCreated {
            request: [1; 16],
            name: "l".into(),
            peer: "h:1".into(),
            connections: 4,
            groups: "*".into(),
        }),
        event(What::PeerLearnt { cluster: ClusterId::from_bytes([9; 16]) }),
        event(What::MirrorsCreated { request: [2; 16], mirrors: vec![definition(1), definition(2)] }),
        event(moved(MirrorState::Active)),
        event(moved(MirrorState::Failed)),
        event(What::FailedOver {
            request: [4; 16],
            mirrors: vec![Opening {
                topic,
                epoch: LeaderEpoch::new(65_536).unwrap(),
                partitions: vec![OpeningPartition {
                    end: Offset::clamped(9),
                    lost_offsets: Some(3),
                    lost_bytes: None,
                    lost_ms: Some(70),
                    heard_ms: None,
                    open_transactions: 1,
                }],
            }],
        }),
        event(What::GroupWentBack {
            group: "g".into(),
            topic: definition(1).name,
            partition: Partition(2),
            from: Offset::clamped(9),
            to: Offset::clamped(4),
        }),
    ]
}

#[test]
fn events_fold_to_what_they_say() {
    let stored: Vec<_> = history().iter().map(|it| it.encode().unwrap()).collect();
    let view = LinkView::fold(LinkId::from_bytes([5; 16]), &stored).unwrap();
    assert_eq!((view.name.as_str(), view.peer.as_str(), view.connections, view.events), ("l", "h:1", 4, 7));
    assert_eq!(view.peer_cluster, Some(ClusterId::from_bytes([9; 16])));
    let states: Vec<_> = view.mirrors.values().map(|it| it.state).collect();
    assert_eq!(states, [MirrorState::FailingOver, MirrorState::Creating]);
    assert_eq!(view.request(&[2; 16]).unwrap().len(), 2);
    assert_eq!(view.request(&[3; 16]), None);
}

/// One stored event of each kind, as the first version wrote them.
#[test]
fn the_stored_form_of_version_1_stays_readable() {
    let hex: Vec<String> = history()
        .iter()
        .map(|it| it.encode().unwrap().iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let golden = include_str!("golden-1.txt");
    assert_eq!(hex.join("\n"), golden.trim_end());
}

#[test]
fn a_cut_or_newer_event_is_refused() {
    let stored = history()[2].encode().unwrap();
    for len in 0..stored.len() {
        assert!(Event::decode(&stored[..len]).is_err(), "{len}");
    }
    let mut newer = stored;
    newer[0] = 2;
    assert_eq!(Event::decode(&newer), Err(EventError::Newer { found: 2 }));
}

#[test]
fn the_oldest_requests_are_forgotten() {
    let mut view = LinkView::empty(LinkId::ZERO);
    for n in 0..1_010u128 {
        view.apply(&event(What::MirrorsCreated { request: n.to_be_bytes(), mirrors: Vec::new() }));
    }
    assert!(view.request(&0u128.to_be_bytes()).is_none());
    assert!(view.request(&1_009u128.to_be_bytes()).is_some());
}
