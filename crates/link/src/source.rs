//! The sending half: a session per destination, a task per partition that is asked for.

mod groups;
mod subscription;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{
    self, Consumed, Describe, Description, Ended, Heartbeat, Hello, Lagging, Role, Topic,
};
use carrick_proto::{Encoded, PROTOCOL};
use carrick_sys::{Budget, Mono, Sys, Task};
use carrick_types::{Generation, LineageId, LinkId, Partition, TopicId};
use futures::{FutureExt as _, pin_mut, select_biased};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::engine::Identity;
use crate::envelope::{End, decode, encode, id, protocol, send};
use crate::glob;
use crate::hello::{self, CONNECTIONS_MAX, Peer};
use crate::ports::{
    ACCEPTED_WAITING_MAX, Arrived, Connection, Inbox, Opened, Source, SourcePartition, SourceTopic,
};
use subscription::{Flight, Subscription};

/// For the first message of a connection.
const HELLO_MAX: Duration = Duration::from_secs(5);
pub(crate) const BEAT: Duration = Duration::from_millis(500);
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(3);
/// For the connections of a session after its first.
const GATHER_MAX: Duration = Duration::from_secs(5);
/// Partitions that one session may ask for.
const SUBSCRIPTIONS_MAX: usize = carrick_types::limits::PARTITIONS_PER_NODE_MAX;
/// Topics of one description.
const TOPICS_MAX: usize = 10_000;

/// Sessions that were opened with this node as their source.
#[derive(Default)]
pub(crate) struct Sessions {
    live: Mutex<BTreeMap<LinkId, Live>>,
}

struct Live {
    session: [u8; 16],
    /// Further connections of the session.
    attach: mpsc::Sender<(u32, mpsc::Sender<Encoded>)>,
    /// Told to end; closes when it has.
    replace: watch::Sender<bool>,
}

/// A connection that a peer opened.
struct Accepted {
    outgoing: mpsc::Sender<Encoded>,
    inbox: Inbox,
    /// For logs.
    address: String,
}

pub(crate) struct Host {
    pub sys: Sys,
    pub source: Arc<dyn Source>,
    pub identity: Identity,
    pub sessions: Sessions,
}

/// What all subscriptions of a session share.
pub(crate) struct Shared {
    pub sys: Sys,
    /// By ordinal; the first carries control.
    pub outgoing: Vec<mpsc::Sender<Encoded>>,
    pub credit: Budget,
    pub subscription_credit_bytes: usize,
    /// The number of the last Data or Change.
    pub changes: AtomicU64,
    /// What is under way, by subscription.
    pub flights: Mutex<BTreeMap<u32, Flying>>,
}

/// An attempt, as the heartbeat sees it.
pub(crate) struct Flying {
    pub attempt: u64,
    pub partition: Arc<dyn SourcePartition>,
    pub flight: Arc<Flight>,
}

/// Partitions that one heartbeat names as lagging.
const LAGGING_MAX: usize = 4_096;

impl Shared {
    pub(crate) fn next_change(&self) -> u64 {
        self.changes.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the destination has not acknowledged.
    fn lagging(&self) -> Vec<Lagging> {
        let flights = self.flights.lock();
        let lagging = flights.iter().filter_map(|(number, it)| {
            let acknowledged = it.flight.acknowledged()?;
            let behind = it.partition.behind(acknowledged)?;
            Some(Lagging {
                subscription: *number,
                attempt: it.attempt,
                acknowledged: acknowledged.get(),
                high_watermark: acknowledged.get().saturating_add_unsigned(behind.offsets),
                since_ms: behind.since.0,
                or_before: behind.or_before,
                bytes: behind.bytes,
            })
        });
        lagging.collect()
    }

    pub(crate) fn control(&self) -> Option<&mpsc::Sender<Encoded>> {
        self.outgoing.first()
    }
}

impl Host {
    /// Runs a connection that a destination opened, to its end.
    pub(crate) async fn accept(self: Arc<Self>, connection: Connection) {
        let clock = Arc::clone(&self.sys.clock);
        let (outgoing, inbox, address) = connection.listen(&self.sys, ACCEPTED_WAITING_MAX);
        let mut connection = Accepted { outgoing, inbox, address };
        let hello = match clock.timeout(HELLO_MAX, hello::receive(&mut connection.inbox)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(end)) => return info!(peer = connection.address, why = %end, "no link session began"),
            Err(_) => {
                return info!(peer = connection.address, "no link session began: the peer said nothing");
            }
        };
        let peer = match hello::check(&hello, Role::Destination, self.identity.cluster) {
            Ok(peer) => peer,
            Err(end) => {
                warn!(peer = connection.address, why = %end, "a link session was refused");
                let _ = send(&connection.outgoing, Body::Refusal(hello::refusal(&end))).await;
                return;
            }
        };
        if peer.ordinal == 0 {
            self.session(connection, peer).await;
        } else {
            self.attach(connection, &peer).await;
        }
    }

    /// A further connection: it carries Data alone, and ends the session when it is lost.
    async fn attach(&self, mut connection: Accepted, peer: &Peer) {
        let attach = {
            let live = self.sessions.live.lock();
            live.get(&peer.link).filter(|it| it.session == peer.session).map(|it| it.attach.clone())
        };
        let refused =
            End::Local { code: "SESSION_UNKNOWN", message: "there is no such session here any more".into() };
        let Some(attach) = attach else {
            let _ = send(&connection.outgoing, Body::Refusal(hello::refusal(&refused))).await;
            return;
        };
        let answer = Body::Hello(self.hello(peer));
        if send(&connection.outgoing, answer).await.is_err()
            || attach.send((peer.ordinal, connection.outgoing.clone())).await.is_err()
        {
            return;
        }
        drop(connection.outgoing);
        // Nothing is expected on it; its end is the session's.
        while connection.inbox.recv().await.is_some() {}
        let _ = attach.send((u32::MAX, mpsc::channel(1).0)).await;
    }

    fn hello(&self, peer: &Peer) -> Hello {
        Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            role: Role::Source.into(),
            link_id: Bytes::copy_from_slice(&peer.link.bytes()),
            link_name: peer.link_name.clone(),
            cluster_id: Bytes::copy_from_slice(&self.identity.cluster.bytes()),
            node_id: Bytes::copy_from_slice(&self.identity.node.bytes()),
            session_id: Bytes::copy_from_slice(&peer.session),
            ordinal: peer.ordinal,
            connections: CONNECTIONS_MAX,
            clock_ms: self.sys.clock.wall().0,
            ..Hello::default()
        }
    }

    async fn session(self: Arc<Self>, connection: Accepted, peer: Peer) {
        let (attach, attached) = mpsc::channel(CONNECTIONS_MAX as usize);
        let (replace, replaced) = watch::channel(false);
        self.take_over(&peer, Live { session: peer.session, attach, replace }).await;
        let outgoing = connection.outgoing.clone();
        info!(link = peer.link_name, peer = connection.address, cluster = %peer.cluster, node = %peer.node, "link session began");
        let end = match self.run(connection, &peer, attached, replaced).await {
            Ok(()) => End::Lost,
            Err(end) => end,
        };
        info!(link = peer.link_name, why = %end, "link session ended");
        if !matches!(end, End::Lost | End::Goodbye { .. } | End::Refused { .. }) {
            let _ = outgoing.try_send(encode(Body::Refusal(hello::refusal(&end))));
        }
        let mut live = self.sessions.live.lock();
        if live.get(&peer.link).is_some_and(|it| it.session == peer.session) {
            live.remove(&peer.link);
        }
    }

    /// The newer session of a link ends the older one, and waits until its attempts have ended.
    async fn take_over(&self, peer: &Peer, live: Live) {
        let older = self.sessions.live.lock().insert(peer.link, live);
        if let Some(older) = older {
            older.replace.send_replace(true);
            older.replace.closed().await;
        }
    }

    async fn run(
        &self,
        connection: Accepted,
        peer: &Peer,
        attached: mpsc::Receiver<(u32, mpsc::Sender<Encoded>)>,
        mut replaced: watch::Receiver<bool>,
    ) -> Result<(), End> {
        let Accepted { outgoing, mut inbox, .. } = connection;
        send(&outgoing, Body::Hello(self.hello(peer))).await?;
        let mut attached = attached;
        let (outgoing, mut early) = {
            let gather = self.gather(outgoing, peer.connections, &mut attached);
            let gather = self.sys.clock.timeout(GATHER_MAX, gather).fuse();
            let newer = replaced.wait_for(|told| *told).map(drop).fuse();
            let first = inbox.recv().fuse();
            pin_mut!(gather, newer, first);
            let mut early = None;
            loop {
                select_biased! {
                    () = newer => return Err(End::Replaced),
                    gathered = gather => break (gathered.unwrap_or(Err(End::Silent))?, early),
                    // The destination may have all its connections before this end has.
                    message = first => early = Some(message.ok_or(End::Lost)?),
                }
            }
        };
        let shared = Arc::new(Shared {
            sys: self.sys.clone(),
            outgoing,
            credit: Budget::new(peer.credit_bytes),
            subscription_credit_bytes: peer.subscription_credit_bytes,
            changes: AtomicU64::new(0),
            flights: Mutex::default(),
        });
        let _beating = self.sys.prompt.spawn("link heartbeat", Box::pin(beat(Arc::clone(&shared))));
        let mut session = Session {
            host: self,
            link: peer.link,
            shared,
            subscriptions: BTreeMap::new(),
            heard: self.sys.clock.now(),
            answers: Vec::new(),
            following: None,
        };
        loop {
            if let Some(body) = early.take().map(|it: Arrived| decode(it.bytes)).transpose()?.flatten() {
                session.handle(body).await?;
            }
            let mut silence = self.sys.clock.sleep(BEAT).fuse();
            let received = inbox.recv().fuse();
            let further = attached.recv().fuse();
            let newer = replaced.wait_for(|told| *told).map(drop).fuse();
            pin_mut!(received, further, newer);
            select_biased! {
                () = newer => return Err(End::Replaced),
                // Any word of a further connection now is its end.
                _ = further => return Err(End::Lost),
                message = received => {
                    let message = message.ok_or(End::Lost)?;
                    session.heard = message.at;
                    let message = decode(message.bytes)?;
                    if let Some(body) = message {
                        session.handle(body).await?;
                    }
                }
                () = silence => session.check_silence()?,
            }
        }
    }

    /// All connections of the session, by ordinal.
    async fn gather(
        &self,
        first: mpsc::Sender<Encoded>,
        count: u32,
        attached: &mut mpsc::Receiver<(u32, mpsc::Sender<Encoded>)>,
    ) -> Result<Vec<mpsc::Sender<Encoded>>, End> {
        let mut by_ordinal = BTreeMap::from([(0, first)]);
        while by_ordinal.len() < count as usize {
            let (ordinal, outgoing) = attached.recv().await.ok_or(End::Lost)?;
            if ordinal >= count || by_ordinal.insert(ordinal, outgoing).is_some() {
                return Err(protocol(format!("connection {ordinal} of {count} came twice or is none")));
            }
        }
        Ok(by_ordinal.into_values().collect())
    }
}

async fn beat(shared: Arc<Shared>) {
    loop {
        let mut lagging = shared.lagging();
        let omitted = lagging.split_off(lagging.len().min(LAGGING_MAX)).len();
        let beat = Heartbeat {
            clock_ms: shared.sys.clock.wall().0,
            last_change: shared.changes.load(Ordering::Relaxed),
            lagging,
            lagging_omitted: u32::try_from(omitted).unwrap_or(u32::MAX),
        };
        let Some(control) = shared.control() else { return };
        if send(control, Body::Heartbeat(beat)).await.is_err() {
            return;
        }
        shared.sys.clock.sleep(BEAT).await;
    }
}

/// The receiving side of a source's session.
struct Session<'a> {
    host: &'a Host,
    link: LinkId,
    shared: Arc<Shared>,
    subscriptions: BTreeMap<u32, Subscription>,
    heard: Mono,
    /// Descriptions under way.
    answers: Vec<Task>,
    /// Of groups.
    following: Option<Task>,
}

impl Session<'_> {
    fn check_silence(&self) -> Result<(), End> {
        if self.host.sys.clock.now().since(self.heard) > SILENCE_MAX { Err(End::Silent) } else { Ok(()) }
    }

    async fn handle(&mut self, body: Body) -> Result<(), End> {
        match body {
            Body::Heartbeat(_) => {}
            Body::Describe(describe) => {
                let description = describe_topics(&*self.host.source, &describe);
                self.answer(Body::Description(description));
            }
            Body::Standing(standing) => {
                let opened = standing.opened.iter().map(opened).collect::<Result<Vec<_>, End>>()?;
                let heard = self.host.source.hear(self.link, opened).await;
                heard.map_err(|e| End::Local { code: "STANDING", message: e.to_string() })?;
            }
            Body::FollowGroups(follow) => {
                let source = Arc::clone(&self.host.source);
                let following = groups::follow(Arc::clone(&self.shared), source, self.link, follow.pattern);
                self.following = Some(self.host.sys.spawn.spawn("link groups", Box::pin(following)));
            }
            Body::Subscribe(subscribe) => {
                let topic = TopicId::from_bytes(id(&subscribe.topic_id, "topic id")?);
                if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
                    return Err(protocol("it asks for more partitions than a node holds"));
                }
                // The older attempt ends before the newer begins.
                self.subscriptions.remove(&subscribe.subscription);
                let noted = self.host.source.note_link(topic, self.link).await;
                noted.map_err(|e| End::Local { code: "NOTE_LINK", message: e.to_string() })?;
                match self.host.source.partition(topic, Partition(subscribe.partition)) {
                    Some(partition) => {
                        let subscription = Subscription::start(&self.shared, partition, subscribe);
                        self.subscriptions.insert(subscription.number, subscription);
                    }
                    None => self.answer(Body::Ended(Ended {
                        subscription: subscribe.subscription,
                        attempt: subscribe.attempt,
                        code: "TOPIC_GONE".into(),
                        message: "the source has no such partition: the topic was deleted or made anew"
                            .into(),
                    })),
                }
            }
            Body::Unsubscribe(it) => {
                if self.subscriptions.get(&it.subscription).is_some_and(|sub| sub.attempt == it.attempt) {
                    self.subscriptions.remove(&it.subscription);
                }
            }
            Body::Credit(credit) => credit.consumed.iter().for_each(|consumed| self.consumed(consumed)),
            Body::Ack(ack) => {
                for durable in ack.durable {
                    if let Some(sub) = self.subscriptions.get(&durable.subscription)
                        && sub.attempt == durable.attempt
                    {
                        sub.acknowledged(durable.end_offset);
                    }
                }
            }
            Body::Hello(_)
            | Body::Description(_)
            | Body::Subscribed(_)
            | Body::Ended(_)
            | Body::Groups(_)
            | Body::Data(_)
            | Body::Change(_) => {
                return Err(protocol("a destination does not send that"));
            }
            // Ended the session while decoding.
            Body::Refusal(_) | Body::Goodbye(_) => {}
        }
        Ok(())
    }

    fn consumed(&self, consumed: &Consumed) {
        if let Some(sub) = self.subscriptions.get(&consumed.subscription)
            && sub.attempt == consumed.attempt
        {
            sub.consumed(consumed.bytes);
        }
    }

    /// Sends without holding up what is received.
    fn answer(&mut self, body: Body) {
        self.answers.retain(|task| !task.is_finished());
        if let Some(control) = self.shared.control().cloned() {
            let sending = Box::pin(async move {
                // A lost connection ends the session elsewhere.
                let _ = send(&control, body).await;
            });
            self.answers.push(self.host.sys.spawn.spawn("link answer", sending));
        }
    }
}

fn opened(it: &v1::Opened) -> Result<Opened, End> {
    let generation = u16::try_from(it.generation).ok().and_then(Generation::new);
    Ok(Opened {
        source_topic: TopicId::from_bytes(id(&it.topic_id, "topic id")?),
        lineage: LineageId::from_bytes(id(&it.lineage_id, "lineage id")?),
        generation: generation.ok_or_else(|| protocol(format!("generation {}", it.generation)))?,
    })
}

fn describe_topics(source: &dyn Source, describe: &Describe) -> Description {
    let mut missing = Vec::new();
    let mut topics = Vec::new();
    for name in describe.names.iter().take(TOPICS_MAX) {
        match source.topic(name) {
            Some(topic) => topics.push(topic),
            None => missing.push(name.clone()),
        }
    }
    if !describe.glob.is_empty() {
        topics
            .extend(source.topics().into_iter().filter(|it| glob::matches(&describe.glob, it.name.as_str())));
    }
    topics.truncate(TOPICS_MAX);
    Description { request: describe.request, topics: topics.into_iter().map(topic).collect(), missing }
}

fn topic(topic: SourceTopic) -> Topic {
    Topic {
        name: topic.name.into(),
        topic_id: Bytes::copy_from_slice(&topic.id.bytes()),
        lineage_id: Bytes::copy_from_slice(&topic.lineage.bytes()),
        partitions: topic.partitions,
        configs: topic.configs,
        leader_epoch: topic.epoch.get(),
    }
}
