//! Clients: producers that send again what they were told nothing of, consumers that look at all they are handed.

use std::sync::Arc;
use std::time::Duration;

use carrick_record::Batches;
use carrick_sim::WALL_START;
use carrick_wire::{
    FetchPartition, FetchRequest, FetchTopic, OffsetCommitRequest, OffsetCommitRequestPartition,
    OffsetCommitRequestTopic, Response, Text,
};
use tokio::time::{Instant, sleep};

use super::book::Book;
use super::plan::{ADDRESSES, Draw, EAST, Place, WEST};
use crate::batch::{Producer, batch};
use crate::door::Door;
use crate::world::produce_request;

const ANSWER_MAX: Duration = Duration::from_secs(8);

const NONE: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const NOT_LEADER: i16 = 6;
const OUT_OF_ORDER: i16 = 45;

/// What all clients of a story share.
#[derive(Clone)]
pub struct World {
    pub doors: [Arc<Door>; 2],
    pub book: Arc<Book>,
    pub began: Instant,
}

impl World {
    /// A client's clock is right.
    fn now_ms(&self) -> i64 {
        WALL_START.0 + self.began.elapsed().as_millis() as i64
    }
}

/// Sent, and not told what became of it: sent again before anything else.
#[derive(Clone, Copy)]
struct Sent {
    count: u32,
    size: usize,
    fill: u8,
    time: i64,
}

/// An idempotent producer of one partition. It writes at west once the operator has said so, at the latest when east does
/// not take it any more.
pub struct Producing {
    pub world: World,
    pub place: Place,
    pub draw: Draw,
    pub producer: Producer,
    pub at: usize,
}

impl Producing {
    pub async fn run(mut self) {
        let mut maybe: Option<Sent> = None;
        loop {
            if maybe.is_none() && self.world.book.stopped() {
                return;
            }
            let pause = if self.draw.one_in(8) { self.draw.ms(500, 5_000) } else { self.draw.ms(0, 400) };
            sleep(pause).await;
            if self.at == EAST && self.world.book.opened() && self.draw.one_in(6) {
                self.at = WEST;
            }
            let large = self.draw.one_in(20);
            let sent = *maybe.get_or_insert_with(|| Sent {
                count: 1 + self.draw.below(if large { 40 } else { 3 }) as u32,
                size: 1 + self.draw.below(400) as usize,
                fill: self.draw.below(256) as u8,
                time: self.world.now_ms(),
            });
            if self.send(sent).await {
                maybe = None;
            }
        }
    }

    /// True once it is acknowledged.
    async fn send(&mut self, sent: Sent) -> bool {
        let (topic, partition) = self.place;
        let records = batch(Some(self.producer), sent.count, sent.size, sent.fill, sent.time);
        let asked = Instant::now();
        let door = &self.world.doors[self.at];
        let answer = door.ask(9, produce_request(topic, partition, records), ANSWER_MAX).await;
        let Some(Response::Produce(answer)) = answer else { return false };
        let answer = &answer.responses[0].partition_responses[0];
        let book = &self.world.book;
        match answer.error_code {
            NONE => {
                let Sent { count, .. } = sent;
                book.acknowledged(self.at, self.place, answer.base_offset, count, self.producer, asked);
                self.producer.sequence += count as i32;
                return true;
            }
            NOT_LEADER if self.at == EAST && book.opened() => self.at = WEST,
            // What east had taken last was lost with it: the producer begins anew.
            OUT_OF_ORDER if self.at == WEST => {
                self.producer = Producer { epoch: self.producer.epoch + 1, sequence: 0, ..self.producer };
            }
            OUT_OF_ORDER => {
                let (site, place) = (ADDRESSES[self.at], self.place);
                book.broken("P2", format!("{site} forgot a producer of {place:?}: {answer:?}"));
            }
            _ => {}
        }
        false
    }
}

/// A consumer of one partition at one site, which commits where it is; now and then it goes back.
pub struct Consuming {
    pub world: World,
    pub site: usize,
    pub place: Place,
    pub draw: Draw,
}

impl Consuming {
    pub async fn run(self) {
        let mut position = 0;
        loop {
            sleep(self.draw.ms(100, 1_500)).await;
            let at_end = self.fetch(&mut position).await;
            if at_end && self.world.book.stopped() {
                return;
            }
            if self.draw.one_in(4) {
                let back = if self.draw.one_in(6) { self.draw.below(20) as i64 } else { 0 };
                position = (position - back).max(0);
                self.commit(position).await;
            }
        }
    }

    /// True if there was nothing more.
    async fn fetch(&self, position: &mut i64) -> bool {
        let committed = self.site == WEST && self.world.book.opened();
        let asked = FetchPartition {
            partition: self.place.1 as i32,
            fetch_offset: *position,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            isolation_level: i8::from(committed),
            topics: vec![FetchTopic {
                topic: Text::from(self.place.0.to_string()),
                partitions: vec![asked],
                ..Default::default()
            }],
            ..Default::default()
        };
        let Some(Response::Fetch(answer)) = self.world.doors[self.site].ask(11, request, ANSWER_MAX).await
        else {
            return false;
        };
        let Some(answer) = answer.responses.into_iter().flat_map(|topic| topic.partitions).next() else {
            return false;
        };
        match answer.error_code {
            NONE => {
                let records = answer.records.map(|it| it.into_bytes()).unwrap_or_default();
                for batch in Batches::new(records) {
                    match batch {
                        Ok(batch) => {
                            *position = self.world.book.saw(self.site, self.place, &batch).max(*position);
                        }
                        Err(bad) => self.world.book.broken("P1", format!("a consumer was handed {bad}")),
                    }
                }
                *position >= answer.high_watermark
            }
            OFFSET_OUT_OF_RANGE => {
                // To what there is: it began later, or a copy of it is shorter.
                let life = self.world.doors[self.site].life();
                let log = life.and_then(|life| life.log(self.place.0, self.place.1));
                if let Some(offsets) = log.map(|log| log.offsets()) {
                    let (start, high) = (offsets.log_start.at().get(), offsets.high_watermark.at().get());
                    *position = (*position).clamp(start, high);
                }
                false
            }
            _ => false,
        }
    }

    async fn commit(&self, position: i64) {
        let group = if self.site == EAST { "app-one" } else { "west-one" };
        let partition = OffsetCommitRequestPartition {
            partition_index: self.place.1 as i32,
            committed_offset: position,
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![OffsetCommitRequestTopic {
                name: Text::from(self.place.0.to_string()),
                partitions: vec![partition],
            }],
            ..Default::default()
        };
        // What is not told may stand all the same.
        let _ = self.world.doors[self.site].ask(8, request, ANSWER_MAX).await;
    }
}
