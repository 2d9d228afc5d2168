//! What operators ask, over the admin socket: messages to calls of the engine and back.

use std::sync::Arc;

use carrick_catalog::NodeRecord;
use carrick_link::{
    CreateLink, CreateMirrors, Engine, EngineError, Failover, MirrorOutcome, Mutation, TopicLoss,
};
use carrick_proto::v1;
use carrick_rpc::admin::{Admin, Caller};
use carrick_rpc::{Code, Request, Response, Status, async_trait};
use carrick_watch::{Eyes, link_info, millis, mirror_info};

use crate::audit::Audit;

/// The operator's side of a node.
pub struct Operator {
    engine: Arc<Engine>,
    node: NodeRecord,
    audit: Audit,
    eyes: Arc<Eyes>,
}

impl Operator {
    pub fn new(engine: Arc<Engine>, node: NodeRecord, audit: Audit, eyes: Arc<Eyes>) -> Self {
        Self { engine, node, audit, eyes }
    }

    /// Durable before anything is done; what cannot be audited is not done.
    fn audit(&self, verb: &str, mutation: &Mutation, of: &str) -> Result<(), Status> {
        let written = self.audit.write(verb, of, &mutation.who, &mutation.request, mutation.dry_run);
        written.map_err(|e| {
            Status::internal(format!("the audit log cannot be written, so nothing was done: {e}"))
        })
    }
}

#[async_trait]
impl Admin for Operator {
    async fn create_link(
        &self,
        request: Request<v1::CreateLinkRequest>,
    ) -> Result<Response<v1::CreateLinkResponse>, Status> {
        let mutation = mutation(&request, request.get_ref().mutation.as_ref())?;
        let v1::CreateLinkRequest { name, peer, connections, groups, .. } = request.into_inner();
        self.audit("link create", &mutation, &name)?;
        let asked = CreateLink { name, peer, connections, groups };
        let created = self.engine.create_link(&mutation, asked).await.map_err(status)?;
        Ok(Response::new(v1::CreateLinkResponse {
            link: created.link.map(link_info),
            plan: created.plan,
            applied: created.applied,
            undo: String::new(),
        }))
    }

    async fn list_links(
        &self,
        _request: Request<v1::ListLinksRequest>,
    ) -> Result<Response<v1::ListLinksResponse>, Status> {
        let links = self.engine.links().into_iter().map(link_info).collect();
        Ok(Response::new(v1::ListLinksResponse { links }))
    }

    async fn create_mirrors(
        &self,
        request: Request<v1::CreateMirrorsRequest>,
    ) -> Result<Response<v1::CreateMirrorsResponse>, Status> {
        let mutation = mutation(&request, request.get_ref().mutation.as_ref())?;
        let v1::CreateMirrorsRequest { link, topics, .. } = request.into_inner();
        self.audit("mirror create", &mutation, &format!("{link} {}", topics.join(" ")))?;
        let created =
            self.engine.create_mirrors(&mutation, CreateMirrors { link, topics }).await.map_err(status)?;
        Ok(Response::new(v1::CreateMirrorsResponse {
            mirrors: created.mirrors.into_iter().map(mirror_plan).collect(),
            applied: created.applied,
            undo: String::new(),
        }))
    }

    async fn failover(
        &self,
        request: Request<v1::FailoverRequest>,
    ) -> Result<Response<v1::FailoverResponse>, Status> {
        let mutation = mutation(&request, request.get_ref().mutation.as_ref())?;
        let v1::FailoverRequest { link, topics, accept_incomplete, .. } = request.into_inner();
        self.audit("failover", &mutation, &format!("{link} {}", topics.join(" ")))?;
        let asked = Failover { link, topics, accept_incomplete };
        let done = self.engine.failover(&mutation, asked).await.map_err(status)?;
        Ok(Response::new(v1::FailoverResponse {
            topics: done.topics.into_iter().map(topic_loss).collect(),
            applied: done.applied,
            undo: String::new(),
            took_ms: millis(done.took),
        }))
    }

    async fn list_journal(
        &self,
        request: Request<v1::ListJournalRequest>,
    ) -> Result<Response<v1::ListJournalResponse>, Status> {
        let link = request.into_inner().link;
        let entries = self.engine.journal().map_err(status)?.into_iter();
        let entries = entries.filter(|it| link.is_empty() || it.link == link).map(|it| v1::JournalEntry {
            link: it.link,
            number: it.number,
            at_ms: it.at.0,
            who: it.who,
            what: it.what,
        });
        Ok(Response::new(v1::ListJournalResponse { entries: entries.collect() }))
    }

    async fn list_mirrors(
        &self,
        request: Request<v1::ListMirrorsRequest>,
    ) -> Result<Response<v1::ListMirrorsResponse>, Status> {
        let link = request.into_inner().link;
        let mirrors = self.engine.mirrors().into_iter().filter(|it| link.is_empty() || it.link == link);
        Ok(Response::new(v1::ListMirrorsResponse { mirrors: mirrors.map(mirror_info).collect() }))
    }

    async fn describe_node(
        &self,
        _request: Request<v1::DescribeNodeRequest>,
    ) -> Result<Response<v1::DescribeNodeResponse>, Status> {
        Ok(Response::new(v1::DescribeNodeResponse {
            cluster_id: self.node.cluster.to_string(),
            node_id: self.node.node.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
        }))
    }

    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(carrick_watch::status(&self.eyes).await))
    }
}

fn mutation<T>(request: &Request<T>, stated: Option<&v1::Mutation>) -> Result<Mutation, Status> {
    let who = request.extensions().get::<Caller>().map_or_else(|| "unknown".into(), ToString::to_string);
    let stated = stated.ok_or_else(|| Status::invalid_argument("the request id is missing"))?;
    let id = <[u8; 16]>::try_from(stated.request_id.as_ref());
    let request = id.map_err(|_| Status::invalid_argument("a request id is of 16 bytes"))?;
    Ok(Mutation { request, dry_run: stated.dry_run, who })
}

fn status(failed: EngineError) -> Status {
    let code = match &failed {
        EngineError::NoLink { .. } => Code::NotFound,
        EngineError::LinkExists { .. } => Code::AlreadyExists,
        EngineError::Invalid { .. } => Code::InvalidArgument,
        EngineError::NotConnected { .. } => Code::Unavailable,
        EngineError::NothingToMirror { .. } | EngineError::NothingToOpen { .. } => Code::FailedPrecondition,
        EngineError::Ledger(_) | EngineError::Event(_) | EngineError::Sink { .. } => Code::Internal,
    };
    Status::new(code, failed.to_string())
}

fn mirror_plan(outcome: MirrorOutcome) -> v1::MirrorPlan {
    let MirrorOutcome { topic, partitions, outcome, message } = outcome;
    v1::MirrorPlan { topic, partitions, outcome: outcome.into(), message }
}

fn topic_loss(it: TopicLoss) -> v1::TopicLoss {
    let partitions = it.partitions.iter().map(|it| v1::PartitionLoss {
        partition: it.partition.0,
        end_offset: it.end.get(),
        lost_offsets: it.offsets.ok(),
        lost_bytes: it.bytes.ok(),
        lost_ms: it.time.ok().map(millis),
        heard_ms: it.heard.ok().map(millis),
        open_transactions: it.open_transactions,
    });
    v1::TopicLoss {
        topic: it.topic,
        outcome: it.outcome.into(),
        message: it.message,
        generation: it.epoch.generation().get().into(),
        partitions: partitions.collect(),
    }
}
