//! `carrick failover`: opens mirrors for writing without asking their source, and says what is lost.

use std::io::{self, BufRead as _, IsTerminal as _};

use carrick_proto::v1::{FailoverRequest, FailoverResponse, PartitionLoss, TopicLoss};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::mutation::{Begun, Mutation};
use crate::node::{ask, refused_mutation};
use crate::output::{UNKNOWN, ago, columns};
use crate::{Global, say};

#[derive(Args)]
pub struct Arguments {
    /// The link whose mirrors are opened.
    #[arg(long)]
    link: String,
    /// These topics; all of the link if none is named.
    topics: Vec<String>,
    /// Also mirrors that never caught up.
    #[arg(long)]
    accept_incomplete: bool,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    mutation: Mutation,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let begun = arguments.mutation.begin();
    if !begun.dry_run && !arguments.yes {
        confirm(global, arguments, begun)?;
    }
    let answer = request(global, arguments, begun)?;
    global.output.show(|| table(&answer), || to_json(&answer, begun))?;
    begun.end(answer.applied, &answer.undo);
    if answer.applied {
        say(&format!("open in {} ms; clients that are pointed here may write", answer.took_ms));
    }
    let refused = answer.topics.iter().filter(|it| it.outcome != "OPEN").count();
    if refused > 0 {
        let what = format!("{refused} of {} topics cannot be opened", answer.topics.len());
        return Err(Failure::new(what, format!("carrick mirror list --link {}", arguments.link)));
    }
    Ok(())
}

fn request(global: &Global, arguments: &Arguments, begun: Begun) -> Result<FailoverResponse, Failure> {
    let Arguments { link, topics, accept_incomplete, .. } = arguments;
    let request = FailoverRequest {
        mutation: begun.message(),
        link: link.clone(),
        topics: topics.clone(),
        accept_incomplete: *accept_incomplete,
    };
    let asked = ask(global, async |mut client| client.failover(request).await)?;
    asked.map_err(|e| {
        let mut again = format!("carrick failover --link {link} --yes");
        topics.iter().for_each(|topic| again.push_str(&format!(" {topic}")));
        refused_mutation(&e, begun, &again, &format!("carrick mirror list --link {link}"))
    })
}

/// Shows the plan, and asks whoever sits there.
fn confirm(global: &Global, arguments: &Arguments, begun: Begun) -> Result<(), Failure> {
    let plan = request(global, arguments, Begun { dry_run: true, ..begun })?;
    say(&table(&plan));
    let next = format!("carrick failover --link {} --yes", arguments.link);
    if !io::stdin().is_terminal() {
        return Err(Failure::misuse("nobody is there to be asked: say --yes", next));
    }
    let open = plan.topics.iter().filter(|it| it.outcome == "OPEN").count();
    say(&format!("open {open} topics here for writing? There is no way back but a failback. [y/N]"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new("nothing was done", next))
    }
}

fn unknown_or(number: Option<u64>, least: &str, unit: &str) -> String {
    number.map_or_else(|| UNKNOWN.into(), |it| format!("{least}{it}{unit}"))
}

fn table(answer: &FailoverResponse) -> String {
    let names = [
        "TOPIC",
        "OUTCOME",
        "PARTITION",
        "KEPT-TO",
        "LOST-OFFSETS",
        "LOST-BYTES",
        "LOST-TIME",
        "HEARD",
        "ABORTED",
        "MESSAGE",
    ];
    let rows = answer.topics.iter().flat_map(|topic| {
        let TopicLoss { topic: name, outcome, message, partitions, .. } = topic;
        let row = move |numbers: [String; 7]| {
            let [partition, kept, offsets, bytes, time, heard, aborted] = numbers;
            [
                name.clone(),
                outcome.clone(),
                partition,
                kept,
                offsets,
                bytes,
                time,
                heard,
                aborted,
                message.clone(),
            ]
        };
        let none = partitions.is_empty().then(|| row(["-"; 7].map(String::from)));
        let some = partitions.iter().map(move |it| {
            let PartitionLoss {
                partition,
                end_offset,
                lost_offsets,
                lost_bytes,
                lost_ms,
                heard_ms,
                open_transactions,
            } = *it;
            row([
                partition.to_string(),
                end_offset.to_string(),
                unknown_or(lost_offsets, "≥ ", ""),
                unknown_or(lost_bytes, "", ""),
                unknown_or(lost_ms, "", " ms"),
                ago(heard_ms),
                open_transactions.to_string(),
            ])
        });
        none.into_iter().chain(some)
    });
    columns(names, rows)
}

fn to_json(answer: &FailoverResponse, begun: Begun) -> Value {
    let topics = answer.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|it| {
            json!({
                "partition": it.partition,
                "end_offset": it.end_offset,
                "lost_offsets_min": it.lost_offsets,
                "lost_bytes_max": it.lost_bytes,
                "lost_ms": it.lost_ms,
                "heard_ms": it.heard_ms,
                "open_transactions": it.open_transactions,
            })
        });
        json!({
            "topic": topic.topic,
            "outcome": topic.outcome,
            "message": topic.message,
            "generation": topic.generation,
            "partitions": partitions.collect::<Vec<_>>(),
        })
    });
    json!({
        "request_id": begun.id.to_string(),
        "topics": topics.collect::<Vec<_>>(),
        "applied": answer.applied,
        "took_ms": answer.took_ms,
        "undo": answer.undo,
    })
}
