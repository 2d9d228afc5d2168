//! The operators' service, by both ways in.

use std::sync::{Arc, Mutex};

use carrick_proto::v1::{
    CreateLinkRequest, CreateLinkResponse, CreateMirrorsRequest, CreateMirrorsResponse, DescribeNodeRequest,
    DescribeNodeResponse, FailoverRequest, FailoverResponse, ListJournalRequest, ListJournalResponse,
    ListLinksRequest, ListLinksResponse, ListMirrorsRequest, ListMirrorsResponse, StatusRequest,
    StatusResponse,
};
use carrick_rpc::admin::{
    Admin, AdminDialError, AdminServer, AdminSocket, Caller, connect_socket, connect_tls,
};
use carrick_rpc::{Code, DialError, Request, Response, Role, Status, async_trait};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::ends::{at, soon, within};
use crate::pki::{NODE, Pki, Wish};

/// Remembers who called.
#[derive(Default)]
struct Book {
    callers: Mutex<Vec<Caller>>,
}

impl Book {
    fn note<T>(&self, request: &Request<T>) {
        self.callers.lock().unwrap().push(request.extensions().get::<Caller>().unwrap().clone());
    }
}

#[async_trait]
impl Admin for Book {
    async fn create_link(
        &self,
        r: Request<CreateLinkRequest>,
    ) -> Result<Response<CreateLinkResponse>, Status> {
        self.note(&r);
        Ok(Response::new(CreateLinkResponse { plan: vec![r.into_inner().name], ..Default::default() }))
    }

    async fn list_links(&self, r: Request<ListLinksRequest>) -> Result<Response<ListLinksResponse>, Status> {
        self.note(&r);
        std::future::pending::<()>().await;
        Ok(Response::new(Default::default()))
    }

    async fn create_mirrors(
        &self,
        _: Request<CreateMirrorsRequest>,
    ) -> Result<Response<CreateMirrorsResponse>, Status> {
        Err(Status::failed_precondition("no such link"))
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
        self.note(&r);
        Ok(Response::new(Default::default()))
    }

    async fn describe_node(
        &self,
        r: Request<DescribeNodeRequest>,
    ) -> Result<Response<DescribeNodeResponse>, Status> {
        self.note(&r);
        Ok(Response::new(DescribeNodeResponse { node_id: "n".into(), ..Default::default() }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

#[tokio::test]
async fn the_socket_answers_and_names_the_caller() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("admin.sock");
    let book = Arc::new(Book::default());
    let socket = AdminSocket::bind(&path).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(AdminServer::new(Arc::clone(&book)).serve_socket(socket, stopped));
    let mut client = connect_socket(&path).await.unwrap();
    assert_eq!(client.describe_node(DescribeNodeRequest {}).await.unwrap().into_inner().node_id, "n");
    let created =
        client.create_link(CreateLinkRequest { name: "west".into(), ..Default::default() }).await.unwrap();
    assert_eq!(created.into_inner().plan, ["west"]);
    let refused = client.create_mirrors(CreateMirrorsRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "no such link"));
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(*book.callers.lock().unwrap(), vec![Caller::User { uid }; 2]);

    // A call that never ends does not hold the stop up.
    let mut other = client.clone();
    let hung = tokio::spawn(async move { other.list_links(ListLinksRequest {}).await });
    crate::ends::until("the call is there", || book.callers.lock().unwrap().len() == 3).await;
    stop.send_replace(true);
    within(std::time::Duration::from_secs(4), served).await.unwrap();
    assert!(soon(hung).await.unwrap().is_err());
    assert!(!path.exists());
    assert!(matches!(connect_socket(&path).await, Err(AdminDialError::Socket { .. })));
}

#[tokio::test]
async fn the_port_wants_a_role_for_each_call() {
    let pki = Pki::new();
    let book = Arc::new(Book::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = at(listener.local_addr().unwrap().port());
    let (_stop, stopped) = watch::channel(false);
    let server = AdminServer::new(Arc::clone(&book));
    tokio::spawn(server.serve_tls(listener, pki.node(), stopped));

    let viewer = pki.tls(&Wish { name: "vera", hosts: &[], roles: &[Role::Viewer], ..NODE });
    let mut client = connect_tls(&endpoint, &viewer).await.unwrap();
    client.list_mirrors(ListMirrorsRequest::default()).await.unwrap();
    let refused = client.create_link(CreateLinkRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "the certificate of vera lacks carrick://role/operator");

    let operator = pki.tls(&Wish { name: "otto", hosts: &[], roles: &[Role::Operator], ..NODE });
    connect_tls(&endpoint, &operator).await.unwrap().create_link(CreateLinkRequest::default()).await.unwrap();
    let link = pki.tls(&Wish { name: "west", hosts: &[], roles: &[Role::Link], ..NODE });
    let refused = connect_tls(&endpoint, &link).await.unwrap().describe_node(DescribeNodeRequest {}).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let names: Vec<String> = book.callers.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["vera", "otto"]);

    let stranger = Pki::new().node();
    let error = connect_tls(&endpoint, &stranger).await.unwrap_err();
    assert!(matches!(error, AdminDialError::Dial(DialError::Untrusted { .. })), "{error}");
}
