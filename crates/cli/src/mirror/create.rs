//! `carrick mirror create`

use carrick_proto::v1::{CreateMirrorsRequest, MirrorPlan};
use clap::Args;
use serde_json::json;

use crate::Global;
use crate::failure::Failure;
use crate::mutation::Mutation;
use crate::node::{ask, refused_mutation};
use crate::output::columns;

#[derive(Args)]
pub struct Arguments {
    /// The link whose source has the topics.
    #[arg(long)]
    link: String,
    /// Topics; or one pattern of `*` and `?`, in quotes, which is resolved now, once.
    #[arg(required = true, value_name = "TOPIC | GLOB")]
    topics: Vec<String>,
    #[command(flatten)]
    mutation: Mutation,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { link, topics, mutation } = arguments;
    if topics.len() > 1 && topics.iter().any(|it| it.contains(['*', '?'])) {
        let next = format!("carrick mirror create --link {link} '*'");
        return Err(Failure::misuse("a pattern stands alone: topics by name, or one pattern", next));
    }
    let begun = mutation.begin();
    let request =
        CreateMirrorsRequest { mutation: begun.message(), link: link.clone(), topics: topics.clone() };
    let asked = ask(global, async |mut client| client.create_mirrors(request).await)?;
    let answer = asked.map_err(|e| {
        let quoted: Vec<String> = topics.iter().map(|it| format!("'{it}'")).collect();
        let again = format!("carrick mirror create --link {link} {}", quoted.join(" "));
        refused_mutation(&e, begun, &again, "carrick link list")
    })?;
    global.output.show(
        || columns(["TOPIC", "PARTITIONS", "OUTCOME", "MESSAGE"], answer.mirrors.iter().map(row)),
        || {
            let mirrors = answer.mirrors.iter().map(|it| {
                json!({ "topic": it.topic, "partitions": it.partitions, "outcome": it.outcome, "message": it.message })
            });
            json!({
                "request_id": begun.id.to_string(),
                "mirrors": mirrors.collect::<Vec<_>>(),
                "applied": answer.applied,
                "undo": answer.undo,
            })
        },
    )?;
    begun.end(answer.applied, &answer.undo);
    let refused =
        answer.mirrors.iter().filter(|it| !matches!(it.outcome.as_str(), "CREATE" | "EXISTS")).count();
    if refused > 0 {
        let what = format!("{refused} of {} topics cannot be mirrored", answer.mirrors.len());
        return Err(Failure::new(what, format!("carrick mirror list --link {link}")));
    }
    Ok(())
}

fn row(it: &MirrorPlan) -> [String; 4] {
    [it.topic.clone(), it.partitions.to_string(), it.outcome.clone(), it.message.clone()]
}
