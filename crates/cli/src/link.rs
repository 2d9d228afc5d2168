//! `carrick link ...`

mod create;
mod list;

use carrick_proto::v1::LinkInfo;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::Global;
use crate::failure::Failure;
use crate::output::{ago, columns};

#[derive(Subcommand)]
pub enum Verb {
    /// Join this cluster, as a destination, to another one.
    Create(create::Arguments),
    /// Show the links and how they are.
    List,
}

impl Verb {
    pub fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Create(arguments) => create::run(global, &arguments),
            Self::List => list::run(global),
        }
    }
}

fn table(links: &[LinkInfo]) -> String {
    let rows = links
        .iter()
        .map(|it| [it.name.clone(), it.peer.clone(), it.state.clone(), ago(it.heard_ms), it.reason.clone()]);
    columns(["NAME", "PEER", "STATE", "HEARD", "REASON"], rows)
}

pub fn to_json(it: &LinkInfo) -> Value {
    json!({
        "name": it.name,
        "link_id": it.link_id,
        "peer": it.peer,
        "state": it.state,
        "reason": it.reason,
        "peer_cluster_id": it.peer_cluster_id,
        "heard_ms": it.heard_ms,
    })
}
