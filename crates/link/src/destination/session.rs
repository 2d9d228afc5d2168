//! One session's loop: everything of it is owned by one task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carrick_proto::Encoded;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{
    Ack, Consumed, Credit, Describe, Description, Durable, Ended, FollowGroups, Heartbeat, Opened, Standing,
    Unsubscribe,
};
use carrick_sys::{Clock, Mono, Wake};
use carrick_types::{Known, MirrorState, Offset, Partition, Timestamp, TopicId};
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{FutureExt as _, pin_mut, select_biased};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::frames::Seen;
use super::groups::Groups;
use super::subscriptions::{Failure, Phase, Subscription};
use super::{Command, Link, RecordError};
use crate::envelope::{End, decode, protocol, send};
use crate::ports::{Arrived, Inbox};
use crate::source::{BEAT, SILENCE_MAX};
use crate::status::{Lag, Told};

/// Before a partition that could not go on is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// Messages handled before credits and acknowledgements are told.
const BURST: usize = 32;

pub(crate) struct Session<'a> {
    link: &'a Link,
    control: mpsc::Sender<Encoded>,
    subscriptions: BTreeMap<u32, Subscription>,
    /// By mirror and partition.
    numbers: BTreeMap<(TopicId, Partition), u32>,
    attempts: u64,
    seen: Seen,
    heard: Mono,
    wake: Wake,
    /// With something consumed that is not told yet.
    consumed: BTreeSet<u32>,
    /// With something written that is not durable, or not told to be.
    undurable: BTreeSet<u32>,
    descriptions: BTreeMap<u64, oneshot::Sender<Description>>,
    questions: u64,
    groups: Groups,
}

/// What a session's loop woke up for.
enum Happened {
    Received(Option<Arrived>),
    Command(Command),
    Moved,
    Beat,
}

impl<'a> Session<'a> {
    pub(crate) async fn run(
        link: &'a Link,
        connections: Vec<(mpsc::Sender<Encoded>, Inbox)>,
        inbox: &mut mpsc::Receiver<Command>,
    ) -> Result<(), End> {
        let control = connections.first().map(|it| it.0.clone()).ok_or(End::Lost)?;
        let now = link.sys().clock.now();
        let mut session = Session {
            link,
            control,
            subscriptions: BTreeMap::new(),
            numbers: BTreeMap::new(),
            attempts: 0,
            seen: Seen::default(),
            heard: now,
            wake: Wake::new(),
            consumed: BTreeSet::new(),
            undurable: BTreeSet::new(),
            descriptions: BTreeMap::new(),
            questions: 0,
            groups: Groups::default(),
        };
        // Held, so that no connection is cut before the session ends.
        let (_outgoing, mut lines): (Vec<_>, Vec<_>) = connections.into_iter().unzip();
        let clock = Arc::clone(&link.sys().clock);
        let mouth = beat(session.control.clone(), Arc::clone(&clock));
        let _beating = link.sys().prompt.spawn("link heartbeat", Box::pin(mouth));
        session.refresh().await?;
        let pattern = link.view.lock().groups.clone();
        send(&session.control, Body::FollowGroups(FollowGroups { pattern })).await?;
        let mut beat = clock.sleep(BEAT).fuse();
        loop {
            let happened = {
                let received = receive(&mut lines).fuse();
                let command = inbox.recv().fuse();
                let moved = session.wake.woken().fuse();
                pin_mut!(received, command, moved);
                select_biased! {
                    () = beat => Happened::Beat,
                    command = command => command.map_or(Happened::Beat, Happened::Command),
                    message = received => Happened::Received(message),
                    () = moved => Happened::Moved,
                }
            };
            match happened {
                Happened::Received(message) => {
                    session.receive(message).await?;
                    for _ in 1..BURST {
                        match receive(&mut lines).now_or_never() {
                            Some(message) => session.receive(message).await?,
                            None => break,
                        }
                    }
                    session.tell_consumed().await?;
                    session.tell_durable().await?;
                }
                Happened::Moved => session.tell_durable().await?,
                Happened::Command(Command::Refresh) => session.refresh().await?,
                Happened::Command(Command::Describe { names, glob, answer }) => {
                    session.describe(names, glob, answer).await?;
                }
                Happened::Beat => {
                    beat = clock.sleep(BEAT).fuse();
                    // What came while this was held up is heard first.
                    let silent = clock.now().since(session.heard) > SILENCE_MAX;
                    if silent && lines.iter().all(Inbox::is_empty) {
                        return Err(End::Silent);
                    }
                    session.beat().await?;
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        self.descriptions.retain(|_, answer| !answer.is_closed());
        self.groups.land(self.link).await.map_err(ledger)?;
        let now = self.link.sys().clock.now();
        let due = |sub: &Subscription| matches!(sub.phase, Phase::Waiting(at) if at <= now);
        let again: Vec<u32> =
            self.subscriptions.iter().filter(|(_, sub)| due(sub)).map(|(number, _)| *number).collect();
        for number in again {
            self.ask(number).await?;
        }
        Ok(())
    }

    /// Asks for every partition of every mirror that is not asked for yet.
    async fn refresh(&mut self) -> Result<(), End> {
        self.stand().await?;
        self.end_opened().await?;
        let mirrors: Vec<_> = {
            let view = self.link.view.lock();
            let live = view.mirrors.values().filter(|it| {
                matches!(
                    it.state,
                    MirrorState::Creating | MirrorState::Active | MirrorState::SourceUnavailable
                )
            });
            live.map(|it| it.definition.clone()).collect()
        };
        for mirror in mirrors {
            for partition in (0..mirror.partitions).map(Partition) {
                if self.numbers.contains_key(&(mirror.topic, partition)) {
                    continue;
                }
                // Its topic is still being made: the engine asks again when it is.
                let Some(sink) = self.link.ports.sink.partition(mirror.topic, partition) else {
                    continue;
                };
                let number = u32::try_from(self.subscriptions.len()).unwrap_or(u32::MAX);
                let subscription = Subscription::new(mirror.topic, partition, mirror.source_topic, sink);
                self.subscriptions.insert(number, subscription);
                self.numbers.insert((mirror.topic, partition), number);
                self.ask(number).await?;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, number: u32) -> Result<(), End> {
        let Some(sub) = self.subscriptions.get_mut(&number) else {
            return Ok(());
        };
        self.attempts += 1;
        match sub.ask(number, self.attempts).await {
            Ok(subscribe) => send(&self.control, Body::Subscribe(subscribe)).await,
            Err(failed) => {
                let failure = Failure::Later { code: "NOT_READ".into(), message: failed.to_string() };
                self.failed(number, failure).await
            }
        }
    }

    async fn describe(
        &mut self,
        names: Vec<String>,
        glob: String,
        answer: oneshot::Sender<Description>,
    ) -> Result<(), End> {
        self.questions += 1;
        self.descriptions.insert(self.questions, answer);
        send(&self.control, Body::Describe(Describe { request: self.questions, names, glob })).await
    }

    async fn receive(&mut self, message: Option<Arrived>) -> Result<(), End> {
        let message = message.ok_or(End::Lost)?;
        let body = decode(message.bytes)?;
        // Of several connections, what came first may be worked on later.
        self.heard = self.heard.max(message.at);
        self.link.observed.lock().heard = Known::Known(self.heard);
        match body {
            None => Ok(()),
            Some(Body::Heartbeat(beat)) => {
                self.hear_beat(&beat, message.at);
                Ok(())
            }
            Some(Body::Description(description)) => {
                if let Some(answer) = self.descriptions.remove(&description.request) {
                    // Who asked may have given up.
                    let _ = answer.send(description);
                }
                Ok(())
            }
            Some(Body::Subscribed(answer)) => {
                let Some(number) = self.current(answer.subscription, answer.attempt) else {
                    return Ok(());
                };
                if let Some(sub) = self.subscriptions.get(&number) {
                    let mut observed = self.link.observed.lock();
                    let beats = observed.beats;
                    observed.running.insert((sub.topic, sub.partition), beats);
                }
                self.with(number, |sub, _| sub.begun(&answer)).await
            }
            Some(Body::Data(data)) => {
                self.seen.note(data.change)?;
                let Some(number) = self.current(data.subscription, data.attempt) else {
                    return Ok(());
                };
                let now = self.link.sys().clock.wall();
                self.consumed.insert(number);
                self.with(number, |sub, _| sub.apply(data, now)).await
            }
            Some(Body::Change(change)) => {
                self.seen.note(change.change)?;
                for moved in change.moved {
                    if let Some(number) = self.current(moved.subscription, moved.attempt) {
                        self.with(number, |sub, _| sub.hear(moved.high_watermark, moved.log_start)).await?;
                    }
                }
                Ok(())
            }
            Some(Body::Ended(ended)) => self.ended(ended).await,
            Some(Body::Groups(told)) => {
                self.groups.hear(self.link, told)?;
                self.groups.land(self.link).await.map_err(ledger)
            }
            Some(_) => Err(protocol("a source does not send that")),
        }
    }

    fn hear_beat(&self, beat: &Heartbeat, at: Mono) {
        let mut observed = self.link.observed.lock();
        if self.seen.all_to(beat.last_change) {
            observed.quiet = Known::Known(at);
        }
        observed.beats += 1;
        observed.lagging_omitted = beat.lagging_omitted > 0;
        observed.lagging.clear();
        for it in &beat.lagging {
            let Some(sub) = self.subscriptions.get(&it.subscription).filter(|sub| sub.attempt == it.attempt)
            else {
                continue;
            };
            let acknowledged = Offset::clamped(it.acknowledged);
            let lag = Lag {
                offsets: Offset::clamped(it.high_watermark).since(acknowledged),
                bytes: it.bytes,
                time: Duration::from_millis(Timestamp(beat.clock_ms).since(Timestamp(it.since_ms))),
                or_more: it.or_before,
            };
            observed.lagging.insert((sub.topic, sub.partition), Told { acknowledged, lag });
        }
    }

    /// Tells the source which of its topics this side writes itself.
    async fn stand(&self) -> Result<(), End> {
        let opened = {
            let view = self.link.view.lock();
            let opened = view.mirrors.values().filter_map(|mirror| {
                let opening = mirror.opening.as_ref()?;
                Some(Opened {
                    topic_id: Bytes::copy_from_slice(&mirror.definition.source_topic.bytes()),
                    lineage_id: Bytes::copy_from_slice(&mirror.definition.lineage.bytes()),
                    generation: opening.epoch.generation().get().into(),
                })
            });
            opened.collect()
        };
        send(&self.control, Body::Standing(Standing { opened })).await
    }

    /// Ends the subscriptions of mirrors that are mirrors no more.
    async fn end_opened(&mut self) -> Result<(), End> {
        let opened: BTreeSet<TopicId> = {
            let view = self.link.view.lock();
            view.mirrors.values().filter(|it| it.opening.is_some()).map(|it| it.definition.topic).collect()
        };
        for (number, sub) in self.subscriptions.iter_mut() {
            if sub.phase != Phase::Ended && opened.contains(&sub.topic) {
                sub.phase = Phase::Ended;
                self.link.observed.lock().running.remove(&(sub.topic, sub.partition));
                let unsubscribe = Unsubscribe { subscription: *number, attempt: sub.attempt };
                send(&self.control, Body::Unsubscribe(unsubscribe)).await?;
            }
        }
        Ok(())
    }

    /// The subscription, if the attempt is its newest and goes on: what was under way when it ended is not wanted.
    fn current(&self, number: u32, attempt: u64) -> Option<u32> {
        self.subscriptions
            .get(&number)
            .filter(|sub| sub.attempt == attempt && matches!(sub.phase, Phase::Asked | Phase::Running))
            .map(|_| number)
    }

    async fn with(
        &mut self,
        number: u32,
        work: impl FnOnce(&mut Subscription, Mono) -> Result<(), Failure>,
    ) -> Result<(), End> {
        let Some(sub) = self.subscriptions.get_mut(&number) else {
            return Ok(());
        };
        let worked = work(sub, self.heard);
        if let Some(high) = sub.source_high {
            self.link.observed.lock().source_high.insert((sub.topic, sub.partition), (high, self.heard));
        }
        self.undurable.insert(number);
        match worked {
            Ok(()) => Ok(()),
            Err(failure) => self.failed(number, failure).await,
        }
    }

    async fn ended(&mut self, ended: Ended) -> Result<(), End> {
        let Some(number) = self.current(ended.subscription, ended.attempt) else {
            return Ok(());
        };
        let Ended { code, message, .. } = ended;
        let failure = match code.as_str() {
            "SOURCE_READ_FAILED" | "SOURCE_DAMAGED" => Failure::Later { code, message },
            _ => Failure::Mirror { code, message },
        };
        self.failed(number, failure).await
    }

    async fn failed(&mut self, number: u32, failure: Failure) -> Result<(), End> {
        let now = self.link.sys().clock.now();
        let Some(sub) = self.subscriptions.get_mut(&number) else {
            return Ok(());
        };
        let (topic, partition) = (sub.topic, sub.partition);
        self.link.observed.lock().running.remove(&(topic, partition));
        match failure {
            Failure::Session(end) => Err(end),
            Failure::Later { code, message } => {
                let waits = (code, message);
                let before = self.link.observed.lock().waiting.insert((topic, partition), waits.clone());
                // It is tried each second, and said once.
                if before.as_ref() != Some(&waits) {
                    let (code, why) = waits;
                    warn!(%topic, %partition, code, why, "a mirror's partition waits");
                }
                sub.phase = Phase::Waiting(now.plus(AGAIN));
                let unsubscribe = Unsubscribe { subscription: number, attempt: sub.attempt };
                send(&self.control, Body::Unsubscribe(unsubscribe)).await
            }
            // Opened for writing meanwhile: what still comes is not wanted.
            Failure::Mirror { .. } if self.opened(topic) => self.end_opened().await,
            Failure::Mirror { code, message } => {
                let message = format!("partition {partition}: {message}");
                error!(%topic, code, why = message, "a mirror failed");
                self.link.observed.lock().running.retain(|(it, _), _| *it != topic);
                for (number, sub) in self.subscriptions.iter_mut().filter(|(_, sub)| sub.topic == topic) {
                    sub.phase = Phase::Ended;
                    let unsubscribe = Unsubscribe { subscription: *number, attempt: sub.attempt };
                    send(&self.control, Body::Unsubscribe(unsubscribe)).await?;
                }
                let moved =
                    self.link.move_mirrors("link", &[topic], MirrorState::Failed, &code, &message).await;
                moved.map_err(ledger)
            }
        }
    }

    fn opened(&self, topic: TopicId) -> bool {
        self.link.view.lock().mirrors.get(&topic).is_some_and(|it| it.opening.is_some())
    }

    /// Returns credit for what stands in the page cache.
    async fn tell_consumed(&mut self) -> Result<(), End> {
        let mut consumed = Vec::new();
        for number in std::mem::take(&mut self.consumed) {
            if let Some(sub) = self.subscriptions.get_mut(&number)
                && sub.consumed > sub.told_consumed
            {
                sub.told_consumed = sub.consumed;
                consumed.push(Consumed { subscription: number, attempt: sub.attempt, bytes: sub.consumed });
            }
        }
        if consumed.is_empty() {
            Ok(())
        } else {
            send(&self.control, Body::Credit(Credit { consumed })).await
        }
    }

    /// Tells what became durable, and which mirrors have caught up.
    async fn tell_durable(&mut self) -> Result<(), End> {
        let mut durable = Vec::new();
        let mut caught_up = BTreeSet::new();
        for number in std::mem::take(&mut self.undurable) {
            let Some(sub) = self.subscriptions.get_mut(&number) else {
                continue;
            };
            // Registered before looking.
            sub.sink.watch(&self.wake);
            let offsets = sub.sink.offsets();
            let end = offsets.durable_end.at();
            if sub.phase == Phase::Running && sub.told_durable.is_none_or(|told| told < end) {
                sub.told_durable = Some(end);
                durable.push(Durable { subscription: number, attempt: sub.attempt, end_offset: end.get() });
            }
            if sub.caught_up() || sub.told_consumed > 0 {
                self.link.observed.lock().waiting.remove(&(sub.topic, sub.partition));
            }
            if sub.caught_up() {
                caught_up.insert(sub.topic);
            }
            if end < offsets.log_end.at() {
                self.undurable.insert(number);
            }
        }
        self.activate(caught_up).await?;
        if durable.is_empty() { Ok(()) } else { send(&self.control, Body::Ack(Ack { durable })).await }
    }

    /// A mirror is active once each of its partitions has caught up.
    async fn activate(&mut self, topics: BTreeSet<TopicId>) -> Result<(), End> {
        for topic in topics {
            let waits = {
                let view = self.link.view.lock();
                view.mirrors.get(&topic).is_some_and(|it| {
                    matches!(it.state, MirrorState::Creating | MirrorState::SourceUnavailable)
                })
            };
            if waits
                && self.subscriptions.values().filter(|sub| sub.topic == topic).all(Subscription::caught_up)
            {
                let moved = self.link.move_mirrors("link", &[topic], MirrorState::Active, "", "").await;
                moved.map_err(ledger)?;
                info!(%topic, "a mirror is active");
            }
        }
        Ok(())
    }
}

/// Says that this side lives, whatever its session waits for.
async fn beat(control: mpsc::Sender<Encoded>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep(BEAT).await;
        let beat = Heartbeat { clock_ms: clock.wall().0, ..Heartbeat::default() };
        if send(&control, Body::Heartbeat(beat)).await.is_err() {
            return;
        }
    }
}

fn ledger(failed: RecordError) -> End {
    End::Local { code: "LEDGER", message: failed.to_string() }
}

/// The next message of any connection; None when one of them is lost.
async fn receive(lines: &mut [Inbox]) -> Option<Arrived> {
    let mut next: FuturesUnordered<_> = lines.iter_mut().map(Inbox::recv).collect();
    next.next().await.flatten()
}
