//! B21: what acknowledging only what is durable costs: a node that takes records as fast as it can, `fsync` against `os`.

use std::collections::VecDeque;
use std::thread;
use std::time::Instant;

use anyhow::ensure;
use serde_json::json;

use crate::bench::Bench;
use crate::kafka::Kafka;
use crate::load::{BATCH_RECORDS, Batches};
use crate::samples::{Samples, percentile};
use crate::site::Durability;
use crate::table::{Mark, Metric, Report};
use crate::usage::megabytes;

const PARTITIONS: [i32; 3] = [1, 16, 1_000];
const BYTES: u64 = 1_000_000_000;
const TOPIC: &str = "orders";
/// Producers at the same time, each to partitions of its own; one where there is one partition.
const PRODUCERS: i32 = 4;
const REQUEST_BATCHES: usize = 8;
const UNDER_WAY_MAX: i32 = 5;

/// The mark is for this many partitions and more.
const MARKED_FROM: i32 = 16;
const SHARE: Mark = Mark::AtLeast(0.7);
const SHARE_NO_GO: Mark = Mark::AtLeast(0.4);

/// One node's intake.
struct Ingest {
    mb_per_second: f64,
    /// Of a request's time to its answer.
    p99_ms: f64,
}

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for partitions in PARTITIONS {
        let mut pairs = Vec::new();
        for repeat in 0..bench.repeat {
            let of = |durability| move |_: &mut ()| ingest(bench, durability, partitions);
            let (fsync, os) = bench.alternate(repeat, &mut (), of(Durability::Fsync), of(Durability::Os))?;
            bench.say(&format!(
                "{partitions} partitions: fsync {:.0} MB/s, os {:.0} MB/s",
                fsync.mb_per_second, os.mb_per_second
            ));
            report.runs.push(json!({
                "partitions": partitions,
                "fsync_mb_per_second": fsync.mb_per_second,
                "fsync_p99_ms": fsync.p99_ms,
                "os_mb_per_second": os.mb_per_second,
                "os_p99_ms": os.p99_ms,
            }));
            pairs.push((fsync, os));
        }
        let samples = |of: fn(&(Ingest, Ingest)) -> f64| pairs.iter().map(of).collect::<Samples>();
        let share = samples(|(fsync, os)| fsync.mb_per_second / os.mb_per_second);
        let of = format!("{partitions} partitions");
        let share = if partitions >= MARKED_FROM {
            Metric::ratio(format!("fsync, share of os, {of}"), &share, SHARE).no_go(SHARE_NO_GO)
        } else {
            Metric::new(format!("fsync, share of os, {of}"), "of control", &share)
        };
        report.metrics.extend([
            share,
            Metric::new(format!("ingest, fsync against os, {of}"), "MB/s", &samples(|it| it.0.mb_per_second))
                .against(&samples(|it| it.1.mb_per_second)),
            Metric::new(format!("produce p99, fsync against os, {of}"), "ms", &samples(|it| it.0.p99_ms))
                .against(&samples(|it| it.1.p99_ms)),
        ]);
    }
    Ok(report)
}

fn ingest(bench: &Bench, durability: Durability, partitions: i32) -> anyhow::Result<Ingest> {
    let mut site = bench.site("east", durability)?;
    let node = site.start()?;
    let mut kafka = Kafka::dial(&site.kafka())?;
    kafka.create(&[TOPIC.to_string()], partitions)?;
    bench.settle();
    let producers = PRODUCERS.min(partitions);
    let each = bench.bytes.unwrap_or(BYTES) / producers as u64;
    let begun = Instant::now();
    let producing: Vec<_> = (0..producers)
        .map(|first| {
            let address = site.kafka();
            let own: Vec<i32> = (first..partitions).step_by(producers as usize).collect();
            thread::spawn(move || produce(&address, &own, each))
        })
        .collect();
    let (mut sent, mut answers) = (0, Vec::new());
    for it in producing {
        let (bytes, times) = it.join().map_err(|_| anyhow::anyhow!("a producer ended early"))??;
        sent += bytes;
        answers.extend(times);
    }
    let mb_per_second = megabytes(sent) / begun.elapsed().as_secs_f64();

    let batch = Batches::of(BATCH_RECORDS).batch_bytes() as u64;
    let stored = kafka.ends(TOPIC, partitions)?.iter().sum::<i64>();
    let acknowledged = sent / batch * BATCH_RECORDS as u64;
    ensure!(stored as u64 == acknowledged, "{stored} records stand where {acknowledged} were acknowledged");
    drop(node);
    bench.clear()?;
    answers.sort_by(f64::total_cmp);
    Ok(Ingest { mb_per_second, p99_ms: percentile(&answers, 0.99) })
}

/// Bytes that were acknowledged, and the milliseconds that each request took.
fn produce(address: &str, partitions: &[i32], bytes: u64) -> anyhow::Result<(u64, Vec<f64>)> {
    let mut kafka = Kafka::dial(address)?;
    let mut batches = Batches::of(BATCH_RECORDS);
    let mut turn = partitions.iter().copied().cycle();
    let (mut sent, mut under_way, mut answers) = (0, VecDeque::new(), Vec::new());
    while sent < bytes || !under_way.is_empty() {
        if sent < bytes {
            let request: Vec<_> = turn
                .by_ref()
                .take(REQUEST_BATCHES.min(partitions.len()))
                .map(|partition| (partition, batches.next()))
                .collect();
            sent += (request.len() * batches.batch_bytes()) as u64;
            under_way.push_back(Instant::now());
            kafka.produce(TOPIC, request)?;
        }
        if sent >= bytes || kafka.outstanding() >= UNDER_WAY_MAX {
            kafka.produced()?;
            answers.extend(under_way.pop_front().map(|it| it.elapsed().as_secs_f64() * 1e3));
        }
    }
    Ok((sent, answers))
}
