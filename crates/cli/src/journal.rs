//! `carrick journal`: what happened to the links, in order.

use carrick_proto::v1::{JournalEntry, ListJournalRequest};
use clap::Args;
use serde_json::{Value, json};

use crate::Global;
use crate::failure::Failure;
use crate::node::{ask, refused};
use crate::output::{columns, utc};

#[derive(Args)]
pub struct Arguments {
    /// Of one link.
    #[arg(long)]
    link: Option<String>,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let request = ListJournalRequest { link: arguments.link.clone().unwrap_or_default() };
    let asked = ask(global, async |mut client| client.list_journal(request).await)?;
    let entries = asked.map_err(|e| refused(&e, "carrick link list"))?.entries;
    global.output.show(
        || columns(["LINK", "NUMBER", "AT", "WHO", "WHAT"], entries.iter().map(row)),
        || json!(entries.iter().map(to_json).collect::<Vec<_>>()),
    )
}

fn row(it: &JournalEntry) -> [String; 5] {
    [it.link.clone(), it.number.to_string(), utc(it.at_ms), it.who.clone(), it.what.clone()]
}

fn to_json(it: &JournalEntry) -> Value {
    json!({ "link": it.link, "number": it.number, "at": utc(it.at_ms), "at_ms": it.at_ms, "who": it.who, "what": it.what })
}
