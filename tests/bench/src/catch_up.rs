//! B2: a new destination catches up with a source that holds gigabytes, over TLS. Control: [`floor`].

use serde_json::json;

use crate::bench::Bench;
use crate::equal;
use crate::floor;
use crate::kafka::Kafka;
use crate::load::fill;
use crate::samples::Samples;
use crate::site::{Durability, Node, Site, until};
use crate::table::{Mark, Metric, Report};
use crate::usage::{Spent, Stopwatch, forget_peak, peak_mib};

const PARTITIONS: i32 = 16;
const BYTES: u64 = 3_000_000_000;
const TOPIC: &str = "orders";

/// Goals of BENCHMARKS: MB per CPU-second of both daemons, and the share of the floor.
const MB_PER_CPU_SECOND: Mark = Mark::AtLeast(400.0);
const SHARE: Mark = Mark::AtLeast(0.5);

/// A source that is full, and its node.
pub struct Source {
    pub site: Site,
    pub node: Node,
    kafka: Kafka,
    /// Of batches.
    pub bytes: u64,
}

impl Source {
    pub fn fill(bench: &Bench) -> anyhow::Result<Self> {
        let mut site = bench.site("east", Durability::Fsync)?;
        let node = site.start()?;
        let mut kafka = Kafka::dial(&site.kafka())?;
        kafka.create(&[TOPIC.to_string()], PARTITIONS)?;
        let bytes = bench.bytes.unwrap_or(BYTES);
        bench.say(&format!("{:.1} GB are produced at the source", bytes as f64 / 1e9));
        let bytes = fill(&mut kafka, TOPIC, PARTITIONS, bytes)?;
        Ok(Self { site, node, kafka, bytes })
    }
}

/// One catch-up.
pub struct CatchUp {
    pub spent: Spent,
    /// The most that source and destination had.
    pub peaks_mib: [f64; 2],
}

/// From `carrick mirror create` to the last byte readable at a new destination, which at durability `fsync` is durable then.
pub fn run(bench: &Bench, source: &mut Source, name: &str) -> anyhow::Result<CatchUp> {
    let mut site = bench.site(name, Durability::Fsync)?;
    let node = site.start()?;
    site.link(&source.site)?;
    let ends = source.kafka.ends(TOPIC, PARTITIONS)?;
    let pids = [source.node.pid(), node.pid()];
    bench.settle();
    pids.into_iter().try_for_each(forget_peak)?;

    let watch = Stopwatch::start(&pids)?;
    site.mirror(&[TOPIC])?;
    let mut kafka = Kafka::dial(&site.kafka())?;
    until("the destination has all", || Ok(kafka.ends(TOPIC, PARTITIONS).is_ok_and(|it| it == ends)))?;
    let spent = watch.spent()?;

    let peaks_mib = [peak_mib(pids[0])?, peak_mib(pids[1])?];
    let bytes = equal::topics(&source.site.data(), &site.data(), PARTITIONS)?;
    anyhow::ensure!(bytes == source.bytes, "{bytes} bytes stand where {} were produced", source.bytes);
    drop(node);
    bench.remove(name)?;
    Ok(CatchUp { spent, peaks_mib })
}

fn control(bench: &Bench, source: &Source) -> anyhow::Result<Spent> {
    let copy = bench.dir.join("copy");
    bench.settle();
    let spent = floor::copy(&source.site.data(), &copy, PARTITIONS, &bench.pki.node("floor")?)?;
    equal::topics(&source.site.data(), &copy, PARTITIONS)?;
    bench.remove("copy")?;
    Ok(spent)
}

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let mut source = Source::fill(bench)?;
    let bytes = source.bytes;
    let mut report = Report::default();
    let [mut subject, mut floor, mut share, mut wall, mut floor_wall, mut peaks] =
        [(); 6].map(|()| Samples::default());
    for repeat in 0..bench.repeat {
        let (of_subject, of_control) = bench.alternate(
            repeat,
            &mut source,
            |source| run(bench, source, &format!("west-{repeat}")),
            |source| control(bench, source),
        )?;
        let (rate, most) = (of_subject.spent.mb_per_cpu_second(bytes), of_control.mb_per_cpu_second(bytes));
        subject.add(rate);
        floor.add(most);
        share.add(rate / most);
        wall.add(of_subject.spent.mb_per_second(bytes));
        floor_wall.add(of_control.mb_per_second(bytes));
        peaks.add(of_subject.peaks_mib.into_iter().fold(0.0, f64::max));
        bench.say(&format!("{rate:.0} MB per CPU-second, floor {most:.0}"));
        report.runs.push(json!({
            "bytes": bytes,
            "cpu_seconds": of_subject.spent.cpu.as_secs_f64(),
            "seconds": of_subject.spent.wall.as_secs_f64(),
            "peak_mib_source": of_subject.peaks_mib[0],
            "peak_mib_destination": of_subject.peaks_mib[1],
            "floor_cpu_seconds": of_control.cpu.as_secs_f64(),
            "floor_seconds": of_control.wall.as_secs_f64(),
        }));
    }
    report.metrics = vec![
        Metric::new("both daemons", "MB/cpu-s", &subject).against(&floor).marked(MB_PER_CPU_SECOND),
        Metric::ratio("both daemons, share of the floor", &share, SHARE),
        Metric::new("rate", "MB/s", &wall).against(&floor_wall),
        Metric::new("RSS, the larger of both", "MiB", &peaks),
    ];
    Ok(report)
}
