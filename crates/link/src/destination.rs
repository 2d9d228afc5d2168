//! The receiving half: one task per link, which keeps a session and applies what comes.

mod frames;
mod groups;
mod session;
mod subscriptions;

use std::sync::Arc;

use bytes::Bytes;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Description, Hello, Role};
use carrick_proto::{Encoded, PROTOCOL};
use carrick_sys::Sys;
use carrick_types::{Known, MirrorState, TopicId};
use futures::{FutureExt as _, select_biased};
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, mpsc, oneshot, watch};
use tracing::{info, warn};

use crate::engine::Identity;
use crate::envelope::{End, send};
use crate::event::{Event, EventError, LinkView, Mirror, What};
use crate::hello::{self, CREDIT_BYTES, SUBSCRIPTION_CREDIT_BYTES};
use crate::ports::{DIALLED_WAITING_MAX, Inbox, LedgerError, Ports};
use crate::retry::Retry;
use crate::source::SILENCE_MAX;
use crate::status::{LinkState, Observed};
use session::Session;

/// What the engine asks of a running session.
pub(crate) enum Command {
    Describe {
        names: Vec<String>,
        glob: String,
        answer: oneshot::Sender<Description>,
    },
    /// The view has mirrors that are not asked for yet.
    Refresh,
}

/// A link whose destination this node is.
pub(crate) struct Link {
    pub ports: Ports,
    pub identity: Identity,
    pub view: Mutex<LinkView>,
    pub observed: Mutex<Observed>,
    /// One append at a time.
    writing: tokio::sync::Mutex<()>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Event(#[from] EventError),
}

/// Questions that wait for a session to take them.
const COMMANDS_MAX: usize = 16;

impl Link {
    pub(crate) fn new(
        ports: Ports,
        identity: Identity,
        view: LinkView,
    ) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let link = Self {
            ports,
            identity,
            view: Mutex::new(view),
            observed: Mutex::default(),
            writing: tokio::sync::Mutex::new(()),
            commands,
        };
        (Arc::new(link), inbox)
    }

    pub(crate) fn sys(&self) -> &Sys {
        &self.ports.sys
    }

    /// Appends to the ledger; the view follows once it is durable.
    pub(crate) async fn record(&self, who: &str, what: What) -> Result<(), RecordError> {
        let turn = self.writing.lock().await;
        self.append(&turn, who, what).await
    }

    async fn append(&self, _turn: &MutexGuard<'_, ()>, who: &str, what: What) -> Result<(), RecordError> {
        let (id, expected) = {
            let view = self.view.lock();
            (view.id, view.events)
        };
        let event = Event { at: self.sys().clock.wall(), who: who.into(), what };
        self.ports.ledger.append(id, expected, event.encode()?.into()).await?;
        self.view.lock().apply(&event);
        Ok(())
    }

    /// Journals the move of those mirrors that may make it when its turn has come: a failover may be decided before.
    pub(crate) async fn move_mirrors(
        &self,
        who: &str,
        topics: &[TopicId],
        to: MirrorState,
        code: &str,
        message: &str,
    ) -> Result<(), RecordError> {
        let turn = self.writing.lock().await;
        let topics: Vec<TopicId> = {
            let view = self.view.lock();
            // One whose opening is decided is opened, and nothing else.
            let free = |it: &Mirror| it.opening.is_none() || to == MirrorState::Stopped;
            let may = |topic: &&TopicId| {
                view.mirrors.get(*topic).is_some_and(|it| it.state.may_become(to) && free(it))
            };
            topics.iter().filter(may).copied().collect()
        };
        if topics.is_empty() {
            return Ok(());
        }
        let what = What::MirrorsMoved { topics, to, code: code.into(), message: message.into() };
        self.append(&turn, who, what).await
    }

    /// Hands a command to the running session.
    pub(crate) async fn command(&self, command: Command) {
        // The inbox lives as long as the link's task; after it nobody waits for an answer.
        let _ = self.commands.send(command).await;
    }

    /// As [`Link::command`], for those that a session finds out by itself when it begins.
    pub(crate) fn poke(&self, command: Command) {
        // A full inbox holds a refresh already.
        let _ = self.commands.try_send(command);
    }

    /// Keeps a session until told to stop.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut inbox: mpsc::Receiver<Command>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut retry = Retry::new();
        loop {
            let began = self.sys().clock.now();
            let end = {
                let stopped = stop.wait_for(|told| *told).fuse();
                let session = self.session(&mut inbox).fuse();
                futures::pin_mut!(stopped, session);
                select_biased! {
                    _ = stopped => return,
                    end = session => end,
                }
            };
            self.note_end(&end).await;
            if self.sys().clock.now().since(began) > SILENCE_MAX {
                retry.reset();
            }
            let wait = retry.next(&*self.sys().entropy);
            let mut slept = self.sys().clock.sleep(wait).fuse();
            let stopped = stop.wait_for(|told| *told).fuse();
            futures::pin_mut!(stopped);
            select_biased! {
                _ = stopped => return,
                () = slept => {}
            }
        }
    }

    async fn note_end(&self, end: &End) {
        let name = self.view.lock().name.clone();
        let state = match end {
            End::Refused { .. } | End::Local { .. } => LinkState::Refused,
            _ => LinkState::Connecting,
        };
        let known = {
            let mut observed = self.observed.lock();
            let known = observed.reason == end.to_string();
            (observed.state, observed.reason) = (state, end.to_string());
            known
        };
        if !known {
            warn!(link = name, why = %end, "the link is down; trying again");
        }
        let active: Vec<TopicId> = self.view.lock().mirrors.keys().copied().collect();
        let why = end.to_string();
        let moved =
            self.move_mirrors("link", &active, MirrorState::SourceUnavailable, "LINK_DOWN", &why).await;
        if let Err(failed) = moved {
            warn!(link = name, error = %failed, "a state could not be journalled");
        }
    }

    /// One session, to its end.
    async fn session(&self, inbox: &mut mpsc::Receiver<Command>) -> End {
        match self.connect().await {
            Ok((connections, name)) => {
                info!(link = name, connections = connections.len(), "link session began");
                {
                    let mut observed = self.observed.lock();
                    (observed.state, observed.reason) = (LinkState::Connected, String::new());
                    observed.heard = Known::Known(self.sys().clock.now());
                    observed.beats = 0;
                    observed.running.clear();
                }
                match Session::run(self, connections, inbox).await {
                    Ok(()) => End::Lost,
                    Err(end) => end,
                }
            }
            Err(end) => end,
        }
    }

    /// Dials the session's connections, one after the other.
    async fn connect(&self) -> Result<(Vec<(mpsc::Sender<Encoded>, Inbox)>, String), End> {
        let session = self.sys().entropy.bytes16();
        let (peer, name, connections) = {
            let view = self.view.lock();
            (view.peer.clone(), view.name.clone(), view.connections)
        };
        let mut made = Vec::new();
        let mut wanted = connections;
        while (made.len() as u32) < wanted {
            let ordinal = made.len() as u32;
            let connection = self
                .ports
                .dialer
                .dial(&peer)
                .await
                .map_err(|e| End::Local { code: "UNREACHABLE", message: e.message })?;
            let hello = self.hello(&session, ordinal, wanted);
            let (outgoing, mut inbox, _) = connection.listen(self.sys(), DIALLED_WAITING_MAX);
            send(&outgoing, Body::Hello(hello)).await?;
            let clock = Arc::clone(&self.sys().clock);
            let answer = clock.timeout(SILENCE_MAX * 2, hello::receive(&mut inbox)).await;
            let answer = answer.unwrap_or(Err(End::Silent))?;
            let known = hello::check(&answer, Role::Source, self.identity.cluster)?;
            self.check_peer(known.cluster).await?;
            if ordinal == 0 && known.connections < wanted {
                // Told too late for this session's first Hello: the next try asks for as many as the peer takes.
                wanted = known.connections;
                self.view.lock().connections = wanted;
                return Err(End::Local {
                    code: "CONNECTIONS",
                    message: format!("the peer takes {wanted} connections"),
                });
            }
            made.push((outgoing, inbox));
        }
        Ok((made, name))
    }

    /// The cluster behind the address is learnt once.
    async fn check_peer(&self, found: carrick_types::ClusterId) -> Result<(), End> {
        let known = self.view.lock().peer_cluster;
        match known {
            Some(known) if known == found => Ok(()),
            Some(known) => Err(End::Local {
                code: "PEER_CHANGED",
                message: format!("the peer is cluster {found}, this link is to {known}: make another link"),
            }),
            None => {
                let learnt = self.record("link", What::PeerLearnt { cluster: found }).await;
                learnt.map_err(|e| End::Local { code: "LEDGER", message: e.to_string() })
            }
        }
    }

    fn hello(&self, session: &[u8; 16], ordinal: u32, connections: u32) -> Hello {
        let view = self.view.lock();
        Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            features: Vec::new(),
            role: Role::Destination.into(),
            link_id: Bytes::copy_from_slice(&view.id.bytes()),
            link_name: view.name.clone(),
            cluster_id: Bytes::copy_from_slice(&self.identity.cluster.bytes()),
            node_id: Bytes::copy_from_slice(&self.identity.node.bytes()),
            session_id: Bytes::copy_from_slice(session),
            ordinal,
            connections,
            clock_ms: self.sys().clock.wall().0,
            credit_bytes: CREDIT_BYTES,
            subscription_credit_bytes: SUBSCRIPTION_CREDIT_BYTES,
        }
    }
}
