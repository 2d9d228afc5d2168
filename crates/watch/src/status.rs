//! `Admin.Status`: a node on one screen.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use carrick_link::{LinkStatus, MirrorStatus};
use carrick_log::Damage;
use carrick_proto::v1;
use carrick_types::MirrorState;

use crate::eyes::{Eyes, Sample};
use crate::lag;
use crate::metrics::durability;
use crate::told::{link_info, millis, reason};

/// Of one list.
const LISTED_MAX: usize = 10;

pub async fn status(eyes: &Eyes) -> v1::StatusResponse {
    let sample = eyes.sample().await;
    let sample = sample.as_deref();
    let (waiting, more) = cut(sample.map_or_else(Vec::new, |it| it.waiting.clone()));
    let (damaged, damaged_more) =
        cut(sample.map_or_else(Vec::new, |it| it.damaged.iter().map(damaged).collect()));
    v1::StatusResponse {
        node: Some(node(eyes, sample)),
        disk: Some(disk(eyes, sample)),
        certificates: certificates(eyes),
        links: sample.map_or_else(Vec::new, |it| it.links.iter().map(|link| of_link(it, link)).collect()),
        waiting_topics: waiting,
        waiting_topics_more: more,
        seen_ms: sample.map_or(0, |it| millis(it.now(Duration::ZERO))),
        damaged,
        damaged_more,
    }
}

fn damaged((topic, it, offline): &(String, Damage, bool)) -> v1::Damaged {
    v1::Damaged {
        topic: topic.clone(),
        partition: it.partition.0,
        code: it.kind.code().into(),
        file: it.file.clone(),
        position: it.position,
        what: it.what.clone(),
        offline: *offline,
    }
}

/// The first ones, and how many were left off.
fn cut<T>(mut list: Vec<T>) -> (Vec<T>, u32) {
    let more = list.len().saturating_sub(LISTED_MAX);
    list.truncate(LISTED_MAX);
    (list, count(more))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn node(eyes: &Eyes, sample: Option<&Sample>) -> v1::NodeStatus {
    let node = *eyes.node.lock();
    v1::NodeStatus {
        cluster_id: node.map(|(it, _)| it.cluster.to_string()).unwrap_or_default(),
        node_id: node.map(|(it, _)| it.node.to_string()).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_ms: millis(eyes.uptime()),
        durability: durability(eyes.durability).into(),
        clean: node.is_some_and(|(_, clean)| clean),
        topics: sample.map_or(0, |it| count(it.topics)),
        partitions: sample.map_or(0, |it| count(it.partitions)),
        kafka_connections: sample.map_or(0, |it| count(it.kafka_connections)),
    }
}

fn disk(eyes: &Eyes, sample: Option<&Sample>) -> v1::DiskStatus {
    let seen = eyes.disk();
    let space = seen.as_ref().and_then(|it| it.space);
    v1::DiskStatus {
        data: eyes.data.display().to_string(),
        total_bytes: space.map(|(total, _)| total),
        free_bytes: space.map(|(_, free)| free),
        seen_ms: seen.map(|it| millis(it.at.elapsed())),
        unsynced_bytes: sample.map_or(0, |it| it.unsynced),
        halted: eyes.halted().unwrap_or_default(),
    }
}

fn certificates(eyes: &Eyes) -> Vec<v1::CertificateStatus> {
    let seen = eyes.disk().map(|it| it.stale).unwrap_or_default();
    let stale = |port: &str| seen.iter().find(|(name, _)| name == port).map(|(_, stale)| *stale);
    let ports = eyes.ports().into_iter().filter_map(|port| {
        let days_left = port.tls?.days_to_expiry();
        Some(v1::CertificateStatus { days_left, stale: stale(&port.name), port: port.name })
    });
    ports.collect()
}

fn of_link(sample: &Sample, link: &LinkStatus) -> v1::LinkStatus {
    let mirrors: Vec<_> = sample.mirrors.iter().filter(|it| it.link == link.name).collect();
    let mut states = BTreeMap::<MirrorState, usize>::new();
    for mirror in &mirrors {
        *states.entry(mirror.state).or_default() += 1;
    }
    let partitions = || {
        let all = mirrors.iter().filter(|it| it.state != MirrorState::Stopped);
        all.flat_map(|mirror| mirror.partitions.iter().map(move |it| (*mirror, it)))
    };
    let unknown = partitions().filter(|(mirror, it)| lag::known(mirror.state, it).is_none());
    let blocked = mirrors.iter().filter_map(|mirror| blocked(mirror)).collect();
    let (blocked, blocked_more) = cut(blocked);
    v1::LinkStatus {
        link: Some(link_info(LinkStatus { heard: link.heard.map(|it| sample.now(it)), ..link.clone() })),
        mirrors: states
            .iter()
            .map(|(state, n)| v1::MirrorCount { state: state.name().into(), mirrors: count(*n) })
            .collect(),
        worst: worst(&mirrors),
        partitions: count(partitions().count()),
        partitions_unknown: count(unknown.count()),
        oldest: oldest(sample, &mirrors),
        blocked,
        blocked_more,
    }
}

/// The greatest of each; a bound beats the same number without one.
fn worst(mirrors: &[&MirrorStatus]) -> Option<v1::LagStatus> {
    let mut worst = None::<v1::LagStatus>;
    for mirror in mirrors {
        for it in &mirror.partitions {
            let Some(lag) = lag::known(mirror.state, it) else { continue };
            let ms = millis(lag.time);
            let was = worst.get_or_insert_with(|| v1::LagStatus {
                topic: mirror.name.clone(),
                partition: it.partition.0,
                ..Default::default()
            });
            was.offsets = was.offsets.max(lag.offsets);
            was.bytes = was.bytes.max(lag.bytes);
            was.bytes_or_more |= lag.bytes_or_more;
            if (ms, lag.time_or_more) > (was.ms, was.ms_or_more) {
                (was.topic, was.partition) = (mirror.name.clone(), it.partition.0);
                was.ms = ms;
            }
            was.ms_or_more |= lag.time_or_more;
        }
    }
    worst
}

/// Never heard comes before all ages.
fn oldest(sample: &Sample, mirrors: &[&MirrorStatus]) -> Option<v1::Observation> {
    let spoken_of = mirrors.iter().filter(|it| lag::spoken_of(it.state));
    let all = spoken_of.flat_map(|mirror| mirror.partitions.iter().map(move |it| (*mirror, it)));
    let age =
        |(_, it): &(&MirrorStatus, &carrick_link::PartitionStatus)| it.source_high.ok().map(|(_, age)| age);
    // None is the least of all, and the first of equals is named.
    let (mirror, it) = all.min_by_key(|found| age(found).map(Reverse))?;
    let heard_ms = age(&(mirror, it)).map(|age| millis(sample.now(age)));
    Some(v1::Observation { topic: mirror.name.clone(), partition: it.partition.0, heard_ms })
}

/// None for a mirror that follows, or that is none any more.
fn blocked(mirror: &MirrorStatus) -> Option<v1::Blocked> {
    let meaning = match mirror.state {
        MirrorState::Stopped => return None,
        MirrorState::Active if mirror.code.is_empty() => return None,
        MirrorState::Active => "a partition of it waits",
        MirrorState::Creating => "it has not caught up for the first time",
        MirrorState::Paused => "by an operator",
        MirrorState::SourceUnavailable => "its source is not heard",
        MirrorState::Failed => "going on would not be exact",
        MirrorState::Promoting | MirrorState::FailingOver => "it is being opened",
        MirrorState::Restoring => "it is being restored",
    };
    let said = reason(mirror);
    Some(v1::Blocked {
        topic: mirror.name.clone(),
        state: mirror.state.name().into(),
        code: mirror.code.clone(),
        reason: if said.is_empty() { meaning.into() } else { said },
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use carrick_types::{Known, Offset, Partition, TopicId};

    use super::*;

    fn mirror(name: &str, state: MirrorState, heard: &[Option<u64>]) -> MirrorStatus {
        let partitions = heard.iter().zip(0..).map(|(heard, n)| carrick_link::PartitionStatus {
            partition: Partition(n),
            offsets: None,
            source_high: heard
                .map_or(Known::Unknown, |s| Known::Known((Offset::clamped(9), Duration::from_secs(s)))),
            lag: heard.map_or(Known::Unknown, |s| {
                let (offsets, time) = (s, Duration::from_secs(s));
                Known::Known(carrick_link::Lag { offsets, bytes: 7, time, or_more: s == 4 })
            }),
        });
        MirrorStatus {
            topic: TopicId::from_bytes([1; 16]),
            name: name.into(),
            link: "l".into(),
            state,
            code: String::new(),
            message: String::new(),
            partitions: partitions.collect(),
        }
    }

    #[test]
    fn never_heard_is_older_than_all_and_no_lag() {
        let sample = Sample {
            at: Instant::now(),
            topics: 0,
            partitions: 0,
            unsynced: 0,
            budget_free: 0,
            budget_total: 0,
            kafka_connections: 0,
            links: Vec::new(),
            mirrors: Vec::new(),
            waiting: Vec::new(),
            damaged: Vec::new(),
        };
        let (a, b) = (
            mirror("a", MirrorState::Active, &[Some(3), Some(4)]),
            mirror("b", MirrorState::Active, &[Some(1), None]),
        );
        let found = oldest(&sample, &[&a, &b]).unwrap();
        assert_eq!((&*found.topic, found.partition, found.heard_ms), ("b", 1, None));
        let found = oldest(&sample, &[&a]).unwrap();
        assert!(found.partition == 1 && found.heard_ms >= Some(4_000), "{found:?}");

        let worst = worst(&[&a, &b]).unwrap();
        assert_eq!((worst.offsets, worst.ms, worst.ms_or_more, worst.partition), (4, 4_000, true, 1));
        let failed = mirror("c", MirrorState::Failed, &[Some(0)]);
        assert_eq!(super::worst(&[&failed]), None, "nobody speaks of it");
        assert!(blocked(&failed).is_some() && blocked(&a).is_none());
    }
}
