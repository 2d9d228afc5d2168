//! `carrick status`: the node, its disk, its links and what holds them up, on one screen.

use std::process::ExitCode;

use carrick_proto::v1::{
    Blocked, CertificateStatus, Damaged, DiskStatus, LagStatus, LinkInfo, LinkStatus, NodeStatus,
    Observation, StatusRequest, StatusResponse,
};
use serde_json::{Value, json};

use crate::Global;
use crate::failure::Failure;
use crate::node::{ask, refused};
use crate::output::{UNKNOWN, ago, columns, duration, size};

/// All was answered, and not all is well.
const UNWELL: u8 = 3;

pub fn run(global: &Global) -> Result<ExitCode, Failure> {
    let asked = ask(global, async |mut client| client.status(StatusRequest {}).await)?;
    let status = asked.map_err(|e| refused(&e, "carrick node"))?;
    global.output.show(|| screen(&status), || to_json(&status))?;
    Ok(if well(&status) { ExitCode::SUCCESS } else { ExitCode::from(UNWELL) })
}

fn well(status: &StatusResponse) -> bool {
    let writes = status.disk.as_ref().is_some_and(|it| it.halted.is_empty());
    writes
        && status.damaged.is_empty()
        && status.links.iter().all(|it| {
            let connected = it.link.as_ref().is_some_and(|link| link.state == "CONNECTED");
            connected
                && it.mirrors.iter().all(|it| it.state != "FAILED")
                && it.blocked.iter().all(|it| it.code.is_empty())
        })
}

fn screen(status: &StatusResponse) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, what: String| facts.push([name.to_string(), what]);
    if let Some(node) = &status.node {
        fact("node", of_node(node));
    }
    if let Some(disk) = &status.disk {
        fact("disk", of_disk(disk));
        if !disk.halted.is_empty() {
            fact("HALTED", format!("nothing is acknowledged any more: {}", disk.halted));
        }
    }
    status.certificates.iter().for_each(|it| fact("certificate", certificate(it)));
    if !status.waiting_topics.is_empty() {
        let topics = status.waiting_topics.join(" ");
        let more = and_more(status.waiting_topics_more);
        fact("waiting", format!("{topics}{more}: no writes until their peers are heard"));
    }
    if status.seen_ms >= STALE_MS {
        fact("seen", format!("{}: the node does not get at newer numbers", ago(Some(status.seen_ms))));
    }
    let mut text = lines(facts);
    if !status.damaged.is_empty() {
        text.push('\n');
        let names = ["DAMAGED", "PARTITION", "CODE", "FILE", "BYTE", "WRITES", "WHAT"];
        text.push_str(&columns(names, status.damaged.iter().map(damaged)));
        text.push_str(&and_more(status.damaged_more));
    }
    if status.links.is_empty() {
        text.push_str("\nno links\n");
        return text;
    }
    text.push('\n');
    text.push_str(&columns(["LINK", "PEER", "STATE", "HEARD", "REASON"], status.links.iter().map(link)));
    text.push('\n');
    let names = ["LINK", "MIRRORS", "WORST-LAG", "UNKNOWN", "OLDEST-UNKNOWN"];
    text.push_str(&columns(names, status.links.iter().map(mirrors)));
    if status.links.iter().any(|it| !it.blocked.is_empty()) {
        text.push('\n');
        let rows = status.links.iter().flat_map(blocked);
        text.push_str(&columns(["BLOCKED", "LINK", "STATE", "REASON"], rows));
    }
    text
}

fn damaged(it: &Damaged) -> [String; 7] {
    let writes = if it.offline { "refused" } else { "taken" };
    let (partition, byte) = (it.partition.to_string(), it.position.to_string());
    [it.topic.clone(), partition, it.code.clone(), it.file.clone(), byte, writes.into(), it.what.clone()]
}

/// Old numbers are said to be old.
const STALE_MS: u64 = 2_000;

/// A name and words, without a head.
fn lines(facts: Vec<[String; 2]>) -> String {
    let all = columns(["", ""], facts);
    all.split_once('\n').map_or_else(String::new, |(_, rest)| rest.into())
}

fn and_more(more: u32) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

fn of_node(it: &NodeStatus) -> String {
    let NodeStatus { cluster_id, node_id, version, uptime_ms, durability, clean, .. } = it;
    let end = if *clean { "after a clean end" } else { "after an unclean end" };
    let up = duration(*uptime_ms);
    let holds =
        format!("{} topics, {} partitions, {} connections", it.topics, it.partitions, it.kafka_connections);
    format!("{node_id} of cluster {cluster_id}, {version}, up {up} {end}, durability {durability}, {holds}")
}

fn of_disk(it: &DiskStatus) -> String {
    let space = match (it.free_bytes, it.total_bytes) {
        (Some(free), Some(total)) => {
            format!("{} free of {} ({})", size(free), size(total), ago(it.seen_ms))
        }
        _ => format!("free space {UNKNOWN}"),
    };
    format!("{}, {space}, {} not durable", it.data, size(it.unsynced_bytes))
}

fn certificate(it: &CertificateStatus) -> String {
    let left = match it.days_left {
        days @ ..0 => format!("EXPIRED {} days ago", days.unsigned_abs()),
        days => format!("{days} days left"),
    };
    let stale = match it.stale {
        Some(true) => ", the files hold another one, which is not good",
        Some(false) => "",
        None => ", its files were not looked at yet",
    };
    format!("{}: {left}{stale}", it.port)
}

fn link(it: &LinkStatus) -> [String; 5] {
    let LinkInfo { name, peer, state, reason, heard_ms, .. } = it.link.clone().unwrap_or_default();
    [name, peer, state, ago(heard_ms), reason]
}

fn name_of(it: &LinkStatus) -> String {
    it.link.as_ref().map(|it| it.name.clone()).unwrap_or_default()
}

fn mirrors(it: &LinkStatus) -> [String; 5] {
    let counts: Vec<_> = it.mirrors.iter().map(|it| format!("{} {}", it.mirrors, it.state)).collect();
    let counts = if counts.is_empty() { "none".into() } else { counts.join(", ") };
    let lag = match (&it.worst, it.partitions) {
        (Some(worst), _) => lag(worst),
        (None, 0) => "-".into(),
        (None, _) => UNKNOWN.into(),
    };
    let oldest = it.oldest.as_ref().map_or_else(|| "-".into(), oldest);
    [name_of(it), counts, lag, format!("{} of {}", it.partitions_unknown, it.partitions), oldest]
}

fn lag(it: &LagStatus) -> String {
    let least = |more: bool| if more { "≥ " } else { "" };
    format!(
        "{} offsets, {}{}, {}{} ({}/{})",
        it.offsets,
        least(it.bytes_or_more),
        size(it.bytes),
        least(it.ms_or_more),
        duration(it.ms),
        it.topic,
        it.partition
    )
}

/// What happened since nobody here knows.
fn oldest(it: &Observation) -> String {
    let heard = it.heard_ms.map_or_else(|| "never heard".into(), |ms| format!("heard {}", ago(Some(ms))));
    format!("{}/{}, {heard}", it.topic, it.partition)
}

fn blocked(it: &LinkStatus) -> Vec<[String; 4]> {
    let row = |Blocked { topic, state, reason, .. }: &Blocked| {
        [topic.clone(), name_of(it), state.clone(), reason.clone()]
    };
    let mut rows: Vec<_> = it.blocked.iter().map(row).collect();
    if it.blocked_more > 0 {
        rows.push([and_more(it.blocked_more).trim().into(), name_of(it), String::new(), String::new()]);
    }
    rows
}

fn to_json(status: &StatusResponse) -> Value {
    let node = status.node.as_ref().map(|it| {
        json!({
            "cluster_id": it.cluster_id,
            "node_id": it.node_id,
            "version": it.version,
            "uptime_ms": it.uptime_ms,
            "durability": it.durability,
            "clean": it.clean,
            "topics": it.topics,
            "partitions": it.partitions,
            "kafka_connections": it.kafka_connections,
        })
    });
    let disk = status.disk.as_ref().map(|it| {
        json!({
            "data": it.data,
            "total_bytes": it.total_bytes,
            "free_bytes": it.free_bytes,
            "seen_ms": it.seen_ms,
            "unsynced_bytes": it.unsynced_bytes,
            "halted": (!it.halted.is_empty()).then_some(&it.halted),
        })
    });
    let certificates = status
        .certificates
        .iter()
        .map(|it| json!({ "port": it.port, "days_left": it.days_left, "stale": it.stale }));
    json!({
        "well": well(status),
        "seen_ms": status.seen_ms,
        "node": node,
        "disk": disk,
        "certificates": certificates.collect::<Vec<_>>(),
        "links": status.links.iter().map(link_to_json).collect::<Vec<_>>(),
        "waiting_topics": status.waiting_topics,
        "waiting_topics_more": status.waiting_topics_more,
        "damaged": status.damaged.iter().map(damaged_to_json).collect::<Vec<_>>(),
        "damaged_more": status.damaged_more,
    })
}

fn damaged_to_json(it: &Damaged) -> Value {
    json!({
        "topic": it.topic,
        "partition": it.partition,
        "code": it.code,
        "file": it.file,
        "position": it.position,
        "what": it.what,
        "offline": it.offline,
    })
}

fn link_to_json(it: &LinkStatus) -> Value {
    let worst = it.worst.as_ref().map(|it| {
        json!({
            "offsets": it.offsets,
            "bytes": it.bytes,
            "bytes_or_more": it.bytes_or_more,
            "ms": it.ms,
            "ms_or_more": it.ms_or_more,
            "topic": it.topic,
            "partition": it.partition,
        })
    });
    let oldest = it
        .oldest
        .as_ref()
        .map(|it| json!({ "topic": it.topic, "partition": it.partition, "heard_ms": it.heard_ms }));
    let counts = it.mirrors.iter().map(|it| (it.state.clone(), json!(it.mirrors)));
    let blocked = it
        .blocked
        .iter()
        .map(|it| json!({ "topic": it.topic, "state": it.state, "code": it.code, "reason": it.reason }));
    json!({
        "link": it.link.as_ref().map(crate::link::to_json),
        "mirrors": counts.collect::<serde_json::Map<_, _>>(),
        "worst_lag": worst,
        "partitions": it.partitions,
        "partitions_unknown": it.partitions_unknown,
        "oldest_unknown": oldest,
        "blocked": blocked.collect::<Vec<_>>(),
        "blocked_more": it.blocked_more,
    })
}
