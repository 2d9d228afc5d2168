//! Links and mirrors as operators are told of them.

use std::time::Duration;

use carrick_link::{LinkStatus, MirrorStatus, PartitionStatus};
use carrick_proto::v1;

pub fn millis(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

pub fn link_info(link: LinkStatus) -> v1::LinkInfo {
    v1::LinkInfo {
        name: link.name,
        link_id: link.id.to_string(),
        peer: link.peer,
        state: link.state.name().into(),
        reason: link.reason,
        peer_cluster_id: link.peer_cluster.map_or_else(String::new, |it| it.to_string()),
        heard_ms: link.heard.ok().map(millis),
    }
}

/// Code and words of a mirror's state.
pub(crate) fn reason(mirror: &MirrorStatus) -> String {
    match (mirror.code.is_empty(), mirror.message.is_empty()) {
        (true, _) => mirror.message.clone(),
        (false, true) => mirror.code.clone(),
        (false, false) => format!("{}: {}", mirror.code, mirror.message),
    }
}

pub fn mirror_info(mirror: MirrorStatus) -> v1::MirrorInfo {
    let reason = reason(&mirror);
    v1::MirrorInfo {
        topic: mirror.name,
        link: mirror.link,
        state: mirror.state.name().into(),
        reason,
        partitions: mirror.partitions.into_iter().map(partition_info).collect(),
    }
}

fn partition_info(it: PartitionStatus) -> v1::MirrorPartition {
    let offsets = it.offsets.unwrap_or_default();
    let heard = it.source_high.ok();
    v1::MirrorPartition {
        partition: it.partition.0,
        log_start: offsets.log_start.at().get(),
        high_watermark: offsets.high_watermark.at().get(),
        log_end: offsets.log_end.at().get(),
        source_high_watermark: heard.map(|(high, _)| high.get()),
        heard_ms: heard.map(|(_, age)| millis(age)),
        lag_offsets: it.lag.ok().map(|lag| lag.offsets),
        lag_bytes: it.lag.ok().map(|lag| lag.bytes),
        lag_ms: it.lag.ok().map(|lag| millis(lag.time)),
        lag_or_more: it.lag.ok().is_some_and(|lag| lag.or_more),
    }
}
