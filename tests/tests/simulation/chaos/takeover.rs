//! The failover of a story: what befell the old side, what befalls the new one, and an operator who repeats the command
//! until it is done.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrick_link::{FailedOver, Failover, Mutation};
use carrick_sim::{DATA, SimDisk, WALL_START};
use carrick_sys::Disk as _;
use carrick_types::{Known, Timestamp};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::book::Book;
use super::plan::{EAST, Place, Plan, WEST};
use super::scene::{Due, RESERVE_BYTES, Scene};
use crate::batch::{Producer, transactional};
use crate::door::Door;
use crate::line::Way;

/// For one answer: longer than any single fault of a disk.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// The operator, and what the scene knows of west meanwhile.
#[derive(Default)]
pub struct Operator {
    /// West was paused since the command was given.
    pub paused: AtomicBool,
    pub done: Mutex<Option<FailedOver>>,
}

impl Scene {
    pub async fn fail_over(&mut self) {
        if self.plan.transaction {
            self.open_transaction().await;
        }
        let fate = self.draw.below(6);
        self.note(format_args!("failover: {fate}"));
        match fate {
            0 => self.pause(EAST),
            1 => {
                self.net.set_down(true);
                let wait = self.draw.ms(1_000, 30_000);
                self.until(wait, Due::Up);
            }
            2 => self.one_way(EAST, Way::Held),
            3 => self.one_way(WEST, Way::Lost),
            4 => {
                let cut = self.plan.cut(&self.draw);
                self.crash(EAST, cut).await;
            }
            _ => {}
        }
        let wait = self.draw.ms(0, 4_000);
        self.pass(wait).await;
        match self.draw.below(8) {
            0 => self.fill(WEST),
            _ if self.sites[WEST].node.is_none() => {}
            1 => self.sites[WEST].sim.disk.stick_syncs(Duration::from_secs(9), true),
            2 => self.sites[WEST].sim.disk.fail_sync_after(1 + self.draw.below(4)),
            3 | 4 => {
                let disk = &self.sites[WEST].sim.disk;
                disk.crash_at(disk.calls() + 1 + self.draw.below(60));
            }
            _ => {}
        }
        let operator = Arc::new(Operator::default());
        // Twice, by an operator who is in a hurry; both of one request.
        for late in 0..1 + self.draw.below(2) {
            let (door, book) = (Arc::clone(&self.sites[WEST].door), Arc::clone(&self.book));
            let operator = Arc::clone(&operator);
            tokio::spawn(async move {
                sleep(Duration::from_millis(late * 30)).await;
                let done = command(&door, &book, &operator).await;
                book.open();
                operator.done.lock().get_or_insert(done);
            });
        }
        self.operator = Some(operator);
    }

    /// A pause that ended before the answer counts too.
    pub fn mind_operator(&self) {
        if let Some(operator) = self.operator.as_ref().filter(|_| self.paused(WEST)) {
            operator.paused.store(true, Ordering::Relaxed);
        }
    }

    /// A producer whose coordinator will be gone: nobody but a failover ends its transaction.
    async fn open_transaction(&self) {
        let Some(log) = self.sites[EAST].door.life().and_then(|life| life.log("orders", 0)) else { return };
        let producer = Producer { id: 9_000, epoch: 0, sequence: 0 };
        let mut records = transactional(producer, 2, 30, 7, WALL_START.0);
        let batch = carrick_record::Batch::split_from(&mut records).unwrap();
        // It may be mirrored or not, as it comes.
        let _ = log.append(&batch, None, Timestamp(WALL_START.0));
    }

    /// True if none was asked for.
    pub fn failover_answered(&self) -> bool {
        self.operator.as_ref().is_none_or(|it| it.done.lock().is_some())
    }

    /// P6: every mirror is open, and no more is said to be lost than was.
    pub fn p6_failed_over(&self) {
        let Some(done) = self.operator.as_ref().and_then(|it| it.done.lock().clone()) else { return };
        let mut topics: Vec<&str> = done.topics.iter().map(|it| it.topic.as_str()).collect();
        topics.sort_unstable();
        topics.dedup();
        if topics.len() != 2 {
            self.book.broken("P6", format!("of two mirrors the failover names {topics:?}"));
        }
        for topic in &done.topics {
            for partition in &topic.partitions {
                let place = place_of(&self.plan, &topic.topic, partition.partition.0);
                let (kept, stands) = (partition.end.get(), self.opened_at(place));
                if kept > stands {
                    self.book.broken(
                        "P6",
                        format!("{place:?}: said to be kept to {kept}, it went on at {stands}"),
                    );
                }
                let lost = (self.promises.high(place) - kept).max(0);
                if let Known::Known(stated) = partition.offsets
                    && stated as i64 > lost
                {
                    self.book.broken("P6", format!("{place:?}: {stated} are said to be lost, {lost} were"));
                }
            }
        }
    }
}

fn place_of(plan: &Plan, topic: &str, partition: u32) -> Place {
    plan.places().into_iter().find(|it| *it == (topic, partition)).unwrap()
}

/// Gives the command until every mirror is open. Refused without a reason, the promise is broken.
async fn command(door: &Door, book: &Book, operator: &Operator) -> FailedOver {
    loop {
        let life = door.life();
        // Room is put by once: a disk that is filled again before there was any has none.
        let reserve = life.as_ref().is_some_and(|life| has_reserve(&life.sim.disk));
        let asked = Failover { link: "east-west".into(), topics: Vec::new(), accept_incomplete: true };
        let mutation = Mutation { request: [9; 16], dry_run: false, who: "operator".into() };
        let answer = door
            .have(ANSWER_MAX, |life| Box::pin(async move { life.links.failover(&mutation, asked).await }))
            .await;
        let why = match answer {
            Some(Ok(done)) if done.topics.iter().all(|it| it.outcome == "OPEN") => return done,
            Some(Ok(done)) => format!("{done:?}"),
            Some(Err(failed)) => failed.to_string(),
            None => "no answer".into(),
        };
        // A site that ends or stops cannot answer, nor can one that halted at a failed sync decide.
        let well = life.is_some_and(|life| {
            let same = door.life().is_some_and(|now| Arc::ptr_eq(&now.sim.disk, &life.sim.disk));
            let disk = &life.sim.disk;
            let room = reserve || disk.free_bytes(Path::new(DATA)).is_ok_and(|free| free > RESERVE_BYTES);
            same && room && !disk.crashed() && disk.failed_syncs() == 0 && !life.sim.spawn.paused()
        });
        if !operator.paused.swap(false, Ordering::Relaxed) && well {
            book.broken("P6", format!("the failover failed: {why}"));
        }
        sleep(Duration::from_millis(250)).await;
    }
}

pub fn has_reserve(disk: &SimDisk) -> bool {
    disk.file_len(&Path::new(DATA).join("RESERVE")).is_some()
}
