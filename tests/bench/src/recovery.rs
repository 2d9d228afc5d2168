//! B14: a node that holds gigabytes is killed under a writer and started again: until it answers a produce, a fetch and a peer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use carrick_rpc::tls::{Purpose, Tls};
use carrick_rpc::{Endpoint, dial};
use serde_json::json;

use crate::bench::Bench;
use crate::kafka::Kafka;
use crate::load::{BATCH_RECORDS, Batches, fill};
use crate::samples::Samples;
use crate::site::{Durability, Node, Site};
use crate::table::{Mark, Metric, Report};

const PARTITIONS: i32 = 132;
const BYTES: u64 = 5_000_000_000;
const TOPIC: &str = "orders";
/// A topic that the peer mirrors: after a start its writers wait for the peer's word.
const LINKED: &str = "linked";
/// The writer writes for so long before the kill, 8 batches each time. More than the three seconds after which a link takes a
/// session for a good one: else its next try comes later with each kill.
const WRITING: Duration = Duration::from_secs(4);
const WRITE_EVERY: Duration = Duration::from_millis(20);
const WRITE_BATCHES: usize = 8;
const UNDER_WAY_MAX: i32 = 5;
const PAUSE: Duration = Duration::from_millis(1);
const FETCH_MAX: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Seconds from exec until each was answered.
#[derive(Clone, Copy)]
struct Answered {
    produce: f64,
    fetch: f64,
    link: f64,
    linked_produce: f64,
}

impl Answered {
    fn all(&self) -> f64 {
        self.produce.max(self.fetch).max(self.link)
    }
}

pub fn report(bench: &Bench) -> anyhow::Result<Report> {
    let (mut east, mut west) =
        (bench.site("east", Durability::Fsync)?, bench.site("west", Durability::Fsync)?);
    let (mut node, _peer) = (east.start()?, west.start()?);
    let mut kafka = Kafka::dial(&east.kafka())?;
    kafka.create(&[TOPIC.to_string()], PARTITIONS)?;
    kafka.create(&[LINKED.to_string()], 1)?;
    west.link(&east)?;
    west.mirror(&[LINKED])?;
    let bytes = bench.bytes.unwrap_or(BYTES);
    bench.say(&format!("{:.1} GB are produced", bytes as f64 / 1e9));
    fill(&mut kafka, TOPIC, PARTITIONS, bytes)?;

    let mut report = Report::default();
    let root = rustix::process::geteuid().is_root();
    if !root {
        bench.say(
            "the page cache can be dropped by root alone: measured warm only; next: sudo scripts/bench B14",
        );
    }
    let mut found = [Vec::new(), Vec::new()];
    for repeat in 0..bench.repeat {
        for cold in [repeat % 2 == 1, repeat % 2 == 0].into_iter().filter(|cold| root || !cold) {
            let acknowledged = write_until_killed(&east, node)?;
            bench.settle();
            if cold {
                std::fs::write(DROP_CACHES, "3")?;
            }
            node = east.exec()?;
            let answered = answered(&east, &node, bench)?;
            let kept = Kafka::dial(&east.kafka())?.ends(TOPIC, PARTITIONS)?;
            let lost = kept.iter().zip(&acknowledged).position(|(kept, acknowledged)| kept < acknowledged);
            ensure!(
                lost.is_none(),
                "partition {lost:?} lost what was acknowledged: a fast wrong start is no result"
            );
            let cache = if cold { "dropped" } else { "warm" };
            let Answered { produce, fetch, link, linked_produce } = answered;
            bench.say(&format!("{cache}: produce {produce:.3} s, fetch {fetch:.3} s, link {link:.3} s"));
            report.runs.push(json!({
                "page_cache": cache,
                "produce_seconds": produce,
                "fetch_seconds": fetch,
                "link_seconds": link,
                "produce_to_a_linked_topic_seconds": linked_produce,
            }));
            found[usize::from(cold)].push(answered);
        }
    }
    for (cache, runs) in ["warm", "dropped"].into_iter().zip(&found).filter(|(_, runs)| !runs.is_empty()) {
        let samples = |of: fn(&Answered) -> f64| runs.iter().map(of).collect::<Samples>();
        report.metrics.push(
            Metric::new(
                format!("kill -9 to produce, fetch and link, page cache {cache}"),
                "s",
                &samples(Answered::all),
            )
            .marked(Mark::AtMost(1.0))
            .no_go(Mark::AtMost(5.0)),
        );
        let linked = samples(|it| it.linked_produce);
        let what = format!("kill -9 to a produce that waits for the peer's word, page cache {cache}");
        report.metrics.push(Metric::new(what, "s", &linked));
    }
    Ok(report)
}

/// Writes to all partitions, kills the node in the midst of it, and tells the offsets below which all was acknowledged.
fn write_until_killed(site: &Site, node: Node) -> anyhow::Result<Vec<i64>> {
    let mut kafka = Kafka::dial(&site.kafka())?;
    let mut acknowledged = kafka.ends(TOPIC, PARTITIONS)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut batches = Batches::of(BATCH_RECORDS);
            let mut turn = (0..PARTITIONS).cycle();
            let mut under_way = VecDeque::new();
            // Until the connection breaks.
            let _: anyhow::Result<()> = (|| {
                while !over.load(Ordering::Relaxed) {
                    let to: Vec<i32> = turn.by_ref().take(WRITE_BATCHES).collect();
                    kafka.produce(TOPIC, to.iter().map(|it| (*it, batches.next())).collect())?;
                    under_way.push_back(to);
                    if kafka.outstanding() >= UNDER_WAY_MAX {
                        kafka.produced()?;
                        for it in under_way.pop_front().into_iter().flatten() {
                            acknowledged[it as usize] += BATCH_RECORDS as i64;
                        }
                    }
                    thread::sleep(WRITE_EVERY);
                }
                Ok(())
            })();
            acknowledged
        });
        thread::sleep(WRITING);
        drop(node);
        over.store(true, Ordering::Relaxed);
        writing.join().map_err(|_| anyhow::anyhow!("the writer ended early"))
    })
}

/// Asks for everything at once, again and again.
fn answered(site: &Site, node: &Node, bench: &Bench) -> anyhow::Result<Answered> {
    let from = node.begun;
    let address = site.kafka();
    let produce = |topic: &'static str| {
        let mut batches = Batches::of(1);
        first(from, || {
            let mut kafka = Kafka::dial(&address)?;
            kafka.produce(topic, vec![(0, batches.next())])?;
            kafka.produced()
        })
    };
    let fetch = || {
        let offsets = vec![0; PARTITIONS as usize];
        first(from, || {
            let read = Kafka::dial(&address)?.fetch(TOPIC, &offsets, FETCH_MAX)?;
            ensure!(!read.is_empty(), "nothing was read");
            Ok(())
        })
    };
    let link = || {
        let tls = Tls::open(bench.pki.node("probe")?, Purpose::Grpc)?;
        let endpoint = Endpoint { host: "127.0.0.1".into(), port: site.link_port(), server_name: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        first(from, || Ok(runtime.block_on(dial(&endpoint, &tls)).map(drop)?))
    };
    thread::scope(|scope| {
        let asked = [
            scope.spawn(|| produce(TOPIC)),
            scope.spawn(fetch),
            scope.spawn(link),
            scope.spawn(|| produce(LINKED)),
        ];
        let mut seconds = [0.0; 4];
        for (seconds, it) in seconds.iter_mut().zip(asked) {
            *seconds = it.join().map_err(|_| anyhow::anyhow!("a probe ended early"))??;
        }
        let [produce, fetch, link, linked_produce] = seconds;
        Ok(Answered { produce, fetch, link, linked_produce })
    })
}

/// Seconds since `from` when it first succeeds.
fn first(from: Instant, mut ask: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    loop {
        match ask() {
            Ok(()) => return Ok(from.elapsed().as_secs_f64()),
            Err(last) if from.elapsed() > PATIENCE => {
                return Err(last).with_context(|| format!("no answer within {} s", PATIENCE.as_secs()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
