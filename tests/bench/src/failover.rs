//! B15: the source is dead, and its mirrors are opened: until the first write is accepted.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::json;

use crate::bench::Bench;
use crate::equal;
use crate::kafka::Kafka;
use crate::load::Batches;
use crate::samples::Samples;
use crate::site::{Durability, LINK, until};
use crate::table::{Mark, Metric, Report};

/// Topics of one partition.
const TOPICS: [usize; 3] = [1, 100, 1_000];
/// Of the last, the mark is for.
const SECONDS: f64 = 1.0;
const RECORDS: usize = 10;
const UNDER_WAY_MAX: i32 = 5;
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds from the command.
struct Opened {
    first_write: f64,
    command: f64,
    all_writes: f64,
}

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for topics in TOPICS {
        let [mut first, mut ended, mut all] = [(); 3].map(|()| Samples::default());
        for _ in 0..bench.repeat {
            let Opened { first_write, command, all_writes } = failover(bench, topics)?;
            bench.say(&format!("{topics} mirrors: first write {first_write:.3} s, all {all_writes:.3} s"));
            first.add(first_write);
            ended.add(command);
            all.add(all_writes);
            report.runs.push(json!({
                "mirrors": topics,
                "first_write_seconds": first_write,
                "command_seconds": command,
                "write_to_each_seconds": all_writes,
            }));
        }
        let metric = |what, samples| Metric::new(format!("failover of {topics}: {what}"), "s", samples);
        report.metrics.push(
            metric("command to the first write", &first)
                .marked(Mark::AtMost(SECONDS))
                .no_go(Mark::AtMost(10.0)),
        );
        report.metrics.push(metric("command to its end", &ended));
        report.metrics.push(metric("command to a write to each", &all));
    }
    Ok(report)
}

fn failover(bench: &Bench, topics: usize) -> anyhow::Result<Opened> {
    let (mut east, mut west) =
        (bench.site("east", Durability::Fsync)?, bench.site("west", Durability::Fsync)?);
    let (source, destination) = (east.start()?, west.start()?);
    let names: Vec<String> = (0..topics).map(|it| format!("orders-{it:04}")).collect();
    let mut there = Kafka::dial(&east.kafka())?;
    there.create(&names, 1)?;
    write_each(&mut there, &names)?;
    west.link(&east)?;
    west.mirror(&["orders-*"])?;
    until("the mirrors have all", || {
        let mirrors = west.carrick(&["mirror", "list", "--link", LINK])?;
        let mirrors = mirrors.as_array().map(Vec::as_slice).unwrap_or_default();
        let whole = |it: &&serde_json::Value| {
            it["state"] == "ACTIVE" && it["partitions"][0]["high_watermark"] == RECORDS
        };
        Ok(mirrors.iter().filter(whole).count() == topics)
    })?;
    drop(source);
    ensure!(
        equal::digests(&east.data())? == equal::digests(&west.data())?,
        "the mirrors differ from their source: a wrong copy is no result"
    );

    let begun = Instant::now();
    let address = west.kafka();
    let last = names.last().cloned().unwrap_or_default();
    let writing = thread::spawn(move || first_write(&address, &last, begun));
    west.carrick(&["failover", "--link", LINK, "--yes"])?;
    let command = begun.elapsed().as_secs_f64();
    let first_write = writing.join().map_err(|_| anyhow::anyhow!("the writer ended early"))??;
    write_each(&mut Kafka::dial(&west.kafka())?, &names)?;
    let all_writes = begun.elapsed().as_secs_f64();
    drop(destination);
    bench.clear()?;
    Ok(Opened { first_write, command, all_writes })
}

/// A producer that does not give up.
fn first_write(address: &str, topic: &str, begun: Instant) -> anyhow::Result<f64> {
    let mut kafka = Kafka::dial(address)?;
    let mut batches = Batches::of(1);
    while begun.elapsed() < PATIENCE {
        kafka.produce(topic, vec![(0, batches.next())])?;
        if kafka.produced().is_ok() {
            return Ok(begun.elapsed().as_secs_f64());
        }
        thread::sleep(PAUSE);
    }
    bail!("{topic} took no write within {} s; next: carrick mirror list", PATIENCE.as_secs())
}

/// One batch to each topic, all acknowledged.
fn write_each(kafka: &mut Kafka, topics: &[String]) -> anyhow::Result<()> {
    let mut batches = Batches::of(RECORDS);
    for topic in topics {
        kafka.produce(topic, vec![(0, batches.next())])?;
        if kafka.outstanding() >= UNDER_WAY_MAX {
            kafka.produced()?;
        }
    }
    while kafka.outstanding() > 0 {
        kafka.produced()?;
    }
    Ok(())
}
