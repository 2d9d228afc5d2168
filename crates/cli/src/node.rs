//! The node that is asked; and `carrick node`.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use carrick_proto::v1::{DescribeNodeRequest, DescribeNodeResponse};
use carrick_rpc::admin::{AdminClient, AdminDialError, connect_socket};
use carrick_rpc::{Code, Response, Status};
use serde_json::json;

use crate::Global;
use crate::failure::Failure;
use crate::mutation::Begun;
use crate::output::columns;

/// `carrick node`
pub fn describe(global: &Global) -> Result<(), Failure> {
    let asked = ask(global, async |mut client| client.describe_node(DescribeNodeRequest {}).await);
    let DescribeNodeResponse { cluster_id, node_id, version } =
        asked?.map_err(|e| refused(&e, "carrick node --help"))?;
    global.output.show(
        || columns(["CLUSTER", "NODE", "VERSION"], [[cluster_id.clone(), node_id.clone(), version.clone()]]),
        || json!({ "cluster_id": cluster_id, "node_id": node_id, "version": version }),
    )
}

/// Connects and makes one call.
pub fn ask<T, F>(global: &Global, call: impl FnOnce(AdminClient) -> F) -> Result<Result<T, Status>, Failure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(format!("no runtime could be made: {e}"), "ulimit -a"))?;
    let path = socket(&global.node);
    runtime.block_on(async {
        let client = connect_socket(&path).await.map_err(|e| unreachable(&path, e))?;
        Ok(call(client).await.map(Response::into_inner))
    })
}

/// A data directory stands for the socket in it.
fn socket(node: &Path) -> PathBuf {
    if node.is_dir() || !node.exists() && node.extension().is_none() {
        node.join("admin.sock")
    } else {
        node.into()
    }
}

fn unreachable(path: &Path, failed: AdminDialError) -> Failure {
    let next = match &failed {
        AdminDialError::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            "sudo -u OWNER carrick ...  (the socket is open to the user that runs the node)"
        }
        _ => "carrickd dev  (or name a running node: --node DATA-DIRECTORY)",
    };
    // Else it would be the same path twice.
    let what = match &failed {
        AdminDialError::Socket { source, .. } => format!("no node answers on {}: {source}", path.display()),
        other => other.to_string(),
    };
    Failure::new(what, next)
}

/// What a node said no with.
pub fn refused(status: &Status, next: &str) -> Failure {
    let what = match (status.code(), status.message()) {
        _ if std::error::Error::source(status).is_some() => "the node went away before it answered".into(),
        (code, "") => format!("the node refused: {code}"),
        (_, said) => said.replace(char::is_control, "?"),
    };
    Failure::new(what, next)
}

/// As [`refused`], for a call that changes something: where it may have been done, the same id finds out.
pub fn refused_mutation(status: &Status, begun: Begun, again: &str, next: &str) -> Failure {
    let lost = std::error::Error::source(status).is_some()
        || matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded | Code::Unknown);
    if !lost || begun.dry_run {
        return refused(status, next);
    }
    let what = "the node went away before it answered: it may have been done, or not";
    Failure::new(what, format!("{again} --request-id {}  (it is not done twice)", begun.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_stands_for_its_socket() {
        let dir = tempfile::TempDir::new().unwrap();
        assert_eq!(socket(dir.path()), dir.path().join("admin.sock"));
        assert_eq!(socket(&dir.path().join("data")), dir.path().join("data/admin.sock"));
        assert_eq!(socket(&dir.path().join("x.sock")), dir.path().join("x.sock"));
    }
}
