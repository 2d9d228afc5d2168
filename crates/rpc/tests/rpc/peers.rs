//! Peers that are not as this node: of another version, twice there, or deaf; in memory and in virtual time.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use carrick_link::{Connection, CreateLink, DialError, Dialer, Engine, LinkState, Mutation};
use carrick_proto::PROTOCOL;
use carrick_proto::v1::envelope::Body;
use carrick_proto::v1::{Describe, Hello, Role, Subscribe};
use carrick_rpc::tls::Tls;
use carrick_rpc::{MESSAGE_BYTES_MAX, dial_over};
use carrick_sim::SimSite;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::cuts::{Site, tasks};
use crate::ends::at;
use crate::engine::{Cluster, Nowhere, RECORDS, TOPIC, converted, encode, engine, hello, next};
use crate::pipe::{Road, pipe};
use crate::pki::Pki;

const SOON: Duration = Duration::from_secs(10);

/// A node's port with the engine behind it.
struct Node {
    site: Site,
    cluster: Arc<Cluster>,
    engine: Arc<Engine>,
    _sim: SimSite,
}

impl Node {
    async fn open(tls: &Tls) -> Self {
        let (sim, cluster) = (SimSite::new(1), Arc::new(Cluster::default()));
        let engine = engine(&cluster, Arc::new(Nowhere), sim.sys()).await;
        Self { site: Site::open(tls), cluster, engine, _sim: sim }
    }

    /// A peer's connection: its first word was said.
    async fn dial(&mut self, tls: &Tls, hello: Hello) -> carrick_rpc::Connection {
        let (dialled, accepted, _) = self.site.join(tls).await;
        self.engine.accept(converted(accepted));
        dialled.outgoing.send(encode(Body::Hello(hello)).into()).await.unwrap();
        dialled
    }

    async fn answer(&self, from: &mut carrick_rpc::Connection) -> Option<Body> {
        timeout(SOON, next(&mut from.incoming)).await.expect("no answer")
    }

    async fn close(self) {
        self.engine.stop();
        drop(self.engine);
        self.site.close().await;
    }
}

/// Versions that are not this node's alone, and whether there is one in common.
fn versions() -> [(u32, u32, bool); 7] {
    [
        (PROTOCOL, PROTOCOL, true),
        (0, PROTOCOL, true),
        (PROTOCOL, u32::MAX, true),
        (PROTOCOL + 1, PROTOCOL + 1, false),
        (PROTOCOL + 1, u32::MAX, false),
        (0, PROTOCOL - 1, false),
        (u32::MAX, 0, false),
    ]
}

#[test]
fn a_peer_of_another_version_is_refused_by_code_before_anything_is_written() {
    let tls = Pki::new().node();
    carrick_sim::run(1, async {
        let mut node = Node::open(&tls).await;
        for (protocol_min, protocol_max, common) in versions() {
            let said = Hello { protocol_min, protocol_max, ..hello(Role::Destination, 1) };
            let mut peer = node.dial(&tls, said).await;
            match node.answer(&mut peer).await {
                Some(Body::Hello(_)) => assert!(common, "{protocol_min} to {protocol_max} was taken"),
                Some(Body::Refusal(refusal)) => {
                    assert!(!common, "{protocol_min} to {protocol_max} was refused");
                    assert_eq!(refusal.code, "PROTOCOL_VERSION");
                    let versions = format!("{protocol_min} to {protocol_max}");
                    assert!(refusal.message.contains(&versions), "{}", refusal.message);
                    assert!(refusal.message.ends_with("upgrade the older one"), "{}", refusal.message);
                    assert_eq!(node.answer(&mut peer).await, None, "the refused one stays");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(node.cluster.writes(), 0);
        node.close().await;
    });
}

/// Dials what stands at the end of a road.
struct Roads {
    road: Road,
    tls: Tls,
}

impl Dialer for Roads {
    fn dial(&self, _: &str) -> BoxFuture<'static, Result<Connection, DialError>> {
        let (end, _) = self.road.take(None);
        let tls = self.tls.clone();
        Box::pin(async move {
            let dialled = dial_over(&at(9_590), &tls, end, "the peer".into()).await;
            dialled.map(converted).map_err(|e| DialError { message: e.to_string() })
        })
    }
}

#[test]
fn a_source_of_another_version_is_told_to_the_operator_and_taken_once_it_was_upgraded() {
    let tls = Pki::new().node();
    for (protocol_min, protocol_max, common) in versions() {
        if common {
            continue;
        }
        carrick_sim::run(1, async {
            let mut site = Site::open(&tls);
            let (sim, cluster) = (SimSite::new(1), Arc::new(Cluster::default()));
            let dialer = Roads { road: site.road.clone(), tls: tls.clone() };
            let engine = engine(&cluster, Arc::new(dialer), sim.sys()).await;
            let asked = Mutation { request: [1; 16], dry_run: false, who: "a test".into() };
            let link = CreateLink {
                name: "west".into(),
                peer: "127.0.0.1:9590".into(),
                connections: 1,
                groups: String::new(),
            };
            engine.create_link(&asked, link).await.unwrap();
            let written =
                |cluster: &Cluster| cluster.ledgers.lock().unwrap().values().map(Vec::len).sum::<usize>();
            let events = written(&cluster);
            let mut answer = |version: (u32, u32)| {
                let accepted = site.connections.try_recv();
                async move {
                    let Ok(mut accepted) = accepted else { return None };
                    assert!(matches!(next(&mut accepted.incoming).await, Some(Body::Hello(_))));
                    let (protocol_min, protocol_max) = version;
                    let said = Hello { protocol_min, protocol_max, ..hello(Role::Source, 1) };
                    accepted.outgoing.send(encode(Body::Hello(said)).into()).await.unwrap();
                    Some(accepted)
                }
            };
            for _ in 0..200 {
                sleep(Duration::from_millis(100)).await;
                drop(answer((protocol_min, protocol_max)).await);
            }
            let status = engine.links().remove(0);
            assert_eq!(status.state, LinkState::Refused);
            assert!(status.reason.contains("PROTOCOL_VERSION"), "{}", status.reason);
            assert!(status.reason.contains("upgrade the older one"), "{}", status.reason);
            assert_eq!((written(&cluster), cluster.writes()), (events, 0));
            // Upgraded.
            let mut stands = None;
            while stands.is_none() {
                sleep(Duration::from_millis(100)).await;
                stands = answer((PROTOCOL, PROTOCOL)).await;
            }
            sleep(Duration::from_millis(100)).await;
            assert_eq!(engine.links()[0].state, LinkState::Connected, "{}", engine.links()[0].reason);
            drop(stands);
            engine.stop();
            drop(engine);
            sleep(SOON).await;
            site.close().await;
        });
    }
}

/// Asks for the endless topic, and hears that it comes.
async fn subscribed(node: &Node, peer: &mut carrick_rpc::Connection) {
    let asked = Subscribe {
        subscription: 1,
        attempt: 1,
        topic_id: Bytes::copy_from_slice(&TOPIC.bytes()),
        last_epoch: -1,
        ..Subscribe::default()
    };
    peer.outgoing.send(encode(Body::Subscribe(asked)).into()).await.unwrap();
    assert!(matches!(node.answer(peer).await, Some(Body::Subscribed(_))));
    assert!(matches!(node.answer(peer).await, Some(Body::Data(data)) if data.records.len() == RECORDS));
}

#[test]
fn a_second_session_of_a_link_begins_once_the_attempts_of_the_first_have_ended() {
    let tls = Pki::new().node();
    carrick_sim::run(1, async {
        let mut node = Node::open(&tls).await;
        // The last one's credit is used up at once, and the peer reads no more.
        let mut older: Option<carrick_rpc::Connection> = None;
        for session in 1..20 {
            let mut newer = node.dial(&tls, hello(Role::Destination, session)).await;
            assert!(matches!(node.answer(&mut newer).await, Some(Body::Hello(_))));
            // Its own reference alone: nobody reads for the older one.
            assert_eq!(Arc::strong_count(&node.cluster.endless), 1, "attempts of session {}", session - 1);
            if let Some(mut older) = older.take() {
                let mut refusal = None;
                while let Some(body) = node.answer(&mut older).await {
                    assert!(refusal.is_none(), "it goes on after the refusal: {body:?}");
                    if let Body::Refusal(it) = body {
                        refusal = Some(it.code);
                    }
                }
                assert_eq!(refusal.as_deref(), Some("REPLACED"));
            }
            subscribed(&node, &mut newer).await;
            older = Some(newer);
        }
        // The last one works on.
        let last = older.as_mut().unwrap();
        let asked = Describe { request: 5, names: vec!["none".into()], glob: String::new() };
        last.outgoing.send(encode(Body::Describe(asked)).into()).await.unwrap();
        loop {
            match node.answer(last).await {
                Some(Body::Data(_)) => {}
                Some(Body::Description(it)) => break assert_eq!(it.missing, ["none"]),
                other => panic!("{other:?}"),
            }
        }
        drop(older);
        node.close().await;
    });
}

#[test]
fn of_many_sessions_of_a_link_at_once_one_stays() {
    let tls = Pki::new().node();
    carrick_sim::run(1, async {
        let mut node = Node::open(&tls).await;
        let mut peers = Vec::new();
        for session in 1..40 {
            peers.push(node.dial(&tls, hello(Role::Destination, session)).await);
        }
        let watched = peers.into_iter().map(|mut peer| async move {
            // It says nothing, and the silence would end it.
            let mut last = None;
            while let Ok(Some(body)) = timeout(Duration::from_secs(2), next(&mut peer.incoming)).await {
                last = Some(body);
            }
            (last, peer.outgoing.is_closed(), peer)
        });
        let ends = futures::future::join_all(watched).await;
        let staying = ends.iter().filter(|(last, closed, _)| matches!(last, Some(Body::Hello(_))) && !closed);
        assert_eq!(staying.count(), 1);
        for (last, closed, _) in &ends {
            match last {
                Some(Body::Refusal(refusal)) => assert!(refusal.code == "REPLACED" && *closed),
                Some(Body::Hello(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        drop(ends);
        node.close().await;
    });
}

/// Takes a session, answers pings, and nothing else.
async fn deaf(end: crate::pipe::End, tls: Tls, held: Arc<Mutex<Vec<Request<Incoming>>>>) {
    let stream = TlsAcceptor::from(tls.server()).accept(end).await.unwrap();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        // Neither read nor dropped.
        held.lock().unwrap().push(request);
        let answer = Response::builder().header("content-type", "application/grpc");
        let answer = answer.body(Silent).unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = http2.serve_connection(TokioIo::new(stream), service).await;
}

struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Pending
    }
}

#[test]
fn a_peer_that_takes_nothing_and_answers_pings_keeps_no_session_that_this_end_left() {
    let tls = Pki::new().node();
    carrick_sim::run(1, async {
        let (near, far, _) = pipe(None);
        let held = Arc::default();
        let peer = tokio::spawn(deaf(far, tls.clone(), Arc::clone(&held)));
        let dialled = dial_over(&at(9_590), &tls, near, "the peer".into()).await.unwrap();
        let filling =
            async { while dialled.outgoing.send(vec![7; MESSAGE_BYTES_MAX].into()).await.is_ok() {} };
        assert!(timeout(SOON * 6, filling).await.is_err(), "it is not lost: it answers pings");
        let (gone, mut told) = mpsc::channel::<()>(1);
        drop(dialled);
        tokio::spawn(async move {
            let _ = peer.await;
            drop(gone);
        });
        timeout(SOON, told.recv()).await.expect("the session is kept");
        held.lock().unwrap().clear();
        sleep(SOON).await;
        assert_eq!(tasks(), 0);
    });
}
