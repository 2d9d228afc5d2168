//! A node's admin socket, with answers that a test chooses.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use carrick_proto::v1::{
    CreateLinkRequest, CreateLinkResponse, CreateMirrorsRequest, CreateMirrorsResponse, DescribeNodeRequest,
    DescribeNodeResponse, FailoverRequest, FailoverResponse, LinkInfo, ListJournalRequest,
    ListJournalResponse, ListLinksRequest, ListLinksResponse, ListMirrorsRequest, ListMirrorsResponse,
    MirrorInfo, MirrorPartition, MirrorPlan, Mutation, StatusRequest, StatusResponse,
};
use carrick_rpc::admin::{Admin, AdminServer, AdminSocket};
use carrick_rpc::{Request, Response, Status, async_trait};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A data directory with a live socket in it.
pub struct Node {
    dir: TempDir,
    pub book: Arc<Book>,
    _runtime: Runtime,
    _stop: watch::Sender<bool>,
}

impl Node {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let book = Arc::new(Book::default());
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = watch::channel(false);
        let socket = runtime.block_on(AdminSocket::bind(&dir.path().join("admin.sock"))).unwrap();
        runtime.spawn(AdminServer::new(Arc::clone(&book)).serve_socket(socket, stopped));
        Self { dir, book, _runtime: runtime, _stop: stop }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().into()
    }
}

/// The mutations that came, and what is to be answered.
#[derive(Default)]
pub struct Book {
    pub status: Mutex<StatusResponse>,
    pub mutations: Mutex<Vec<Mutation>>,
}

impl Book {
    fn note(&self, mutation: Option<Mutation>) -> Mutation {
        let mutation = mutation.unwrap();
        self.mutations.lock().unwrap().push(mutation.clone());
        mutation
    }
}

fn link(name: &str, heard_ms: Option<u64>) -> LinkInfo {
    LinkInfo {
        name: name.into(),
        link_id: "l".into(),
        peer: "west.example:9590".into(),
        state: "CONNECTING".into(),
        reason: "its certificate\nexpired".into(),
        heard_ms,
        ..Default::default()
    }
}

#[async_trait]
impl Admin for Book {
    async fn create_link(
        &self,
        r: Request<CreateLinkRequest>,
    ) -> Result<Response<CreateLinkResponse>, Status> {
        let r = r.into_inner();
        let mutation = self.note(r.mutation);
        match r.name.as_str() {
            "taken" => return Err(Status::already_exists("a link taken is there already")),
            // The connection dies with the task.
            "lost" => panic!("the node died, as the test wished"),
            _ => {}
        }
        Ok(Response::new(CreateLinkResponse {
            link: Some(link(&r.name, None)),
            plan: vec![format!("a link {} to {} over {} connections", r.name, r.peer, r.connections)],
            applied: !mutation.dry_run,
            undo: format!("carrick link delete {}", r.name),
        }))
    }

    async fn list_links(&self, _: Request<ListLinksRequest>) -> Result<Response<ListLinksResponse>, Status> {
        Ok(Response::new(ListLinksResponse {
            links: vec![link("west", Some(430)), link("north-east", None)],
        }))
    }

    async fn create_mirrors(
        &self,
        r: Request<CreateMirrorsRequest>,
    ) -> Result<Response<CreateMirrorsResponse>, Status> {
        let r = r.into_inner();
        let mutation = self.note(r.mutation);
        let plan = |topic: &String| MirrorPlan {
            topic: topic.clone(),
            partitions: 3,
            outcome: if topic == "bad" { "TOPIC_UNKNOWN".into() } else { "CREATE".into() },
            message: String::new(),
        };
        let mirrors = r.topics.iter().map(plan).collect();
        Ok(Response::new(CreateMirrorsResponse { mirrors, applied: !mutation.dry_run, undo: String::new() }))
    }

    async fn failover(&self, _: Request<FailoverRequest>) -> Result<Response<FailoverResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn list_journal(
        &self,
        _: Request<ListJournalRequest>,
    ) -> Result<Response<ListJournalResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn list_mirrors(
        &self,
        r: Request<ListMirrorsRequest>,
    ) -> Result<Response<ListMirrorsResponse>, Status> {
        if r.into_inner().link == "none" {
            return Ok(Response::new(ListMirrorsResponse::default()));
        }
        let partition = |partition, source_high_watermark: Option<i64>, heard_ms| MirrorPartition {
            partition,
            log_start: 5,
            high_watermark: 90,
            log_end: 95,
            source_high_watermark,
            heard_ms,
            lag_offsets: source_high_watermark.map(|_| 10),
            lag_bytes: source_high_watermark.map(|_| 512),
            lag_ms: source_high_watermark.map(|_| 40),
            lag_or_more: false,
        };
        let partitions = vec![partition(0, Some(100), Some(1_200)), partition(1, None, None)];
        let (topic, link, state) = ("orders".into(), "west".into(), "ACTIVE".into());
        let mirror = MirrorInfo { topic, link, state, reason: String::new(), partitions };
        Ok(Response::new(ListMirrorsResponse { mirrors: vec![mirror] }))
    }

    async fn describe_node(
        &self,
        _: Request<DescribeNodeRequest>,
    ) -> Result<Response<DescribeNodeResponse>, Status> {
        let (cluster_id, node_id, version) = ("c".into(), "n".into(), "0.1.0".into());
        Ok(Response::new(DescribeNodeResponse { cluster_id, node_id, version }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.status.lock().unwrap().clone()))
    }
}
