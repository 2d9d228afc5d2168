//! `carrick link list`

use carrick_proto::v1::ListLinksRequest;
use serde_json::json;

use super::{table, to_json};
use crate::failure::Failure;
use crate::node::{ask, refused};
use crate::{Global, say};

pub fn run(global: &Global) -> Result<(), Failure> {
    let asked = ask(global, async |mut client| client.list_links(ListLinksRequest {}).await)?;
    let links = asked.map_err(|e| refused(&e, "carrick node"))?.links;
    global.output.show(|| table(&links), || json!(links.iter().map(to_json).collect::<Vec<_>>()))?;
    if links.is_empty() {
        say("there are no links; to make one: carrick link create NAME --peer HOST:PORT");
    }
    Ok(())
}
