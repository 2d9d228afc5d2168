//! B7: from readable at the source to readable at the destination, on loopback, under a steady load. Controls: an echo of the
//! same messages over TLS, and the disk's own sync.

mod controls;
mod watch;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::equal;
use crate::kafka::Kafka;
use crate::load::{Batches, RECORD_BYTES};
use crate::samples::{Samples, percentile};
use crate::site::Durability;
use crate::table::{Mark, Metric, Report};

use watch::Watch;

const PARTITIONS: i32 = 16;
const TOPIC: &str = "orders";
/// Records a second.
const RATES: [u32; 3] = [200, 1_000, 20_000];
const LOAD: Duration = Duration::from_secs(6);
/// The part of it that is not counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// The least time between two requests: what is due meanwhile is one batch, as a producer that lingers for so long has it.
const TICK: Duration = Duration::from_millis(1);
/// In turn, so that requests that wait for a sync do not hold up others.
const CONNECTIONS: usize = 4;

/// What a number of measurements says.
#[derive(Clone, Copy, Debug)]
struct Shares {
    count: usize,
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Shares {
    /// Of milliseconds.
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |share| percentile(&all, share);
        Self { count: all.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }

    fn json(&self) -> Value {
        let Self { count, p50, p99, p999, max } = self;
        json!({ "count": count, "p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "max_ms": max })
    }
}

/// One repeat of one case.
struct Run {
    lag: Shares,
    echo: Shares,
    disk: Shares,
}

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let cases = [Durability::Os, Durability::Fsync].into_iter().flat_map(|it| RATES.map(|rate| (it, rate)));
    let mut runs: Vec<(Durability, u32, Vec<Run>)> = cases.map(|(it, rate)| (it, rate, Vec::new())).collect();
    for repeat in 0..bench.repeat {
        for (durability, rate, runs) in &mut runs {
            let run = once(bench, repeat, *durability, *rate)?;
            let Run { lag, echo, disk } = &run;
            bench.say(&format!(
                "{} at {rate}/s: p50 {:.2} ms, p99 {:.2} ms; echo {:.2} and {:.2}; disk {:.2} and {:.2}",
                durability.name(),
                lag.p50,
                lag.p99,
                echo.p50,
                echo.p99,
                disk.p50,
                disk.p99
            ));
            report.runs.push(json!({
                "durability": durability.name(),
                "records_per_second": *rate,
                "lag": lag.json(),
                "tls_echo": echo.json(),
                "disk_sync": disk.json(),
            }));
            runs.push(run);
        }
    }
    report.metrics =
        runs.iter().flat_map(|(durability, rate, runs)| metrics(*durability, *rate, runs)).collect();
    Ok(report)
}

fn metrics(durability: Durability, rate: u32, runs: &[Run]) -> [Metric; 4] {
    let samples = |of: fn(&Run) -> f64| runs.iter().map(of).collect::<Samples>();
    let metric = |what: &str, of| {
        Metric::new(format!("{what}, {}, {rate} msg/s", durability.name()), "ms", &samples(of))
    };
    let (p50, p99) = (metric("lag p50", |it| it.lag.p50), metric("lag p99", |it| it.lag.p99));
    let [p50, p99] = match durability {
        Durability::Os => [
            p50.against(&samples(|it| it.echo.p50)).marked(Mark::AtMost(1.5)),
            p99.against(&samples(|it| it.echo.p99)).marked(Mark::AtMost(5.0)),
        ],
        Durability::Fsync => {
            let (half, most) = (samples(|it| it.disk.p50), samples(|it| it.disk.p99));
            [
                p50.against(&half).marked(Mark::AtMost(2.0 * half.median() + 3.0)),
                p99.against(&most).marked(Mark::AtMost(2.0 * most.median() + 10.0)),
            ]
        }
    };
    [p50, p99, metric("lag p99.9", |it| it.lag.p999), metric("lag max", |it| it.lag.max)]
}

fn once(bench: &Bench, repeat: usize, durability: Durability, rate: u32) -> anyhow::Result<Run> {
    let control = |_: &mut ()| {
        bench.settle();
        let disk = Shares::of(controls::disk_sync(&bench.dir)?);
        Ok((Shares::of(controls::tls_echo(&bench.pki.node("echo")?, rate, TICK)?), disk))
    };
    let (lag, (echo, disk)) = bench.alternate(repeat, &mut (), |_| lag(bench, durability, rate), control)?;
    Ok(Run { lag, echo, disk })
}

fn lag(bench: &Bench, durability: Durability, rate: u32) -> anyhow::Result<Shares> {
    let (mut east, mut west) = (bench.site("east", durability)?, bench.site("west", durability)?);
    let (source, destination) = (east.start()?, west.start()?);
    Kafka::dial(&east.kafka())?.create(&[TOPIC.to_string()], PARTITIONS)?;
    west.link(&east)?;
    west.mirror(&[TOPIC])?;
    let mut mirror = Kafka::dial(&west.kafka())?;
    crate::site::until("the mirror is there", || Ok(mirror.ends(TOPIC, PARTITIONS).is_ok()))?;
    bench.settle();

    let watches = [&east, &west].map(|site| Watch::start(&site.kafka(), TOPIC, PARTITIONS));
    let sent = produce(&east.kafka(), rate)?;
    let [at_source, at_destination] = watches.map(|it| it?.finish(sent));
    let (at_source, at_destination) = (at_source?, at_destination?);
    equal::topics(&east.data(), &west.data(), PARTITIONS)?;
    drop((source, destination));
    bench.clear()?;
    Ok(Shares::of(watch::lags(&at_source, &at_destination, WARM_UP)))
}

/// A steady load: records that were sent.
fn produce(address: &str, rate: u32) -> anyhow::Result<u64> {
    let every = TICK.max(Duration::from_secs(1) / rate);
    let records = (f64::from(rate) * every.as_secs_f64()).round() as usize;
    let mut batches = Batches::of(records.max(1));
    debug_assert!(batches.batch_bytes() < (records + 1) * RECORD_BYTES * 2);
    let (mut lines, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let line = Kafka::dial(address)?;
        let mut twin = line.twin()?;
        let (sent, due) = mpsc::channel::<()>();
        answers.push(thread::spawn(move || due.iter().try_for_each(|()| twin.produced())));
        lines.push((line, sent));
    }
    let begun = Instant::now();
    let ticks = (LOAD.as_nanos() / every.as_nanos()) as u32;
    for tick in 0..ticks {
        thread::sleep((begun + every * tick).saturating_duration_since(Instant::now()));
        let (line, sent) = &mut lines[tick as usize % CONNECTIONS];
        line.produce(TOPIC, vec![(tick as i32 % PARTITIONS, batches.next())])?;
        // Without a reader the answers have ended, and say why below.
        let _ = sent.send(());
    }
    drop(lines);
    for it in answers {
        it.join().map_err(|_| anyhow::anyhow!("a reader of answers ended early"))??;
    }
    Ok(u64::from(ticks) * records as u64)
}
