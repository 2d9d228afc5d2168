//! B12: what nodes keep in memory: at rest with a thousand mirrored partitions, and in the middle of a catch-up.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::bench::Bench;
use crate::catch_up::{self, Source};
use crate::equal;
use crate::kafka::Kafka;
use crate::load::fill;
use crate::samples::Samples;
use crate::site::{Durability, until};
use crate::table::{Mark, Metric, Report};
use crate::usage::resident_mib;

const PARTITIONS: i32 = 1_000;
/// Two batches of each partition.
const BYTES: u64 = 262_000_000;
const TOPIC: &str = "orders";
/// Until what a catch-up took is given back, if it is.
const REST: Duration = Duration::from_secs(5);

const MIB_AT_REST: f64 = 64.0;
const MIB_AT_FULL_RATE: f64 = 192.0;

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let (mut resting, mut working) = (Samples::default(), Samples::default());
    for _ in 0..bench.repeat {
        let [source, destination] = at_rest(bench)?;
        resting.add(source.max(destination));
        bench.say(&format!("at rest {source:.1} MiB at the source, {destination:.1} at the destination"));
        report.runs.push(json!({ "at_rest_mib": { "source": source, "destination": destination } }));
    }
    let mut source = Source::fill(bench)?;
    for repeat in 0..bench.repeat {
        let run = catch_up::run(bench, &mut source, &format!("west-{repeat}"))?;
        let [source, destination] = run.peaks_mib;
        working.add(source.max(destination));
        bench
            .say(&format!("at full rate {source:.1} MiB at the source, {destination:.1} at the destination"));
        report.runs.push(json!({ "at_full_rate_mib": { "source": source, "destination": destination } }));
    }
    let metric = |what, samples, mark| {
        Metric::new(what, "MiB", samples).marked(Mark::AtMost(mark)).no_go(Mark::AtMost(2.0 * mark))
    };
    report.metrics = vec![
        metric("RSS at rest, 1000 partitions, the larger of both", &resting, MIB_AT_REST),
        metric("RSS in a catch-up (B2), the larger of both", &working, MIB_AT_FULL_RATE),
    ];
    Ok(report)
}

/// MiB of source and destination.
fn at_rest(bench: &Bench) -> anyhow::Result<[f64; 2]> {
    let (mut east, mut west) =
        (bench.site("east", Durability::Fsync)?, bench.site("west", Durability::Fsync)?);
    let (source, destination) = (east.start()?, west.start()?);
    let mut there = Kafka::dial(&east.kafka())?;
    there.create(&[TOPIC.to_string()], PARTITIONS)?;
    west.link(&east)?;
    west.mirror(&[TOPIC])?;
    fill(&mut there, TOPIC, PARTITIONS, BYTES)?;
    let ends = there.ends(TOPIC, PARTITIONS)?;
    let mut here = Kafka::dial(&west.kafka())?;
    until("the destination has all", || Ok(here.ends(TOPIC, PARTITIONS).is_ok_and(|it| it == ends)))?;
    equal::topics(&east.data(), &west.data(), PARTITIONS)?;
    thread::sleep(REST);
    let found = [resident_mib(source.pid())?, resident_mib(destination.pid())?];
    drop((source, destination));
    bench.clear()?;
    Ok(found)
}
