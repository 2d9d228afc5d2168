//! B13: a destination that has its link and its mirrors starts, and data waits for it at the source.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;

use crate::bench::Bench;
use crate::equal;
use crate::kafka::Kafka;
use crate::load::fill;
use crate::samples::Samples;
use crate::site::{Durability, Node, Site, until};
use crate::table::{Mark, Metric, Report};
use crate::usage::{Spent, cpu};

const PARTITIONS: i32 = 16;
/// What waits: a batch or two of each partition.
const BYTES: u64 = 4_000_000;
const TOPIC: &str = "orders";
const FETCH_MAX: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let (mut east, mut west) =
        (bench.site("east", Durability::Fsync)?, bench.site("west", Durability::Fsync)?);
    let (_source, mut destination) = (east.start()?, west.start()?);
    let mut there = Kafka::dial(&east.kafka())?;
    there.create(&[TOPIC.to_string()], PARTITIONS)?;
    west.link(&east)?;
    west.mirror(&[TOPIC])?;
    let mut report = Report::default();
    let (mut seconds, mut cpu_seconds) = (Samples::default(), Samples::default());
    for _ in 0..bench.repeat {
        let before = caught_up(&mut there, &west)?;
        destination.stop()?;
        fill(&mut there, TOPIC, PARTITIONS, BYTES)?;
        bench.settle();
        destination = west.exec()?;
        let spent = first_byte(&destination, &west, &before)?;
        caught_up(&mut there, &west)?;
        equal::topics(&east.data(), &west.data(), PARTITIONS)?;
        seconds.add(spent.wall.as_secs_f64());
        cpu_seconds.add(spent.cpu.as_secs_f64());
        bench.say(&format!("{:.3} s, {:.2} CPU-seconds", spent.wall.as_secs_f64(), spent.cpu.as_secs_f64()));
        report
            .runs
            .push(json!({ "seconds": spent.wall.as_secs_f64(), "cpu_seconds": spent.cpu.as_secs_f64() }));
    }
    report.metrics = vec![
        Metric::new("exec to the first mirrored byte readable", "s", &seconds)
            .marked(Mark::AtMost(0.5))
            .no_go(Mark::AtMost(2.0)),
        Metric::new("CPU until then", "cpu-s", &cpu_seconds).marked(Mark::AtMost(0.3)),
    ];
    Ok(report)
}

/// The ends that both then have.
fn caught_up(there: &mut Kafka, west: &Site) -> anyhow::Result<Vec<i64>> {
    let ends = there.ends(TOPIC, PARTITIONS)?;
    let mut here = Kafka::dial(&west.kafka())?;
    until("the destination has all", || Ok(here.ends(TOPIC, PARTITIONS).is_ok_and(|it| it == ends)))?;
    Ok(ends)
}

/// Asks a node that starts for what it did not have `before`, until it has some of it.
fn first_byte(node: &Node, site: &Site, before: &[i64]) -> anyhow::Result<Spent> {
    while node.begun.elapsed() < PATIENCE {
        // No listener, no mirror, no data yet: each is an error or an empty answer.
        let asked = Kafka::dial(&site.kafka()).and_then(|mut it| it.fetch(TOPIC, before, FETCH_MAX));
        let now = Instant::now();
        if asked.is_ok_and(|it| !it.is_empty()) {
            return Ok(Spent { wall: now - node.begun, cpu: cpu(node.pid())? });
        }
        thread::sleep(PAUSE);
    }
    bail!("nothing of the source's was readable within {} s", PATIENCE.as_secs())
}
