//! The admin service on the control thread: what only looks at memory is answered there, whatever the disk does; what may
//! wait for a disk is done by the data threads.

use std::sync::Arc;

use carrick_proto::v1;
use carrick_rpc::admin::Admin;
use carrick_rpc::{Request, Response, Status, async_trait};
use tokio::runtime::Handle;

use crate::admin::Operator;

pub struct Hands {
    operator: Arc<Operator>,
    data: Handle,
}

impl Hands {
    /// `data`: the runtime that may wait for disks.
    pub fn new(operator: Operator, data: Handle) -> Self {
        Self { operator: Arc::new(operator), data }
    }

    async fn on_data<T, F>(&self, work: impl FnOnce(Arc<Operator>) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>> + Send + 'static,
        T: Send + 'static,
    {
        // A caller that goes away does not take back what it asked for.
        let done = self.data.spawn(work(Arc::clone(&self.operator))).await;
        done.unwrap_or_else(|_| Err(Status::unavailable("the node is stopping")))
    }
}

#[async_trait]
impl Admin for Hands {
    async fn create_link(
        &self,
        request: Request<v1::CreateLinkRequest>,
    ) -> Result<Response<v1::CreateLinkResponse>, Status> {
        self.on_data(|it| async move { it.create_link(request).await }).await
    }

    async fn list_links(
        &self,
        request: Request<v1::ListLinksRequest>,
    ) -> Result<Response<v1::ListLinksResponse>, Status> {
        self.operator.list_links(request).await
    }

    async fn create_mirrors(
        &self,
        request: Request<v1::CreateMirrorsRequest>,
    ) -> Result<Response<v1::CreateMirrorsResponse>, Status> {
        self.on_data(|it| async move { it.create_mirrors(request).await }).await
    }

    async fn list_mirrors(
        &self,
        request: Request<v1::ListMirrorsRequest>,
    ) -> Result<Response<v1::ListMirrorsResponse>, Status> {
        self.operator.list_mirrors(request).await
    }

    async fn failover(
        &self,
        request: Request<v1::FailoverRequest>,
    ) -> Result<Response<v1::FailoverResponse>, Status> {
        self.on_data(|it| async move { it.failover(request).await }).await
    }

    async fn list_journal(
        &self,
        request: Request<v1::ListJournalRequest>,
    ) -> Result<Response<v1::ListJournalResponse>, Status> {
        self.on_data(|it| async move { it.list_journal(request).await }).await
    }

    async fn describe_node(
        &self,
        request: Request<v1::DescribeNodeRequest>,
    ) -> Result<Response<v1::DescribeNodeResponse>, Status> {
        self.operator.describe_node(request).await
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        self.operator.status(request).await
    }
}
