//! Failover: decide, end open transactions, raise the generation, open; and say what is lost.
//!
//! The decision is one event of the ledger. What follows is done again by every start until it is done.

use std::sync::Arc;
use std::time::Duration;

use carrick_sys::Wake;
use carrick_types::{Known, LeaderEpoch, MirrorState, Offset, Partition, TopicId};
use tracing::{error, info};

use super::{Engine, EngineError, Mutation};
use crate::destination::{Command, Link};
use crate::event::{Mirror, Opening, OpeningPartition, What};
use crate::status::Told;

/// For the disk, before a failover is decided without it.
const SETTLE_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct Failover {
    pub link: String,
    /// Empty: all of the link.
    pub topics: Vec<String>,
    /// Also those that never caught up.
    pub accept_incomplete: bool,
}

#[derive(Clone, Debug)]
pub struct FailedOver {
    pub topics: Vec<TopicLoss>,
    pub applied: bool,
    /// From the request to the last topic open.
    pub took: Duration,
}

/// What opening one mirror loses, as far as its source had told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicLoss {
    pub topic: String,
    /// `OPEN`, or a refusal's code.
    pub outcome: &'static str,
    pub message: String,
    pub epoch: LeaderEpoch,
    pub partitions: Vec<PartitionLoss>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLoss {
    pub partition: Partition,
    /// Kept: everything below, and over a power cut as well where the node promises that.
    pub end: Offset,
    /// At least that many.
    pub offsets: Known<u64>,
    /// At most that many of those.
    pub bytes: Known<u64>,
    /// Between the first of them and the moment the source was heard last.
    pub time: Known<Duration>,
    /// Since the source was heard last.
    pub heard: Known<Duration>,
    pub open_transactions: u32,
}

impl Engine {
    pub async fn failover(&self, mutation: &Mutation, asked: Failover) -> Result<FailedOver, EngineError> {
        let began = self.ports.sys.clock.now();
        let _turn = self.changing.lock().await;
        let link = self.link(&asked.link).ok_or(EngineError::NoLink { name: asked.link.clone() })?;
        let repeated = link.view.lock().request(&mutation.request).map(<[TopicId]>::to_vec);
        if let Some(topics) = repeated {
            self.ports.sink.make_room().await;
            self.finish_openings(&link).await;
            let mut losses = self.decided(&link, &topics);
            still_closed(&link, &topics, &mut losses);
            let topics = losses;
            return Ok(FailedOver { topics, applied: true, took: self.ports.sys.clock.now().since(began) });
        }
        if !mutation.dry_run {
            self.settle(&link).await;
        }
        let plan = self.plan_failover(&link, &asked);
        let refusals: Vec<String> = plan
            .iter()
            .filter(|(_, loss)| loss.outcome != "OPEN")
            .map(|(_, loss)| format!("{}: {} ({})", loss.topic, loss.message, loss.outcome))
            .collect();
        let losses: Vec<TopicLoss> = plan.iter().map(|(_, loss)| loss.clone()).collect();
        let openings: Vec<Opening> = plan
            .iter()
            .filter(|(_, loss)| loss.outcome == "OPEN")
            .map(|(topic, loss)| opening(*topic, loss))
            .collect();
        if mutation.dry_run {
            return Ok(FailedOver { topics: losses, applied: false, took: Duration::ZERO });
        }
        if openings.is_empty() {
            let all_open = || vec!["all of the link's were opened before".to_owned()];
            let refusals = if refusals.is_empty() { all_open() } else { refusals };
            return Err(EngineError::NothingToOpen { refusals });
        }
        self.ports.sink.make_room().await;
        info!(link = asked.link, topics = openings.len(), who = mutation.who, "failover decided");
        link.record(&mutation.who, What::FailedOver { request: mutation.request, mirrors: openings }).await?;
        self.finish_openings(&link).await;
        let ids: Vec<TopicId> = plan.iter().map(|(topic, _)| *topic).collect();
        let mut losses = losses;
        still_closed(&link, &ids, &mut losses);
        Ok(FailedOver { topics: losses, applied: true, took: self.ports.sys.clock.now().since(began) })
    }

    /// Waits a moment for what came last to be kept for good. A disk that is stuck holds up no failover.
    async fn settle(&self, link: &Link) {
        let clock = Arc::clone(&self.ports.sys.clock);
        let until = clock.now().plus(SETTLE_MAX);
        let mirrors: Vec<_> = {
            let view = link.view.lock();
            let mirrors = view.mirrors.values().map(|it| (it.definition.topic, it.definition.partitions));
            mirrors.collect()
        };
        for (topic, partitions) in mirrors {
            for sink in (0..partitions).filter_map(|it| self.ports.sink.partition(topic, Partition(it))) {
                let end = sink.offsets().log_end.at();
                let wake = Wake::new();
                loop {
                    sink.watch(&wake);
                    let left = until.since(clock.now());
                    if sink.offsets().high_watermark.at() >= end
                        || clock.timeout(left, wake.woken()).await.is_err()
                    {
                        break;
                    }
                }
            }
        }
    }

    /// Each mirror that was asked for, with what opening it now would lose; refused where it cannot be.
    fn plan_failover(&self, link: &Link, asked: &Failover) -> Vec<(TopicId, TopicLoss)> {
        let mirrors: Vec<Mirror> = link.view.lock().mirrors.values().cloned().collect();
        let named = |mirror: &Mirror| {
            asked.topics.is_empty() || asked.topics.iter().any(|it| *it == mirror.definition.name.as_str())
        };
        let mut plan: Vec<_> = mirrors
            .iter()
            // With no names given, those that were opened before are not meant.
            .filter(|it| named(it) && (!asked.topics.is_empty() || it.state != MirrorState::Stopped))
            .map(|mirror| (mirror.definition.topic, self.plan_opening(link, mirror, asked.accept_incomplete)))
            .collect();
        for name in &asked.topics {
            if !mirrors.iter().any(|it| it.definition.name.as_str() == name) {
                let refused = refusal(name, "NO_SUCH_MIRROR", "the link has no mirror of that name");
                plan.push((TopicId::ZERO, refused));
            }
        }
        plan
    }

    fn plan_opening(&self, link: &Link, mirror: &Mirror, accept_incomplete: bool) -> TopicLoss {
        let definition = &mirror.definition;
        let refuse = |code, message: &str| refusal(definition.name.as_str(), code, message);
        if !mirror.state.may_become(MirrorState::FailingOver) {
            return refuse("NOT_A_MIRROR", &format!("it is {}: it was opened before", mirror.state));
        }
        if mirror.state == MirrorState::Creating && !accept_incomplete {
            return refuse("INCOMPLETE", "it never caught up: --accept-incomplete opens what there is");
        }
        let mut newest = definition.epoch;
        let mut partitions = Vec::new();
        for partition in (0..definition.partitions).map(Partition) {
            let Some(sink) = self.ports.sink.partition(definition.topic, partition) else {
                return refuse("NOT_OPEN", "its logs are not open: restart the node");
            };
            newest = newest.max(sink.last_epoch().unwrap_or(newest));
            let offsets = sink.offsets();
            let (kept, end) = (offsets.high_watermark.at(), offsets.log_end.at());
            let observed = link.observed.lock();
            let now = self.ports.sys.clock.now();
            let key = (definition.topic, partition);
            let told = observed.lagging.get(&key);
            let high = observed.source_high.get(&key).map(|(high, _)| *high);
            let high = high
                .max(told.map(|it| it.acknowledged.plus(u32::try_from(it.lag.offsets).unwrap_or(u32::MAX))));
            partitions.push(PartitionLoss {
                partition,
                end: kept,
                offsets: high.map_or(Known::Unknown, |high| Known::Known(high.since(end))),
                bytes: lost_bytes(high, end, told, |from| sink.bytes_from(from)),
                time: lost_time(high, end, told),
                heard: observed.heard.map(|at| now.since(at)),
                open_transactions: u32::try_from(sink.open_transactions()).unwrap_or(u32::MAX),
            });
        }
        match newest.next_generation() {
            Ok(epoch) => TopicLoss {
                topic: definition.name.to_string(),
                outcome: "OPEN",
                message: String::new(),
                epoch,
                partitions,
            },
            Err(overflow) => refuse("GENERATIONS_USED_UP", &overflow.to_string()),
        }
    }

    /// Carries out what was decided and not done.
    pub(super) async fn finish_openings(&self, link: &Link) {
        let decided: Vec<(TopicId, LeaderEpoch)> = {
            let view = link.view.lock();
            let failing = view.mirrors.values().filter(|it| it.state == MirrorState::FailingOver);
            failing
                .filter_map(|it| it.opening.as_ref().map(|opening| (opening.topic, opening.epoch)))
                .collect()
        };
        let mut done = Vec::new();
        for (topic, epoch) in decided {
            match self.ports.sink.open(topic, epoch).await {
                Ok(()) => done.push(topic),
                Err(failed) => {
                    error!(%topic, error = %failed, "a mirror could not be opened: repeat the command, or restart the node")
                }
            }
        }
        if done.is_empty() {
            return;
        }
        if let Err(failed) = link.move_mirrors("link", &done, MirrorState::Stopped, "", "").await {
            error!(error = %failed, "an opening could not be journalled: it is repeated at the next start");
        }
        link.poke(Command::Refresh);
    }

    /// What a request decided before.
    fn decided(&self, link: &Link, topics: &[TopicId]) -> Vec<TopicLoss> {
        let view = link.view.lock();
        let mirrors = topics.iter().filter_map(|topic| view.mirrors.get(topic));
        let losses = mirrors.filter_map(|mirror| {
            let opening = mirror.opening.as_ref()?;
            let known = |it: Option<u64>| it.map_or(Known::Unknown, Known::Known);
            let partitions = opening.partitions.iter().enumerate().map(|(index, it)| PartitionLoss {
                partition: Partition(u32::try_from(index).unwrap_or(u32::MAX)),
                end: it.end,
                offsets: known(it.lost_offsets),
                bytes: known(it.lost_bytes),
                time: known(it.lost_ms).map(Duration::from_millis),
                heard: known(it.heard_ms).map(Duration::from_millis),
                open_transactions: it.open_transactions,
            });
            Some(TopicLoss {
                topic: mirror.definition.name.to_string(),
                outcome: "OPEN",
                message: String::new(),
                epoch: opening.epoch,
                partitions: partitions.collect(),
            })
        });
        losses.collect()
    }
}

/// Decided, and not carried out: a repeat of the request, or a restart, goes on.
fn still_closed(link: &Link, topics: &[TopicId], losses: &mut [TopicLoss]) {
    let view = link.view.lock();
    for (topic, loss) in topics.iter().zip(losses) {
        if loss.outcome == "OPEN" && view.mirrors.get(topic).is_none_or(|it| it.state != MirrorState::Stopped)
        {
            loss.outcome = "NOT_OPEN_YET";
            loss.message =
                "it was decided and could not be done: repeat the command with the same request id".into();
        }
    }
}

fn refusal(topic: &str, outcome: &'static str, message: &str) -> TopicLoss {
    TopicLoss {
        topic: topic.into(),
        outcome,
        message: message.into(),
        epoch: LeaderEpoch::FIRST,
        partitions: Vec::new(),
    }
}

/// What the source had told of, less what came since.
fn lost_bytes(
    high: Option<Offset>,
    end: Offset,
    told: Option<&Told>,
    held: impl Fn(Offset) -> u64,
) -> Known<u64> {
    match (high, told) {
        (None, _) => Known::Unknown,
        (Some(high), _) if high <= end => Known::Known(0),
        (Some(_), Some(told)) => Known::Known(told.lag.bytes.saturating_sub(held(told.acknowledged))),
        (Some(_), None) => Known::Unknown,
    }
}

fn lost_time(high: Option<Offset>, end: Offset, told: Option<&Told>) -> Known<Duration> {
    match (high, told) {
        (None, _) => Known::Unknown,
        (Some(high), _) if high <= end => Known::Known(Duration::ZERO),
        (Some(_), Some(told)) => Known::Known(told.lag.time),
        (Some(_), None) => Known::Unknown,
    }
}

fn opening(topic: TopicId, loss: &TopicLoss) -> Opening {
    let millis = |it: Known<Duration>| it.ok().map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let partitions = loss.partitions.iter().map(|it| OpeningPartition {
        end: it.end,
        lost_offsets: it.offsets.ok(),
        lost_bytes: it.bytes.ok(),
        lost_ms: millis(it.time),
        heard_ms: millis(it.heard),
        open_transactions: it.open_transactions,
    });
    Opening { topic, epoch: loss.epoch, partitions: partitions.collect() }
}
