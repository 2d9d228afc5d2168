//! How each fault begins. What ends it is due at a drawn time, while others begin.

use std::sync::Arc;
use std::time::Duration;

use carrick_wire::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, Text};

use super::plan::{ADDRESSES, EAST, Fault, WEST};
use super::scene::{Due, Scene};
use crate::line::Way;

const HOUR_MS: i64 = 3_600_000;

impl Scene {
    pub async fn begin(&mut self, fault: Fault) {
        let at = if self.draw.one_in(2) { EAST } else { WEST };
        self.note(format_args!("{fault:?} {}", ADDRESSES[at]));
        self.disturb();
        match fault {
            Fault::Cut => self.net.cut(),
            Fault::Storm => {
                for _ in 0..4 + self.draw.below(8) {
                    self.net.cut();
                    let wait = self.draw.ms(5, 600);
                    self.pass(wait).await;
                }
            }
            Fault::Down => {
                self.net.set_down(true);
                let wait = self.some_time();
                self.until(wait, Due::Up);
            }
            Fault::OneWay => {
                let way = if self.draw.one_in(2) { Way::Held } else { Way::Lost };
                self.one_way(at, way);
            }
            Fault::Delay => {
                self.net.set_delay(50 + self.draw.below(350));
                let wait = self.some_time();
                self.until(wait, Due::Near);
            }
            Fault::CrashAtCall => {
                let disk = &self.sites[at].sim.disk;
                disk.crash_at(disk.calls() + 1 + self.draw.below(120));
            }
            Fault::Crash => {
                let cut = self.plan.cut(&self.draw);
                self.crash(at, cut).await;
            }
            Fault::CleanRestart => self.restart(at).await,
            Fault::Stall => {
                self.sites[at].sim.disk.stall_sync(Duration::from_millis(20 + self.draw.below(400)));
                let wait = self.some_time();
                self.until(wait, Due::Steady(at));
            }
            Fault::StuckDisk => {
                // Longer than a producer waits, now and then.
                let longer = self.draw.ms(1_000, 10_000);
                self.sites[at].sim.disk.stick_syncs(longer, self.draw.one_in(2));
            }
            Fault::FailedSync if self.sites[at].node.is_none() => {}
            Fault::FailedSync => self.sites[at].sim.disk.fail_sync_after(1 + self.draw.below(6)),
            Fault::Full => self.fill(at),
            Fault::ClockJump => {
                // There, and back the next time.
                let clock = &self.sites[at].sim.clock;
                let off = carrick_sys::Clock::wall(&**clock).0 - self.right_ms();
                let to = if self.draw.one_in(2) { HOUR_MS } else { -HOUR_MS };
                clock.jump(if off.abs() > HOUR_MS / 2 { -off } else { to });
            }
            Fault::Pause => self.pause(at),
            Fault::DeleteRecords => self.delete_records(),
            Fault::Nothing => {
                let wait = self.draw.ms(0, 6_000);
                self.pass(wait).await;
            }
        }
    }

    /// Seconds mostly, minutes now and then.
    fn some_time(&self) -> Duration {
        if self.draw.one_in(40) { self.draw.ms(60_000, 300_000) } else { self.draw.ms(200, 10_000) }
    }

    /// A site without a fault of its own.
    fn runs(&self, at: usize) -> bool {
        self.sites[at].node.is_some() && !self.sites[at].sim.disk.crashed() && !self.is_due(Due::Resume(at))
    }

    pub fn one_way(&mut self, from: usize, way: Way) {
        self.net.set_way(ADDRESSES[from], way);
        let wait = self.some_time();
        self.until(wait, Due::Open(from));
    }

    /// Not while a failover lives on what was put by.
    pub fn fill(&mut self, at: usize) {
        if at == WEST && !self.failover_answered() {
            return;
        }
        let disk = Arc::clone(&self.sites[at].sim.disk);
        disk.full_at(disk.allocated_bytes() + self.draw.below(20_000));
        let wait = self.some_time();
        self.until(wait, Due::Room(at));
    }

    pub fn pause(&mut self, at: usize) {
        if self.runs(at) {
            self.sites[at].sim.spawn.pause();
            let wait = self.some_time();
            self.until(wait, Due::Resume(at));
        }
    }

    async fn restart(&mut self, at: usize) {
        if !self.runs(at) {
            return;
        }
        self.sites[at].door.close();
        if let Some(node) = self.sites[at].node.take() {
            // It may be too ill to end well.
            let _ = tokio::time::timeout(Duration::from_secs(20), node.close()).await;
        }
        self.crash(at, carrick_sim::Cut::Kill).await;
    }

    /// A client deletes what it does not need any more; it does not wait for the answer.
    fn delete_records(&self) {
        let places = self.plan.places();
        let place = places[self.draw.below(places.len() as u64) as usize];
        let door = Arc::clone(&self.sites[EAST].door);
        let Some(log) = door.life().and_then(|life| life.log(place.0, place.1)) else { return };
        let high = log.offsets().high_watermark.at().get();
        // Mostly what is old.
        let below = if self.draw.one_in(4) { high } else { high / 2 };
        let below = self.draw.below(below as u64 + 1) as i64;
        self.book.deletes(place, below);
        let partition = DeleteRecordsPartition { partition_index: place.1 as i32, offset: below };
        let topic = DeleteRecordsTopic { name: Text::from(place.0.to_string()), partitions: vec![partition] };
        let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5_000 };
        tokio::spawn(async move { door.ask(2, request, Duration::from_secs(10)).await });
    }
}
