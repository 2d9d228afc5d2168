//! A reader that notes when each offset becomes readable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::bail;
use carrick_record::Batch;

use crate::kafka::Kafka;

const FETCH_MAX: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);
const UNKNOWN: u64 = u64::MAX;

/// Per partition, in the order of offsets from 0 on.
pub type Arrivals = Vec<Vec<Instant>>;

/// Reads all partitions of a topic on one connection, by long polls, until it has everything.
pub struct Watch {
    expected: Arc<AtomicU64>,
    reading: JoinHandle<anyhow::Result<Arrivals>>,
}

impl Watch {
    pub fn start(address: &str, topic: &'static str, partitions: i32) -> anyhow::Result<Self> {
        let mut kafka = Kafka::dial(address)?;
        let expected = Arc::new(AtomicU64::new(UNKNOWN));
        let told = Arc::clone(&expected);
        let reading = thread::spawn(move || {
            let mut arrivals = vec![Vec::new(); partitions as usize];
            let mut deadline = None;
            loop {
                let read: usize = arrivals.iter().map(Vec::len).sum();
                let expected = told.load(Ordering::Acquire);
                if read as u64 >= expected {
                    return Ok(arrivals);
                }
                if expected != UNKNOWN
                    && Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + PATIENCE)
                {
                    bail!("{read} of {expected} records were readable within {} s", PATIENCE.as_secs());
                }
                read_once(&mut kafka, topic, &mut arrivals)?;
            }
        });
        Ok(Self { expected, reading })
    }

    /// Returns when so many records were read.
    pub fn finish(self, records: u64) -> anyhow::Result<Arrivals> {
        self.expected.store(records, Ordering::Release);
        self.reading.join().map_err(|_| anyhow::anyhow!("a reader ended early"))?
    }
}

fn read_once(kafka: &mut Kafka, topic: &str, arrivals: &mut Arrivals) -> anyhow::Result<()> {
    let offsets: Vec<i64> = arrivals.iter().map(|it| it.len() as i64).collect();
    let read = kafka.fetch(topic, &offsets, FETCH_MAX)?;
    let now = Instant::now();
    for (partition, mut records) in read {
        let arrivals = &mut arrivals[partition as usize];
        while !records.is_empty() {
            let next = Batch::split_from(&mut records)?.header.next_offset().get();
            // A fetch begins with the whole batch that holds the offset.
            arrivals.resize(arrivals.len().max(usize::try_from(next)?), now);
        }
    }
    Ok(())
}

/// Milliseconds between the two, of what arrived at the source after the warm-up.
pub fn lags(at_source: &Arrivals, at_destination: &Arrivals, warm_up: Duration) -> Vec<f64> {
    let begun = at_source.iter().filter_map(|it| it.first()).min().copied();
    let counted = begun.map(|it| it + warm_up);
    let pairs = at_source.iter().flatten().zip(at_destination.iter().flatten());
    let late = pairs.filter(|(there, _)| counted.is_some_and(|it| **there >= it));
    late.map(|(there, here)| here.saturating_duration_since(*there).as_secs_f64() * 1e3).collect()
}
