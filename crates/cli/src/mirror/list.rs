//! `carrick mirror list`

use carrick_proto::v1::{ListMirrorsRequest, MirrorInfo, MirrorPartition};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::node::{ask, refused};
use crate::output::{UNKNOWN, ago, columns};
use crate::{Global, say};

#[derive(Args)]
pub struct Arguments {
    /// Those of one link.
    #[arg(long)]
    link: Option<String>,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let request = ListMirrorsRequest { link: arguments.link.clone().unwrap_or_default() };
    let asked = ask(global, async |mut client| client.list_mirrors(request).await)?;
    let mirrors = asked.map_err(|e| refused(&e, "carrick link list"))?.mirrors;
    global.output.show(|| table(&mirrors), || json!(mirrors.iter().map(to_json).collect::<Vec<_>>()))?;
    if mirrors.is_empty() {
        say("there are no mirrors; to make one: carrick mirror create --link LINK TOPIC");
    }
    Ok(())
}

/// How far it was behind when its source was heard last: offsets, bytes at most, time.
fn lag(it: &MirrorPartition) -> String {
    match (it.lag_offsets, it.lag_bytes, it.lag_ms) {
        (Some(0), _, _) => "0".into(),
        (Some(offsets), Some(bytes), Some(ms)) => {
            let least = if it.lag_or_more { "≥ " } else { "" };
            format!("{offsets}, {bytes} B, {least}{ms} ms")
        }
        _ => UNKNOWN.into(),
    }
}

fn table(mirrors: &[MirrorInfo]) -> String {
    let names =
        ["TOPIC", "LINK", "STATE", "PARTITION", "LOG-START", "HIGH-WATERMARK", "LAG", "HEARD", "REASON"];
    let rows = mirrors.iter().flat_map(|mirror| {
        let MirrorInfo { topic, link, state, reason, partitions } = mirror;
        let row = move |numbers: [String; 5]| {
            let [partition, start, high, lag, heard] = numbers;
            let (topic, link, state) = (topic.clone(), link.clone(), state.clone());
            [topic, link, state, partition, start, high, lag, heard, reason.clone()]
        };
        let none = partitions.is_empty().then(|| row(["-"; 5].map(String::from)));
        let some = partitions.iter().map(move |it| {
            let (start, high) = (it.log_start.to_string(), it.high_watermark.to_string());
            row([it.partition.to_string(), start, high, lag(it), ago(it.heard_ms)])
        });
        none.into_iter().chain(some)
    });
    columns(names, rows)
}

fn to_json(it: &MirrorInfo) -> Value {
    let partitions = it.partitions.iter().map(|partition| {
        json!({
            "partition": partition.partition,
            "log_start": partition.log_start,
            "high_watermark": partition.high_watermark,
            "log_end": partition.log_end,
            "source_high_watermark": partition.source_high_watermark,
            "heard_ms": partition.heard_ms,
            "lag_offsets": partition.lag_offsets,
            "lag_bytes_max": partition.lag_bytes,
            "lag_ms": partition.lag_ms,
            "lag_or_more": partition.lag_or_more,
        })
    });
    json!({
        "topic": it.topic,
        "link": it.link,
        "state": it.state,
        "reason": it.reason,
        "partitions": partitions.collect::<Vec<_>>(),
    })
}
