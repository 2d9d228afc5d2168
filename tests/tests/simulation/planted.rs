//! Oracles of the oracles: a defect is planted in the world of the links or in the disk, and a promise has to be seen broken
//! within 200 seeds. A check that misses one is no check.

mod line;
mod sink;
mod source;

use std::sync::Arc;

use carrick_link::{Dialer, Ports, Sink, Source};

use crate::chaos::{Amiss, broken_by};
use line::{Frames, ReusedAttempt};
use sink::{SinkFault, WrongSink};
use source::{SourceFault, WrongSource};

const SEEDS_MAX: u64 = 200;

/// Runs seeds until one of `promises` is seen broken.
fn caught(name: &str, amiss: &Amiss, promises: &[&str]) {
    for seed in 0..SEEDS_MAX {
        if let Some(what) = broken_by(seed, amiss) {
            println!("{name}: caught at seed {seed} by {what}");
            let number = what.split(':').next().unwrap_or_default();
            assert!(promises.contains(&number), "{name}: seed {seed} broke something else: {what}");
            return;
        }
    }
    panic!("{name}: not caught within {SEEDS_MAX} seeds");
}

fn with(wrap: impl Fn(Ports) -> Ports + Send + Sync + 'static) -> Amiss {
    Amiss { wrap: Some(Arc::new(wrap)), disks_lie: false }
}

fn with_source(fault: SourceFault) -> Amiss {
    with(move |ports| {
        let source: Arc<dyn Source> = Arc::new(WrongSource::new(&ports.source, fault));
        Ports { source, ..ports }
    })
}

fn with_sink(fault: SinkFault) -> Amiss {
    with(move |ports| {
        let sink: Arc<dyn Sink> = Arc::new(WrongSink { inner: Arc::clone(&ports.sink), fault });
        Ports { sink, ..ports }
    })
}

#[test]
fn a_skipped_batch_is_caught() {
    caught("a source that skips a batch", &with_source(SourceFault::SkipBatch), &["P1", "P3"]);
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    let amiss = Amiss { wrap: None, disks_lie: true };
    caught("a disk that lies", &amiss, &["P1", "P2", "P3"]);
}

#[test]
fn an_end_that_is_off_by_one_is_caught() {
    caught("a mirror's end off by one", &with_sink(SinkFault::EndOffByOne), &["P1", "P3"]);
}

#[test]
fn a_frame_of_an_older_attempt_is_caught() {
    let frames = Arc::new(Frames::default());
    let amiss = with(move |ports| {
        let inner = Arc::clone(&ports.dialer);
        let dialer: Arc<dyn Dialer> = Arc::new(ReusedAttempt { inner, frames: Arc::clone(&frames) });
        Ports { dialer, ..ports }
    });
    caught("a line that reuses an attempt", &amiss, &["P1", "P3"]);
}

#[test]
fn a_swallowed_error_is_caught() {
    caught("a mirror that swallows an error", &with_sink(SinkFault::SwallowError), &["P1", "P3"]);
}

#[test]
fn a_forgotten_fence_is_caught() {
    caught("a source that forgets its fence", &with_source(SourceFault::ForgetFence), &["P4"]);
}

#[test]
fn a_group_that_lands_too_high_is_caught() {
    caught("a group too high", &with_sink(SinkFault::GroupTooHigh), &["P5"]);
}

#[test]
fn a_lag_of_zero_for_what_waits_is_caught() {
    caught("a source that says nobody is behind", &with_source(SourceFault::NobodyBehind), &["P8"]);
}
